"""A version comes to all tenants in waves, stops where too many fail, and is gone on with by one worker at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.application.market import CRM, FIRST, ONE, ONE_WAY, OPENING, THREE, TWO, Market
from tests.application.memory import BreakableSchemas, Death, Registry

from prismicx.adapters.ledgers import Turn
from prismicx.application.rollouts import PluginRollouts
from prismicx.domain.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    IllegalTransitionError,
    LeaseLostError,
    OperationUnderWayError,
    PluginNotFoundError,
)
from prismicx.domain.events import RolloutFinished, RolloutPaused, RolloutStarted
from prismicx.domain.identifiers import TenantId
from prismicx.domain.installations import TenantPluginStatus
from prismicx.domain.registry import PluginRolloutRepository
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, RolloutStatus, Tally

BROKEN = DatabaseError("42601", "syntax error")
TENANTS = [TenantId(f"tenant-{number:02}") for number in range(20)]
ALL_AT_ONCE = RolloutPlan(waves=[100], concurrency=3)


class Fleet(Market):
    """A market of twenty tenants that have version 1.0.0, and 1.1.0 for them to come to."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.schemas: FleetSchemas = FleetSchemas()
        self.service._work._schemas = self.schemas

    async def open(self) -> None:
        await self.service.publish("contacts", CRM, FIRST, OPENING)
        for tenant_id in TENANTS:
            await self.create(tenant_id)
            await self.service.install(tenant_id, "contacts")
        await self.publish_second()
        self.schemas.order.clear()
        self.schemas.reached.clear()

    async def versions(self) -> list[str]:
        return [str((await self.record(tenant_id)).installed_version) for tenant_id in TENANTS]

    async def recorded(self) -> PluginRollout:
        async with self.registry.registry(read_only=True) as unit:
            return (await unit.repository(PluginRolloutRepository).list())[-1]


