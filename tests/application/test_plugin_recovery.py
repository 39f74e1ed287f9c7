"""A tenant's plugin comes through failures, crashes and rivals: begun again, taken back or finished, never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tests.application.market import ACME, CRM, FIRST, GLOBEX, ONE, ONE_WAY, OPENING, THIRD, THREE, TWO, Market
from tests.application.memory import Death, Registry

from prismicx.application.plugins import PluginInstallation
from prismicx.domain.errors import (
    ChecksumMismatchError,
    CommitOutcomeUnknownError,
    DatabaseError,
    DatabaseUnavailableError,
    IllegalTransitionError,
    InvalidMigrationError,
    LeaseLostError,
    OperationUnderWayError,
    PluginInstallationError,
    TransactionConflictError,
)
from prismicx.domain.events import PluginPurged
from prismicx.domain.installations import TenantPluginStatus
from prismicx.domain.plugins import SchemaMigration

BROKEN = DatabaseError("42601", "syntax error")


@pytest.fixture
async def market(registry: Registry) -> Market:
    market = Market(registry)
    await market.open()
    return market


async def crash(market: Market, work: Awaitable[object], *, in_commit: int, after: bool = False) -> None:
    """Let the process die in one of the next commits to the registry."""
    setattr(market.registry, "dies_after" if after else "dies_before", market.registry.commits + in_commit)
    with pytest.raises(Death):
        await work


# --- One worker at a time. ---


async def test_a_second_worker_is_refused_while_the_first_is_at_work(market: Market) -> None:
    market.schemas.gate = asyncio.Event()
    first = asyncio.create_task(market.service.install(ACME, "contacts"))
    await market.schemas.reached.wait()

    for use_case in (market.service.install, market.service.retry, market.service.abandon):
        with pytest.raises(OperationUnderWayError, match="is at work on plugin contacts of tenant acme"):
            await use_case(ACME, "contacts")

    market.schemas.gate.set()
    assert (await first).status is TenantPluginStatus.ACTIVE
    assert market.schemas.runs == [["1.0.0"]]


async def test_of_several_that_begin_at_once_one_installs(market: Market) -> None:
    begun = [market.service.install(ACME, "contacts") for _ in range(5)]

    outcomes = await asyncio.gather(*begun, return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, OperationUnderWayError)]
    assert len(refused) < 5
    assert all(
        isinstance(outcome, OperationUnderWayError) or not isinstance(outcome, Exception) for outcome in outcomes
    )
    assert market.schemas.runs == [["1.0.0"]]


async def test_a_worker_that_was_overtaken_runs_nothing_and_changes_nothing(market: Market) -> None:
    market.schemas.gate = asyncio.Event()
    overtaken = asyncio.create_task(market.service.install(ACME, "contacts"))
    await market.schemas.reached.wait()
    slow, market.schemas.gate = market.schemas.gate, None
    market.clock.advance(minutes=2)

    installed = await market.service.install(ACME, "contacts")
    slow.set()
    with pytest.raises(LeaseLostError, match="fencing number 1 is outdated"):
        await overtaken

    assert await market.record() == installed
    with pytest.raises(LeaseLostError):
        await market.schemas.migrate(ACME, CRM, "contacts", [], fence=1)


async def test_the_lease_is_renewed_while_scripts_run(registry: Registry) -> None:
    market = Market(registry)
    market.service = PluginInstallation(registry, market.schemas, lease=timedelta(milliseconds=30), clock=market.clock)
    await market.open()
    market.schemas.gate = asyncio.Event()
    installing = asyncio.create_task(market.service.install(ACME, "contacts"))
    await market.schemas.reached.wait()
    first = (await market.record()).lease
    assert first is not None

    market.clock.advance(seconds=1)
    while (renewed := (await market.record()).lease) is None or renewed.expires_at == first.expires_at:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0)

    assert renewed.fence == first.fence
    market.schemas.gate.set()
    assert (await installing).lease is None


async def test_a_lease_lasts_longer_than_nothing(market: Market) -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        PluginInstallation(market.registry, market.schemas, lease=timedelta(0))


@pytest.mark.parametrize("error", [TransactionConflictError("55P03"), CommitOutcomeUnknownError("gone")])
async def test_what_passes_is_tried_again_after_a_random_wait(market: Market, error: Exception) -> None:
    market.schemas.error_afterwards = error
    with pytest.raises(PluginInstallationError):
        await market.service.install(ACME, "contacts")

    assert len(market.pauses) == 5
    assert all(0 <= seconds <= 5 for seconds in market.pauses)
    assert market.schemas.runs == [["1.0.0"], [], [], [], [], []]


# --- Begun again, or taken back. ---


async def test_what_failed_is_begun_again(market: Market) -> None:
    market.schemas.error = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.install(ACME, "contacts", features=["export"])
    with pytest.raises(PluginInstallationError):
        await market.service.retry(ACME, "contacts")
    market.schemas.error = None

    retried = await market.service.retry(ACME, "contacts")

    assert (retried.status, retried.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert (retried.features_enabled, retried.error_message, retried.interrupted) == (("export",), None, None)


async def test_an_installation_that_failed_is_taken_back_to_none(market: Market) -> None:
    market.schemas.error = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.install(ACME, "contacts")
    market.schemas.error = None

    abandoned = await market.service.abandon(ACME, "contacts")

    assert (abandoned.status, abandoned.installed_version) == (TenantPluginStatus.UNINSTALLED, None)
    assert (abandoned.error_message, abandoned.pending, abandoned.lease) == (None, None, None)


async def test_an_upgrade_that_failed_is_taken_back_to_the_version_before(market: Market) -> None:
    await market.service.install(ACME, "contacts", features=["export"])
    await market.publish_second()
    market.schemas.error = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.upgrade(ACME, "contacts", features=["sync"])
    market.schemas.error = None

    abandoned = await market.service.abandon(ACME, "contacts")

    assert (abandoned.status, abandoned.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert abandoned.features_enabled == ("export",)


async def test_an_upgrade_whose_scripts_were_committed_is_taken_back_by_its_down_scripts(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()
    market.schemas.error_afterwards = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.upgrade(ACME, "contacts")
    market.schemas.error_afterwards = None

    abandoned = await market.service.abandon(ACME, "contacts")

    assert (abandoned.status, abandoned.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert market.schemas.runs[-1] == ["-1.1.0"]
    assert await market.applied() == ["1.0.0"]


async def test_what_leads_one_way_only_is_finished_and_not_taken_back(market: Market) -> None:
    await market.publish_second()
    await market.service.install(ACME, "contacts")
    await market.publish_third()
    market.schemas.error_afterwards = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.upgrade(ACME, "contacts")
    market.schemas.error_afterwards = None

    with pytest.raises(PluginInstallationError, match=r"no down script of plugin contacts leads back from 2\.0\.0"):
        await market.service.abandon(ACME, "contacts")

    record = await market.record()
    assert (record.status, record.interrupted) == (TenantPluginStatus.FAILED, TenantPluginStatus.UPGRADING)
    assert (await market.service.retry(ACME, "contacts")).installed_version == THREE


async def test_another_version_is_not_put_over_scripts_that_were_committed(market: Market) -> None:
    await market.publish_second()
    market.schemas.error_afterwards = BROKEN
    with pytest.raises(PluginInstallationError):
        await market.service.install(ACME, "contacts")
    market.schemas.error_afterwards = None

    with pytest.raises(PluginInstallationError, match=r"has come to 1\.1\.0 .* already: finish that, or take it back"):
        await market.service.install(ACME, "contacts", version=ONE)

    assert await market.applied() == ["1.0.0", "1.1.0"]


async def test_what_is_well_is_neither_begun_again_nor_taken_back(market: Market) -> None:
    await market.service.install(ACME, "contacts")

    with pytest.raises(IllegalTransitionError):
        await market.service.retry(ACME, "contacts")
    with pytest.raises(IllegalTransitionError, match="from active to abandoning"):
        await market.service.abandon(ACME, "contacts")


# --- Back to an earlier version, or to nothing. ---


async def test_a_plugin_goes_back_by_its_down_scripts(market: Market) -> None:
    await market.publish_second()
    await market.service.install(ACME, "contacts", configurations={"limit": 5}, features=["sync", "export"])

    back = await market.service.downgrade(ACME, "contacts", ONE)

    assert (back.status, back.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert back.features_enabled == ("export",)
    assert back.configurations["limit"] == 5
    assert await market.applied() == ["1.0.0"]
    assert await market.service.downgrade(ACME, "contacts", ONE) == back
    assert market.schemas.runs == [["1.0.0", "1.1.0"], ["-1.1.0"]]


async def test_there_is_no_way_back_without_a_down_script_nor_forward_by_going_back(market: Market) -> None:
    await market.publish_second()
    await market.publish_third()
    installed = await market.service.install(ACME, "contacts")

    with pytest.raises(InvalidMigrationError, match=r"no down script of plugin contacts leads back from 2\.0\.0"):
        await market.service.downgrade(ACME, "contacts", TWO)
    with pytest.raises(InvalidMigrationError, match="no down script"):
        await market.service.purge(ACME, "contacts")

    assert await market.record() == installed
    assert market.schemas.runs == [["1.0.0", "1.1.0", "2.0.0"]]


async def test_going_back_does_not_lead_forward(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()

    with pytest.raises(InvalidMigrationError, match="cannot go back"):
        await market.service.downgrade(ACME, "contacts", TWO)


async def test_what_is_purged_is_gone_and_can_be_installed_anew(market: Market) -> None:
    await market.publish_second()
    await market.service.install(ACME, "contacts", configurations={"limit": 5}, features=["sync"])

    purged = await market.service.purge(ACME, "contacts")

    assert (purged.status, purged.installed_version) == (TenantPluginStatus.UNINSTALLED, None)
    assert (purged.configurations, purged.features_enabled) == ({}, ())
    assert isinstance(market.registry.events[-1], PluginPurged)
    assert await market.applied() == []
    assert await market.service.purge(ACME, "contacts") == purged
    assert market.schemas.runs == [["1.0.0", "1.1.0"], ["-1.1.0", "-1.0.0"]]
    assert (await market.service.install(ACME, "contacts")).installed_version == TWO


async def test_what_was_uninstalled_can_be_purged_afterwards(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.service.uninstall(ACME, "contacts")

    assert (await market.service.purge(ACME, "contacts")).installed_version is None
    assert await market.applied() == []


@pytest.mark.parametrize("committed", [False, True])
async def test_a_purge_that_failed_is_taken_back_to_uninstalled(market: Market, committed: bool) -> None:
    await market.service.install(ACME, "contacts")
    setattr(market.schemas, "error_afterwards" if committed else "error", BROKEN)
    with pytest.raises(PluginInstallationError):
        await market.service.purge(ACME, "contacts")
    market.schemas.error = market.schemas.error_afterwards = None

    abandoned = await market.service.abandon(ACME, "contacts")

    assert (abandoned.status, abandoned.installed_version) == (TenantPluginStatus.UNINSTALLED, ONE)
    assert await market.applied() == ["1.0.0"]


# --- Finished after a crash. ---


async def install(market: Market) -> None:
    await market.service.install(ACME, "contacts", version=ONE)


async def upgrade(market: Market) -> None:
    await market.service.upgrade(ACME, "contacts")


async def downgrade(market: Market) -> None:
    await market.service.downgrade(ACME, "contacts", ONE)


async def purge(market: Market) -> None:
    await market.service.purge(ACME, "contacts")


async def abandon(market: Market) -> None:
    await market.service.abandon(ACME, "contacts")


async def has_failed(market: Market) -> None:
    await install(market)
    market.schemas.error = BROKEN
    with pytest.raises(PluginInstallationError):
        await upgrade(market)
    market.schemas.error = None


async def is_at_two(market: Market) -> None:
    await market.service.install(ACME, "contacts")


async def nothing(market: Market) -> None:
    """Begin with nothing installed."""


Deed = Callable[[Market], Awaitable[None]]
DEEDS = [(nothing, install), (install, upgrade), (is_at_two, downgrade), (install, purge), (has_failed, abandon)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commit", [1, 2])
@pytest.mark.parametrize(("before", "deed"), DEEDS, ids=[deed.__name__ for _, deed in DEEDS])
async def test_whatever_a_crash_interrupts_reconciling_finishes(
    market: Market, before: Deed, deed: Deed, commit: int, after: bool
) -> None:
    await market.publish_second()
    undisturbed = Market(Registry())
    await undisturbed.registry.start()
    await undisturbed.open()
    await undisturbed.publish_second()
    for one in (before, deed):
        await one(undisturbed)
    expected = await undisturbed.record()

    await before(market)
    await crash(market, deed(market), in_commit=commit, after=after)
    early = await market.service.reconcile()
    market.clock.advance(minutes=2)
    finished = await market.service.reconcile()
    if (commit, after) == (1, False):  # nothing had been recorded yet
        await deed(market)

    record = await market.record()
    assert early == []
    assert len(finished) == (0 if (commit, after) in ((1, False), (2, True)) else 1)
    assert (record.status, record.installed_version, record.lease) == (
        expected.status,
        expected.installed_version,
        None,
    )
    assert (record.configurations, record.features_enabled) == (expected.configurations, expected.features_enabled)
    assert await market.applied() == await undisturbed.applied()
    assert await market.service.reconcile() == []


async def test_what_fails_while_it_is_finished_comes_back_as_failed(market: Market) -> None:
    await crash(market, market.service.install(ACME, "contacts"), in_commit=2)
    market.clock.advance(minutes=2)
    market.schemas.error = BROKEN

    (failed,) = await market.service.reconcile()

    assert (failed.status, failed.error_message) == (TenantPluginStatus.FAILED, "syntax error")
    assert await market.service.reconcile() == []


async def test_what_belongs_to_a_suspended_tenant_waits_for_it(market: Market) -> None:
    await crash(market, market.service.install(ACME, "contacts"), in_commit=2)
    market.clock.advance(minutes=2)
    await market.tenants.suspend(ACME)
    assert await market.service.reconcile() == []
    await market.tenants.resume(ACME)

    (finished,) = await market.service.reconcile()

    assert finished.status is TenantPluginStatus.ACTIVE


async def test_several_that_reconcile_at_once_finish_it_once(market: Market) -> None:
    await crash(market, market.service.install(ACME, "contacts"), in_commit=2)
    market.clock.advance(minutes=2)

    found = await asyncio.gather(*(market.service.reconcile() for _ in range(4)))

    assert sum(map(len, found)) == 1
    assert (await market.record()).status is TenantPluginStatus.ACTIVE


async def test_a_cancellation_leaves_it_to_whoever_comes_next(market: Market) -> None:
    market.schemas.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await market.service.install(ACME, "contacts")
    market.schemas.error = None

    (finished,) = await market.service.reconcile()

    assert finished.status is TenantPluginStatus.ACTIVE


async def test_a_watch_finishes_what_is_due_round_after_round_and_survives_an_outage(market: Market) -> None:
    await crash(market, market.service.install(ACME, "contacts"), in_commit=2)
    market.clock.advance(minutes=2)
    market.registry.unavailable = True
    stop, heard = asyncio.Event(), list[object]()

    def report(outcome: object) -> None:
        heard.append(outcome)
        market.registry.unavailable = False
        if len(heard) == 2:
            stop.set()

    await market.service.watch(interval=0.001, stop=stop, report=report)

    outage, finished = heard
    assert isinstance(outage, DatabaseUnavailableError)
    assert isinstance(finished, list)
    assert [record.status for record in finished] == [TenantPluginStatus.ACTIVE]


# --- Checksums. ---


async def test_a_schema_that_has_drifted_is_refused_and_found(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.create(GLOBEX)
    await market.service.install(GLOBEX, "contacts")
    assert (await market.verification.verify("contacts")).drifts == ()
    other = SchemaMigration(version_to=ONE, script="CREATE TABLE ${schema}.other (id uuid)", down=OPENING.down)
    market.schemas._ledgers.clear()
    await market.schemas.migrate(ACME, CRM, "contacts", [other], fence=1)
    await market.publish_second()

    with pytest.raises(PluginInstallationError) as refused:
        await market.service.upgrade(ACME, "contacts")
    found = await market.verification.verify("contacts")
    only = await market.verification.verify("contacts", GLOBEX)

    assert isinstance(refused.value.__cause__, ChecksumMismatchError)
    assert (found.checked, only.checked) == (2, 1)
    assert [(str(drift.tenant_id), drift.problem.split(",")[0]) for drift in found.drifts] == [
        ("acme", f"the script to 1.0.0 was run as {other.checksum[:12]}…"),
        ("globex", "the record says 1.0.0"),
    ]
    assert [drift.problem for drift in only.drifts] == ["the record says 1.0.0, and the script to 1.0.0 was not run"]


async def test_a_ledger_that_has_come_farther_is_found(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.schemas.migrate(ACME, CRM, "contacts", [OPENING, ONE_WAY], fence=1)

    found = await market.verification.verify("contacts")

    assert [drift.problem for drift in found.drifts] == [
        "a script to 2.0.0 was run, and none is published",
        "the record says 1.0.0, and the script to 2.0.0 was run",
    ]


async def test_what_is_under_way_may_be_ahead_of_its_record(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()
    await crash(market, market.service.upgrade(ACME, "contacts"), in_commit=2)

    assert (await market.verification.verify("contacts")).drifts == ()


async def test_a_version_without_scripts_is_never_behind(market: Market) -> None:
    await market.service.publish("notes", CRM, FIRST)
    await market.service.publish("notes", CRM, THIRD)
    await market.service.install(ACME, "notes")

    assert (await market.verification.verify("notes")).drifts == ()
