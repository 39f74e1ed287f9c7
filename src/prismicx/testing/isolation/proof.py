"""The proof in one line: `await assert_isolated(backend, [CustomerRepository])`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Repository
from prismicx.testing.isolation.findings import IsolationBrokenError, NothingProvenError
from prismicx.testing.isolation.machine import TenantIsolationMachine
from prismicx.testing.isolation.queries import Wishes
from prismicx.testing.isolation.shortening import shorten
from prismicx.testing.isolation.steps import openings_of, steps_of
from prismicx.testing.isolation.world import Witness, World

EXAMPLES: Final = 300
"""Histories of a proof, if not said otherwise."""

STEPS: Final = 40
"""Most steps of one history, if not said otherwise."""

_SHORTENING_SECONDS: Final = 10.0

_AT_A_TIME: Final = 1000
"""Histories after which Hypothesis begins anew: it remembers every draw of a run, which is gigabytes for twenty times
as many."""


async def assert_isolated(
    backend: TrackedBackend,
    repositories: Sequence[Callable[..., Repository[Any]]],
    *,
    tenants: int | Sequence[TenantId] = 2,
    examples: int = EXAMPLES,
    steps: int = STEPS,
    values: Mapping[str, SearchStrategy[Any]] | None = None,
    skip: Collection[str] = (),
    commands: Collection[str] = (),
    patience: float = 5.0,
    shrink: bool = True,
    derandomize: bool = True,
) -> Witness:
    """Return if no tenant can tell, by these repositories, that there are others; else raise the shortest history.

    Await it in an asynchronous test, on the loop on which the backend was started. The histories of
    `TenantIsolationMachine` then run on this backend: with tenants of their own, whose places are made first and unmade
    in the end, where the backend has steps for it. What a history stores is removed after it. Three units of work are
    open at a time, and for moments one more: a pool of connections must have four.

    Args:
        backend: started, its shared tables or collections made.
        repositories: those that units are asked for; classes that the backend has registered for them are used.
        tenants: how many; or the tenants themselves, where the backend admits only some.
        examples: how many histories.
        steps: how many steps a history has at most.
        values: Hypothesis strategies for what no type hint tells: attributes by `Customer.email`, parameters of the
            team's own methods by `by_email.email`.
        skip: names of the team's own methods that are not called, such as one whose answer depends on the time.
        commands: names of those that write on purpose; what they do to their own tenant's data is accepted.
        patience: seconds after which one answer is late: a unit that waits for another tenant's is not isolated.
        shrink: look for the shortest history, for up to ten seconds; without, the first that was found is raised.
        derandomize: the same histories in each run; without, others each time.

    Raises:
        IsolationBrokenError: the repository's method, what it betrayed, and the history.
        NothingProvenError: all went well, but a repository was never filled, or a method never answered.
        TypeError: a method has a parameter that nobody knows values of.
        NotMappedError: the backend has no mapping for a repository's aggregate.
    """
    world = World(
        backend, repositories, tenants=tenants, wishes=Wishes(values or {}, skip, commands), patience=patience
    )
    async with _places(world):
        try:
            for number, start in enumerate(range(0, examples, _AT_A_TIME)):
                amount = min(_AT_A_TIME, examples - start)
                await _run(world, number, examples=amount, steps=steps, derandomize=derandomize)
        except (IsolationBrokenError, Flaky):
            if world.shortest is None:
                raise
            if shrink:
                await asyncio.to_thread(shorten, world, world.failing, seconds=_SHORTENING_SECONDS)
            raise IsolationBrokenError(*world.shortest.args) from None  # without what Hypothesis has noted on it
    _require_proof(world)
    return world.witness


@asynccontextmanager
async def _places(world: World) -> AsyncIterator[None]:
    """Have places for the tenants; that they cannot be unmade hides nothing that was found before."""
    await world.make_places()
    try:
        yield
    except BaseException as error:
        try:
            await world.unmake_places()
        except PrismicxError as left:
            error.add_note(f"The tenants' places are still there: {left}")
        raise
    await world.unmake_places()


async def _run(world: World, number: int, *, examples: int, steps: int, derandomize: bool) -> None:
    """Have Hypothesis run histories, which with `derandomize` are the same each time, and others for each number."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,  # a database's time per history says nothing
        database=None,
        derandomize=derandomize,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    )
    machine = type("Machine", (TenantIsolationMachine,), _drawn(world))
    if derandomize and number:
        machine = seed(number)(machine)
    try:
        # Hypothesis drives the histories from a thread of its own; steps are awaited here, where the connections live.
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
    except asyncio.CancelledError:
        world.stop()
        raise


def _drawn(world: World) -> dict[str, Any]:
    ports, tenants = world.ports, len(world.tenants)
    return {
        "world": world,
        "openings": openings_of(ports, tenants=tenants),
        "steps": steps_of(ports, tenants=tenants, has_savepoints=world.has_savepoints),
    }


def _require_proof(world: World) -> None:
    witness = world.witness
    missing = [
        f"no history stored anything of {tenant} in {port.name}: give values for what its aggregate does not accept"
        for port in world.ports
        for tenant in world.tenants
        if (port.name, tenant) not in witness.stored
    ]
    names = [f"{port.name}.{query.name}" for port, query in world.queries]
    missing += [
        f"{name} never answered ({witness.refused.get(name, 'it was not called')}): give values for its parameters"
        for name in names
        if name not in witness.answered
    ]
    if missing:
        raise NothingProvenError("; ".join(missing))