class FleetSchemas(BreakableSchemas):
    """Schemas of which some fail, and that remember in which order and how many at once they were migrated."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[TenantId] = []
        self.failing: set[TenantId] = set()
        self.at_once = self.most_at_once = 0
        self.dies_at: int | None = None

    async def _take(self, place: Any, turn: Turn) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.order.append(place[0])
        await asyncio.sleep(0)
        try:
            if len(self.order) == self.dies_at:
                raise Death
            if place[0] in self.failing:
                raise BROKEN
            await super()._take(place, turn)
        finally:
            self.at_once -= 1


@pytest.fixture
async def fleet(registry: Registry) -> Fleet:
    fleet = Fleet(registry)
    await fleet.open()
    return fleet


async def test_it_comes_to_every_tenant(fleet: Fleet) -> None:
    fleet.schemas.most_at_once = 0

    rollout = await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE)

    assert rollout is not None
    assert (rollout.status, rollout.total, rollout.tally) == (RolloutStatus.DONE, 20, Tally(upgraded=20))
    assert await fleet.versions() == ["1.1.0"] * 20
    assert fleet.schemas.most_at_once == 3
    assert await fleet.recorded() == rollout
    kinds = [type(event) for event in fleet.registry.events]
    assert kinds.count(RolloutStarted) == kinds.count(RolloutFinished) == 1


async def test_where_nobody_is_left_there_is_nothing_to_do(fleet: Fleet) -> None:
    await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE)
    before, reads = fleet.registry.commits, fleet.registry.reads

    assert await fleet.rollouts.upgrade_all("contacts") is None
    assert await fleet.rollouts.upgrade_all("contacts", version=ONE) is None
    assert await fleet.rollouts.upgrade_all("contacts", resume=True) is None

    assert fleet.registry.commits == before
    assert fleet.registry.reads == reads + 3


async def test_what_is_not_published_is_not_rolled_out(fleet: Fleet) -> None:
    with pytest.raises(PluginNotFoundError):
        await fleet.rollouts.upgrade_all("deals")
    with pytest.raises(PluginNotFoundError):
        await fleet.rollouts.upgrade_all("contacts", version=THREE)


async def test_canaries_come_first_then_wave_by_wave(fleet: Fleet) -> None:
    canaries = [TENANTS[17], TENANTS[3]]
    waves: list[tuple[int, int]] = []

    rollout = await fleet.rollouts.upgrade_all(
        "contacts",
        plan=RolloutPlan(canaries=canaries, waves=[25, 50, 100], concurrency=1),
        report=lambda now: waves.append((now.wave, now.tally.attempted)),
    )

    assert rollout is not None
    assert set(fleet.schemas.order[:2]) == set(canaries)
    assert len(fleet.schemas.order) == len(set(fleet.schemas.order)) == 20
    assert [wave for wave, _ in waves] == [1] * 4 + [2] * 5 + [3] * 12
    assert rollout.wave == 3


async def test_a_wave_waits_for_all_of_the_one_before_it(fleet: Fleet) -> None:
    fleet.schemas.gate = asyncio.Event()

    rolling = asyncio.create_task(
        fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(waves=[10, 100], concurrency=5))
    )
    while len(fleet.schemas.order) < 2:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)

    assert len(fleet.schemas.order) == 2
    fleet.schemas.gate.set()
    rollout = await rolling
    assert rollout is not None
    assert rollout.tally.upgraded == 20


async def test_it_pauses_where_more_fail_than_the_budget_allows_and_is_resumed(fleet: Fleet) -> None:
    fleet.schemas.failing = {*TENANTS[4:7]}

    paused = await fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(concurrency=1, error_budget="10%"))

    assert paused is not None
    assert (paused.status, paused.tally) == (RolloutStatus.PAUSED, Tally(upgraded=4, failed=3))
    assert paused.reason == "3 failed, the error budget is 10%"
    assert isinstance(fleet.registry.events[-1], RolloutPaused)
    failed = await fleet.record(TENANTS[4])
    assert (failed.status, failed.installed_version) == (TenantPluginStatus.FAILED, ONE)
    assert len(fleet.schemas.order) == 7

    fleet.schemas.failing = set()
    done = await fleet.rollouts.upgrade_all("contacts", resume=True)

    assert done is not None
    assert (done.id, done.status, done.tally) == (paused.id, RolloutStatus.DONE, Tally(upgraded=20))
    assert done.plan == paused.plan
    assert await fleet.versions() == ["1.1.0"] * 20


async def test_without_a_budget_the_first_failure_pauses_it(fleet: Fleet) -> None:
    fleet.schemas.failing = {TENANTS[0]}

    paused = await fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(concurrency=1))

    assert paused is not None
    assert (paused.status, len(fleet.schemas.order)) == (RolloutStatus.PAUSED, 1)


async def test_begun_anew_it_takes_the_place_of_the_one_that_has_paused(fleet: Fleet) -> None:
    fleet.schemas.failing = {TENANTS[0]}
    paused = await fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(concurrency=1))
    fleet.schemas.failing = set()

    done = await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE)

    assert paused is not None
    assert done is not None
    assert (done.status, done.total) == (RolloutStatus.DONE, 20)
    async with fleet.registry.registry(read_only=True) as unit:
        before = await unit.repository(PluginRolloutRepository).get(paused.id)
    assert (before.status, before.unfinished) == (RolloutStatus.SUPERSEDED, None)
    for verb in (before.supersede, before.finish, lambda: before.pause("why"), lambda: before.note(Tally())):
        with pytest.raises(IllegalTransitionError, match=r"the rollout of contacts 1\.1\.0 cannot go from superseded"):
            verb()


async def test_it_is_resumed_towards_its_own_version(fleet: Fleet) -> None:
    fleet.schemas.failing = {TENANTS[0]}
    await fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(concurrency=1))
    fleet.schemas.failing = set()
    await fleet.publish_third()

    with pytest.raises(IllegalTransitionError, match=r"to a rollout of 2\.0\.0"):
        await fleet.rollouts.upgrade_all("contacts", version=THREE, resume=True)
    done = await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE, resume=True)

    assert done is not None
    assert (done.target, done.plan) == (TWO, ALL_AT_ONCE)
    assert ONE_WAY.version_to == THREE
    assert await fleet.versions() == ["1.1.0"] * 20


async def test_whom_it_cannot_come_to_is_skipped(fleet: Fleet) -> None:
    await fleet.tenants.suspend(TENANTS[2])
    async with fleet.registry.registry() as unit:
        busy = await fleet.record(TENANTS[5])
        found = await unit.repository(type_of_installations()).get(busy.id)
        found.claim("somebody", now=fleet.clock(), until=fleet.clock().replace(year=2030))
        await unit.commit()

    rollout = await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE)

    assert rollout is not None
    assert rollout.tally == Tally(upgraded=18, skipped=2)
    assert (await fleet.versions()).count("1.0.0") == 2


async def test_a_second_operator_is_refused_and_an_overtaken_one_stops(fleet: Fleet) -> None:
    fleet.schemas.gate = asyncio.Event()
    first = asyncio.create_task(fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE))
    await fleet.schemas.reached.wait()
    for resume in (False, True):
        with pytest.raises(OperationUnderWayError, match=r"is at work on the rollout of contacts 1\.1\.0"):
            await fleet.rollouts.upgrade_all("contacts", resume=resume)
    fleet.clock.advance(minutes=2)

    second = asyncio.create_task(fleet.rollouts.upgrade_all("contacts", resume=True))
    while (await fleet.recorded()).fence != 2 and not second.done():  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0)
    fleet.schemas.gate.set()

    with pytest.raises(LeaseLostError):
        await first
    done = await second
    assert done is not None
    assert done.status is RolloutStatus.DONE
    assert await fleet.versions() == ["1.1.0"] * 20


@pytest.mark.parametrize("commit", range(1, 70, 6))
async def test_whenever_the_process_dies_it_is_resumed_and_nobody_is_upgraded_twice(fleet: Fleet, commit: int) -> None:
    fleet.registry.dies_after = fleet.registry.commits + commit
    died = False
    try:
        await fleet.rollouts.upgrade_all("contacts", plan=RolloutPlan(waves=[10, 100], concurrency=1))
    except Death:
        died = True
    fleet.registry.dies_after = None
    fleet.clock.advance(minutes=2)

    await fleet.rollouts.upgrade_all("contacts", resume=True)

    assert died == (commit < 43)  # begun, two for each of twenty, and done
    assert await fleet.versions() == ["1.1.0"] * 20
    assert fleet.schemas.runs.count(["1.1.0"]) == 20
    assert await fleet.rollouts.upgrade_all("contacts") is None
    assert (await fleet.recorded()).status is RolloutStatus.DONE


async def test_an_outage_of_the_registry_pauses_it(fleet: Fleet) -> None:
    def fail(rollout: PluginRollout) -> None:
        if rollout.status is RolloutStatus.RUNNING:
            raise DatabaseUnavailableError("registry:5432", "is it running?")

    with pytest.raises(DatabaseUnavailableError):
        await fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE, report=fail)

    rollout = await fleet.recorded()
    assert (rollout.status, rollout.lease) == (RolloutStatus.PAUSED, None)
    assert "is it running?" in (rollout.reason or "")


async def test_a_cancellation_pauses_it(fleet: Fleet) -> None:
    fleet.schemas.gate = asyncio.Event()
    rolling = asyncio.create_task(fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE))
    await fleet.schemas.reached.wait()

    rolling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rolling

    fleet.schemas.gate = None
    assert (await fleet.recorded()).status is RolloutStatus.PAUSED
    done = await fleet.rollouts.upgrade_all("contacts", resume=True)
    assert done is not None
    assert await fleet.versions() == ["1.1.0"] * 20


async def test_how_far_it_has_come_is_recorded_while_it_goes_on(fleet: Fleet) -> None:
    from datetime import timedelta

    fleet.rollouts = PluginRollouts(fleet.registry, fleet.service, lease=timedelta(milliseconds=30), clock=fleet.clock)
    fleet.schemas.gate = asyncio.Event()
    rolling = asyncio.create_task(fleet.rollouts.upgrade_all("contacts", plan=ALL_AT_ONCE))
    await fleet.schemas.reached.wait()
    first = (await fleet.recorded()).lease
    assert first is not None
    fleet.clock.advance(milliseconds=20)

    while (renewed := (await fleet.recorded()).lease) is None or renewed.expires_at == first.expires_at:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0)

    fleet.schemas.gate.set()
    assert await rolling is not None


def type_of_installations() -> Any:
    from prismicx.domain.registry import TenantPluginRepository

    return TenantPluginRepository
