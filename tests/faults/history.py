"""Histories of units of work with faults among them, and the play that compares them with what is stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, Final, Protocol

from hypothesis import strategies as st
from tests.faults.ledger import Ledger, Outcome
from tests.faults.line import Line

from prismicx.domain.errors import CommitOutcomeUnknownError, PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.testing.examples import Widget, Widgets

TENANTS: Final = (TenantId("acme"), TenantId("globex"))

_numbers = count()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Args:
        kind: which of the world's faults.
        at: which question from then on it hits, for those that wait for one.
        in_the_middle: whether it comes between the writes and the commit of the first unit, or before the unit.
    """

    kind: str
    at: int
    in_the_middle: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Units of work at one time, with a fault among them or none."""

    units: int
    writes: int
    retried: bool
    fault: Fault | None


class World(Protocol):
    """A backend, and what can go wrong with its server.

    Attributes:
        line: to the server.
        kinds: of faults.
        commit: what a commit holds on the line.
    """

    kinds: ClassVar[tuple[str, ...]]
    commit: ClassVar[bytes]

    @property
    def backend(self) -> Backend: ...
    @property
    def line(self) -> Line: ...

    async def strike(self, fault: Fault) -> None:
        """Let it go wrong."""
        ...

    async def recover(self) -> None:
        """Let nothing more go wrong, and wait until the server answers again."""
        ...

    async def stored(self) -> Counter[str]:
        """Return how often each marker is stored, as the server's administrator sees it, and forget them all."""
        ...


def histories(kinds: tuple[str, ...]) -> st.SearchStrategy[list[Step]]:
    """Return histories of up to five steps, most of them with a fault."""
    faults = st.builds(Fault, st.sampled_from(kinds), st.integers(1, 6), st.booleans())
    steps = st.builds(Step, st.integers(1, 3), st.integers(1, 3), st.booleans(), st.none() | faults | faults)
    return st.lists(steps, min_size=1, max_size=5)


async def play(history: list[Step], world: World) -> list[str]:
    """Play a history, and return where what was reported and what is stored differ, or what did not recover."""
    ledger = Ledger()
    for step in history:
        struck = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(step.units):
                strike = _strike(world, step.fault, struck) if number == 0 and step.fault else None
                group.create_task(_unit(world, step, ledger, strike))
        await world.recover()
    after = await _recovered(world)
    return ledger.violations(await world.stored()) + after


Strike = Callable[[bool], Awaitable[None]]


def _strike(world: World, fault: Fault, struck: asyncio.Event) -> Strike:
    async def strike(in_the_middle: bool) -> None:
        if fault.in_the_middle is in_the_middle and not struck.is_set():
            struck.set()
            await world.strike(fault)

    return strike


async def _unit(world: World, step: Step, ledger: Ledger, strike: Strike | None) -> None:
    number = next(_numbers)
    marker, tenant = f"unit-{number}", TENANTS[number % 2]

    async def work(uow: UnitOfWork) -> None:
        uow.repository(Widgets).add_many([Widget(name=marker) for _ in range(step.writes)])
        if strike is not None:
            await uow.flush()
            await strike(True)

    told: Exception | None = None
    try:
        if strike is not None:
            await strike(False)
        await _opened(world.backend, tenant, work, tries=4 if step.retried else 1)
        outcome = Outcome.DONE
    except CommitOutcomeUnknownError as error:
        outcome, told = Outcome.UNKNOWN, error
    except PrismicxError as error:
        outcome, told = Outcome.NOT_DONE, error
    except Exception as error:  # noqa: BLE001  # whatever else is raised breaks a promise, and is reported as that
        outcome, told = Outcome.UNKNOWN, error
        ledger.strangers.append(f"{type(error).__name__}: {error}")
    ledger.enter(marker, outcome, writes=step.writes, error=told)


async def _opened(
    backend: Backend, tenant: TenantId, work: Callable[[UnitOfWork], Awaitable[Any]], *, tries: int
) -> None:
    await backend.run(tenant, work, retry=Retry(tries=tries, base=0.001, cap=0.01))


async def _recovered(world: World) -> list[str]:
    """Return nothing if a unit that may try again works, in the same backend, now that nothing goes wrong."""

    async def work(uow: UnitOfWork) -> None:
        await uow.repository(Widgets).count()

    try:
        async with asyncio.timeout(10):
            for tenant in TENANTS:
                await _opened(world.backend, tenant, work, tries=10)
    except (PrismicxError, TimeoutError) as error:
        return [f"it did not recover: {type(error).__name__}: {error}"]
    return []
