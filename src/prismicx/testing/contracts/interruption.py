"""Cancelled at any await, or out of time at any: the transaction ends, nothing is half done, the next unit works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from prismicx.adapters import open_units
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.causes import Cause
from prismicx.domain.errors import CommitOutcomeUnknownError, DeadlineExceededError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import PATIENCE, reached, store, stored
from prismicx.testing.examples import Widget, Widgets
from prismicx.testing.interruption import Moment, interrupted_at

Program = Callable[[UnitOfWork, Widget, Widget], Awaitable[None]]

_MOST_STOPS = 500


async def long_program(uow: UnitOfWork, kept: Widget, new: Widget) -> None:
    """Do in a unit what units do: read, add, change, flush, query, and go on reading."""
    widgets = uow.repository(Widgets)
    found = await widgets.get(kept.id)
    widgets.add(new)
    await uow.flush()
    found.amount += 1
    await widgets.list(Widget.name == "new")
    await widgets.count()
    async for _ in widgets.stream():
        pass


class InterruptionContract(TwoTenants):
    """What a unit of work leaves behind that does not come to its end: nothing."""

    @pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())
    async def test_cancellation_at_every_await_leaves_nothing_half_done(
        self, backend: Backend, acme: TenantId, globex: TenantId, moment: Moment
    ) -> None:
        await cancel_everywhere(backend, acme, globex, moment)

    @pytest.mark.parametrize("moment", (Moment.WAITING, Moment.ARRIVED), ids=lambda moment: moment.name.lower())
    async def test_a_deadline_that_passes_at_any_await_says_rightly_what_lasts(
        self, backend: Backend, acme: TenantId, globex: TenantId, moment: Moment
    ) -> None:
        await overdue_everywhere(backend, acme, globex, moment)

    async def test_a_unit_whose_time_is_over_is_rolled_back(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()

        with pytest.raises(DeadlineExceededError) as late:
            async with backend.unit_of_work(acme, deadline=0.05) as uow:
                uow.repository(Widgets).add(widget)
                await uow.flush()
                async with asyncio.timeout(PATIENCE):
                    await asyncio.Event().wait()

        assert "between its statements" in late.value.place
        assert late.value.seconds == 0.05
        assert await stored(backend, acme, widget) is None
        await store(backend, acme, widget)

    async def test_a_unit_that_is_done_in_time_is_left_alone(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()

        async with backend.unit_of_work(acme, deadline=30) as uow:
            uow.repository(Widgets).add(widget)
            await uow.commit()
        async with asyncio.timeout(30), backend.unit_of_work(acme, deadline=29) as uow:
            found = await uow.repository(Widgets).get(widget.id)

        assert found == widget

    async def test_a_cancellation_is_no_deadline(self, backend: Backend, acme: TenantId) -> None:
        entered = asyncio.Event()

        async def work() -> None:
            async with backend.unit_of_work(acme, deadline=30):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await reached(entered, by=task)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize("seconds", (0, -1, float("inf"), float("nan")))
    async def test_a_deadline_is_a_positive_number_of_seconds(
        self, backend: Backend, acme: TenantId, seconds: float
    ) -> None:
        with pytest.raises(ValueError, match="deadline"):
            backend.unit_of_work(acme, deadline=seconds)


async def cancel_everywhere(
    backend: Backend,
    acme: TenantId,
    globex: TenantId,
    moment: Moment,
    *,
    program: Program = long_program,
    before_each: Callable[[], object] = lambda: None,
) -> int:
    """Run a unit of work once for each of its stops, cancelled there, until one comes to its end; return how many.

    After each, the next unit works, sees all of it or nothing, and no tenant is left behind.

    Raises:
        AssertionError: one left something.
    """

    async def work(kept: Widget, new: Widget) -> None:
        await _whole(backend.unit_of_work(acme), program, kept, new)

    async def run(kept: Widget, new: Widget, stop: int) -> bool:
        before_each()
        reached, error = await interrupted_at(work(kept, new), stop, moment)
        assert error is None or isinstance(error, asyncio.CancelledError), f"cancelled at stop {stop}: {error!r}"
        return reached

    return await _everywhere(backend, acme, globex, run)


async def overdue_everywhere(
    backend: Backend, acme: TenantId, globex: TenantId, moment: Moment, *, program: Program = long_program
) -> int:
    """As `cancel_everywhere`, but the deadline of the unit passes at each stop.

    Raises:
        AssertionError: one left something, or did not say rightly whether it lasts.
    """

    async def run(kept: Widget, new: Widget, stop: int) -> bool:
        uow = backend.unit_of_work(acme, deadline=1000)
        assert isinstance(uow, TrackedUnitOfWork)
        deadline = uow.deadline
        assert deadline is not None

        work = _whole(uow, program, kept, new)
        reached, error = await interrupted_at(work, stop, moment, interrupt=deadline.interrupt)
        lasts = await stored(backend, acme, new) is not None
        match error:
            case DeadlineExceededError():
                assert not lasts, f"it lasts, and was reported not to: out of time at stop {stop}"
            case CommitOutcomeUnknownError():
                assert error.cause is Cause.DEADLINE_IN_COMMIT
            case _:
                assert error is None, f"out of time at stop {stop}: {error!r}"
                assert lasts, f"it was reported done and is not: out of time at stop {stop}"
        return reached

    return await _everywhere(backend, acme, globex, run)


async def _whole(unit: UnitOfWork, program: Program, kept: Widget, new: Widget) -> None:
    try:
        async with unit as uow:
            await program(uow, kept, new)
            await uow.commit()
    finally:
        assert open_units.open_tenant() is None, "the task still carries the tenant"


async def _everywhere(
    backend: Backend, acme: TenantId, globex: TenantId, run: Callable[[Widget, Widget, int], Awaitable[bool]]
) -> int:
    kept = Widget(name="kept")
    await store(backend, acme, kept)
    for stop in range(1, _MOST_STOPS):
        new = Widget(name="new")
        before = await _amount(backend, acme, kept)
        interrupted = await run(kept, new, stop)
        async with asyncio.timeout(PATIENCE):
            lasts = await stored(backend, acme, new) is not None
            after = await _amount(backend, acme, kept)
            assert after == before + lasts, f"half of it lasts, interrupted at stop {stop}"
            assert await stored(backend, globex, kept) is None
            await _change(backend, acme, kept)
        if not interrupted:
            assert lasts, "undisturbed, it is committed"
            return stop - 1
    raise AssertionError(f"it came to no end in {_MOST_STOPS} stops")


async def _amount(backend: Backend, tenant: TenantId, widget: Widget) -> int:
    found = await stored(backend, tenant, widget)
    assert found is not None
    return found.amount


async def _change(backend: Backend, tenant: TenantId, widget: Widget) -> None:
    """Write what the interrupted unit has written: it holds no lock on it any more."""
    async with backend.unit_of_work(tenant) as uow:
        (await uow.repository(Widgets).get(widget.id)).amount += 10
        await uow.commit()
