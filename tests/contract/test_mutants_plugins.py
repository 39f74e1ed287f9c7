"""Plugins on PostgreSQL and in memory: what keeps a tenant's schema whole, and what happens once that is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.application.market import ACME, CRM, GLOBEX, ONE, OPENING, TWO, WIDENING, Market
from tests.application.memory import Registry
from tests.contract.opened import opened_postgres
from tests.mutants import assert_goes_red

from prismicx.adapters import ledgers
from prismicx.adapters.ledgers import Turn
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, migrations, provisioner
from prismicx.application.plugin_recovery import PluginRecovery
from prismicx.domain.errors import (
    ChecksumMismatchError,
    DatabaseError,
    LeaseLostError,
    OperationUnderWayError,
    PrismicxError,
)
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.leases import Lease
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.registry import TenantPluginRepository
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, RolloutStatus
from prismicx.testing.databases import PostgresServer

Patch = pytest.MonkeyPatch


@pytest.fixture
async def postgres(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


@pytest.fixture
async def market() -> Market:
    registry = Registry()
    await registry.start()
    market = Market(registry)
    await market.open()
    return market


async def refusal(work: Any) -> type[BaseException] | None:
    """Return what a use case ends in, as long as it is an error of ours."""
    try:
        await work
    except PrismicxError as error:
        return type(error)
    return None


# --- The schema, on PostgreSQL. ---

BROKEN = SchemaMigration(
    version_from=ONE, version_to=TWO, script="ALTER TABLE ${schema}.contacts ADD name text; SELECT 1/0"
)


@pytest.mark.control
async def test_who_was_overtaken_runs_no_script(postgres: SqlAlchemyBackend) -> None:
    schemas = postgres.plugin_schemas
    await schemas.migrate(ACME, CRM, "contacts", [OPENING], fence=2)

    assert await refusal(schemas.migrate(ACME, CRM, "contacts", [OPENING, WIDENING], fence=1)) is LeaseLostError
    assert await schemas.applied(ACME, CRM, "contacts") == ["1.0.0"]


async def test_scripts_without_a_fence(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def pass_all(connection: Any, subject: str, number: int) -> None:
        """Ask nothing: the bug."""

    monkeypatch.setattr(migrations, "require_fence", pass_all)
    monkeypatch.setattr(provisioner, "require_fence", pass_all)

    await assert_goes_red(test_who_was_overtaken_runs_no_script, postgres, backend="SqlAlchemyBackend")


@pytest.mark.control
async def test_a_script_that_has_drifted_is_refused(postgres: SqlAlchemyBackend) -> None:
    schemas = postgres.plugin_schemas
    await schemas.migrate(ACME, CRM, "contacts", [OPENING], fence=1)
    other = SchemaMigration(version_to=ONE, script="SELECT 1 -- ${schema}")

    assert await refusal(schemas.migrate(ACME, CRM, "contacts", [other, WIDENING], fence=1)) is ChecksumMismatchError
    assert await schemas.applied(ACME, CRM, "contacts") == ["1.0.0"]


async def test_checksums_that_nobody_compares(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(ledgers, "_require_unchanged", lambda plugin, entry, now: None)

    await assert_goes_red(test_a_script_that_has_drifted_is_refused, postgres, backend="SqlAlchemyBackend")


@pytest.mark.control
async def test_a_failed_chain_leaves_nothing(postgres: SqlAlchemyBackend) -> None:
    schemas = postgres.plugin_schemas

    assert await refusal(schemas.migrate(ACME, CRM, "contacts", [OPENING, BROKEN], fence=1)) is DatabaseError
    admin = postgres._provisioner.admin
    async with admin.opened(), admin.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('tenant_acme_crm.contacts')") is None


async def test_scripts_that_are_committed_one_by_one(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    run_script = migrations._run_script

    async def commit_before(connection: Any, schema: str, script: str) -> None:
        await connection.execute("COMMIT")
        await connection.execute("BEGIN")
        await run_script(connection, schema, script)

    monkeypatch.setattr(migrations, "_run_script", commit_before)

    await assert_goes_red(test_a_failed_chain_leaves_nothing, postgres, backend="SqlAlchemyBackend")


# --- The record, in memory. ---


@pytest.mark.control
async def test_one_worker_at_a_time_is_at_work(market: Market) -> None:
    async with market.registry.registry() as unit:
        plugin = (await market.service.published())[0]
        (chosen,) = plugin.versions
        setup = TenantPlugin.prepare(ACME, plugin, _setup(chosen))
        setup.claim("somebody", now=market.clock(), until=market.clock().replace(year=2030))
        unit.repository(TenantPluginRepository).add(setup)
        await unit.commit()

    assert await refusal(market.service.install(ACME, "contacts")) is OperationUnderWayError
    assert market.schemas.runs == []


async def test_leases_that_keep_nobody_out(market: Market, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Lease, "is_free_for", lambda self, holder, now: True)

    await assert_goes_red(test_one_worker_at_a_time_is_at_work, market, backend="MemoryBackend")


@pytest.mark.control
async def test_what_a_crash_interrupted_is_finished(market: Market) -> None:
    await interrupted(market)
    market.clock.advance(minutes=2)

    await market.service.reconcile()

    record = await market.record()
    assert (record.status, record.installed_version) == (TenantPluginStatus.ACTIVE, TWO)
    assert await market.applied() == ["1.0.0", "1.1.0"]


async def test_a_reconciler_that_sees_no_upgrades(market: Market, monkeypatch: Patch) -> None:
    async def nothing(self: PluginRecovery) -> list[TenantPlugin]:
        return []

    monkeypatch.setattr(PluginRecovery, "reconcile", nothing)

    await assert_goes_red(test_what_a_crash_interrupted_is_finished, market, backend="MemoryBackend")


async def test_a_ledger_that_is_forgotten(market: Market, monkeypatch: Patch) -> None:
    take = type(market.schemas)._take

    async def forgetful(self: Any, place: Any, turn: Turn) -> None:
        self._ledgers.pop(place, None)
        await take(self, place, turn)

    monkeypatch.setattr(type(market.schemas), "_take", forgetful)

    await assert_goes_red(test_what_a_crash_interrupted_is_finished, market, backend="MemoryBackend")


@pytest.mark.control
async def test_what_is_abandoned_is_what_it_was(market: Market) -> None:
    await interrupted(market)
    market.clock.advance(minutes=2)

    abandoned = await market.service.abandon(ACME, "contacts")

    assert (abandoned.status, abandoned.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert await market.applied() == ["1.0.0"]


async def test_an_abandonment_that_leaves_the_schema(market: Market, monkeypatch: Patch) -> None:
    async def leave(self: Any, place: Any, turn: Turn) -> None:
        """Take nothing back: the bug."""

    await interrupted(market)
    monkeypatch.setattr(type(market.schemas), "_take", leave)
    monkeypatch.setitem(globals(), "interrupted", _already)

    await assert_goes_red(test_what_is_abandoned_is_what_it_was, market, backend="MemoryBackend")


# --- All tenants. ---


@pytest.mark.control
async def test_a_rollout_pauses_where_too_many_fail(market: Market) -> None:
    await two_tenants(market)
    market.schemas.error = DatabaseError("42601", "syntax error")

    rollout = await market.rollouts.upgrade_all("contacts", plan=RolloutPlan(concurrency=1))

    assert rollout is not None
    assert (rollout.status, rollout.tally.failed) == (RolloutStatus.PAUSED, 1)


async def test_a_budget_that_is_never_used_up(market: Market, monkeypatch: Patch) -> None:
    monkeypatch.setattr(PluginRollout, "has_used_up_its_budget", False)

    await assert_goes_red(test_a_rollout_pauses_where_too_many_fail, market, backend="MemoryBackend")


@pytest.mark.control
async def test_a_rollout_comes_to_everybody(market: Market) -> None:
    await two_tenants(market)

    await market.rollouts.upgrade_all("contacts", plan=RolloutPlan(waves=[50, 100]))

    assert [(await market.record(tenant)).installed_version for tenant in (ACME, GLOBEX)] == [TWO, TWO]


async def test_a_rollout_that_ends_with_its_first_wave(market: Market, monkeypatch: Patch) -> None:
    monkeypatch.setattr("prismicx.application.rollouts.sys.maxsize", 0)

    await assert_goes_red(test_a_rollout_comes_to_everybody, market, backend="MemoryBackend")


async def two_tenants(market: Market) -> None:
    """Give two tenants the first version, and publish the second."""
    await market.create(GLOBEX)
    for tenant in (ACME, GLOBEX):
        await market.service.install(tenant, "contacts")
    await market.publish_second()


async def interrupted(market: Market) -> None:
    """Let a worker die after the scripts of an upgrade were committed, and before that was recorded."""
    from tests.application.memory import Death

    await market.service.install(ACME, "contacts")
    await market.publish_second()
    market.registry.dies_before = market.registry.commits + 2
    with pytest.raises(Death):
        await market.service.upgrade(ACME, "contacts")


async def _already(market: Market) -> None:
    """It has happened before."""


def _setup(version: Any) -> Any:
    from prismicx.domain.setups import PluginSetup

    return PluginSetup.of("contacts", version, configurations={}, features=())
