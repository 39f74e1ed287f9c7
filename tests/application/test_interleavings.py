"""Two reconcilers and a crash, in every order that Hypothesis thinks of, on a registry in memory.

Whoever acts is told by a schedule: one worker goes as far as its next commit or its next step, or time passes. So a
worker can be left lying in the middle of anything for longer than its lease lasts, and go on as a zombie.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.application.memory import Clock, Death, Registry, RegistryUnit
from tests.application.place import ACME, EU, STANDARD

from prismicx.adapters.terms import Terms
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import IllegalTransitionError, LeaseLostError, OperationUnderWayError, ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant, TenantStatus
from prismicx.testing.databases import finish

WORKER: ContextVar[str] = ContextVar("WORKER")
WORKERS = ("one", "two")


class Crash(NamedTuple):
    """The worker that dies, at which of its commits, and on which side of it."""

    worker: str
    commit: int
    moment: Literal["before", "after"]


class Turns:
    """Lets a worker go on when it is its turn; whoever is no worker does not wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    async def take(self) -> None:
        worker = WORKER.get("")
        if worker:
            turn = self._waiting[worker] = asyncio.Event()
            await turn.wait()

    async def give(self, worker: str, task: asyncio.Task[None]) -> None:
        """Let this worker go as far as the next point where it waits, or to its end."""
        turn = self._waiting.pop(worker, None)
        if turn is not None:
            turn.set()
        for _ in range(100):
            if worker in self._waiting or task.done():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"worker {worker} neither waits nor ends")


class InterleavedRegistry(Registry):
    """A registry whose commits wait for their turn, and in which a worker may die."""

    def __init__(self, turns: Turns, crash: Crash | None) -> None:
        super().__init__()
        self.turns = turns
        self.crash = crash
        self.committed: Counter[str] = Counter()

    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> RegistryUnit:
        return InterleavedUnit(self, tenant, terms=terms)


class InterleavedUnit(RegistryUnit):
    """A unit of work of such a registry."""

    async def _commit(self) -> None:
        registry, worker = self._registry, WORKER.get("")
        assert isinstance(registry, InterleavedRegistry)
        await registry.turns.take()
        registry.committed[worker] += 1
        number = registry.committed[worker]
        if registry.crash == Crash(worker, number, "before"):
            raise Death
        await super()._commit()
        if registry.crash == Crash(worker, number, "after"):
            raise Death


class FencedShelf(ProvisioningStep):
    """A step in two writes, each of which carries the fencing number, as a database's do."""

    def __init__(self, name: str, turns: Turns) -> None:
        self._name = name
        self.turns = turns
        self.written: set[str] = set()
        self.fence = 0

    @property
    def name(self) -> str:
        return self._name

    async def ensure(self, tenant: Tenant) -> None:
        for part in ("shelf", "books"):
            await self._write(tenant)
            self.written.add(part)

    async def verify(self, tenant: Tenant) -> None:
        if self.written != {"shelf", "books"}:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self._name, reason="it is not there")

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return {"books": 3} if "books" in self.written else {}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        found = await self.contents(tenant)
        for part in ("books", "shelf"):
            await self._write(tenant)
            self.written.discard(part)
        return found

    async def _write(self, tenant: Tenant) -> None:
        await self.turns.take()
        if tenant.fence < self.fence:
            raise LeaseLostError(tenant.subject, fence=tenant.fence)
        self.fence = tenant.fence


class World:
    """A tenant whose creation, or deletion, was interrupted after so many commits, and two reconcilers."""

    def __init__(self, crash: Crash | None) -> None:
        self.turns = Turns()
        self.clock = Clock()
        self.registry = InterleavedRegistry(self.turns, crash)
        self.steps = [FencedShelf("schemas", self.turns), FencedShelf("insights", self.turns)]
        self.service = TenantProvisioning(self.registry, self.steps, clock=self.clock)

    async def interrupt(self, deed: str, commit: int) -> None:
        await self.registry.start()
        creating = self.service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)
        if deed == "delete":
            await creating
        self.registry.dies_after = self.registry.commits + commit
        with pytest.raises(Death):
            await (creating if deed == "create" else self.service.delete(ACME))
        self.registry.dies_after = None
        self.clock.advance(minutes=2)

    async def play(self, schedule: Sequence[str], *, aborting: bool) -> None:
        deeds = {"one": self._reconcile, "two": self._abort if aborting else self._reconcile}
        tasks = {worker: asyncio.create_task(self._work(worker, deed)) for worker, deed in deeds.items()}
        for action in itertools.chain(schedule, itertools.cycle(WORKERS)):
            if action == "time passes":
                self.clock.advance(minutes=2)
            else:
                await self.turns.give(action, tasks[action])
                await self.check()
            if all(task.done() for task in tasks.values()):
                break
        await asyncio.gather(*tasks.values())

    async def check(self) -> None:
        tenant = await self.service.get(ACME)
        if tenant.status is TenantStatus.ACTIVE:
            assert [step.written for step in self.steps] == [{"shelf", "books"}] * 2, "active too early"
        if tenant.status is TenantStatus.DELETED:
            assert [step.written for step in self.steps] == [set(), set()], "deleted too early, or made again"

    async def _work(self, worker: str, deed: Callable[[], Awaitable[object]]) -> None:
        WORKER.set(worker)
        try:
            await deed()
        except Death:
            return

    async def _reconcile(self) -> None:
        await self.service.reconciler.reconcile()

    async def _abort(self) -> None:
        with suppress(IllegalTransitionError, LeaseLostError, OperationUnderWayError):
            await self.service.abort(ACME)


async def play(deed: str, commit: int, schedule: Sequence[str], crash: Crash | None) -> None:
    world = World(crash)
    await world.interrupt("delete" if deed == "delete" else "create", commit)
    await world.play(schedule, aborting=deed == "create and abort")
    world.clock.advance(minutes=10)
    await world.service.reconciler.reconcile()

    tenant = await world.service.get(ACME)
    await world.check()
    ends = {"create": ["active"], "delete": ["deleted"], "create and abort": ["active", "deleted"]}
    assert tenant.status.value in ends[deed], "it does not converge"
    assert tenant.lease is None
    if deed == "delete":
        assert tenant.receipt is not None
        assert tenant.receipt.removed == {"books": 3, "registry.tenant_plugins": 0}


# The first worker is left in the middle of its step, the second takes everything back, and the first goes on.
ZOMBIE = ("one",) * 3 + ("time passes",) + ("two",) * 40

HISTORIES = given(
    deed=st.sampled_from(["create", "create and abort", "delete"]),
    commit=st.integers(1, 5),
    schedule=st.lists(st.sampled_from([*WORKERS, *WORKERS, "time passes"]), max_size=40),
    crash=st.none()
    | st.builds(Crash, st.sampled_from(WORKERS), st.integers(1, 8), st.sampled_from(["before", "after"])),
)


@settings(max_examples=100)
@HISTORIES
def test_two_reconcilers_and_a_crash_converge(deed: str, commit: int, schedule: list[str], crash: Crash | None) -> None:
    finish(play(deed, commit, schedule, crash))


def test_a_zombie_writes_nothing_after_it_was_overtaken() -> None:
    finish(play("create and abort", 1, ZOMBIE, None))
