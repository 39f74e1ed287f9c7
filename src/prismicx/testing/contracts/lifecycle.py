"""A unit of work begins once, ends once, belongs to one task, and leaves nothing behind that was not committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from prismicx.domain.errors import (
    DuplicateEntityError,
    NotMappedError,
    ReadOnlyUnitOfWorkError,
    UnitOfWorkClosedError,
    UnitOfWorkSharedError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.registry import TenantRepository
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import reached, store, stored, stored_count
from prismicx.testing.examples import Widget, Widgets

_USES: tuple[Callable[[UnitOfWork, Widgets], Awaitable[object]], ...] = (
    lambda uow, widgets: uow.flush(),
    lambda uow, widgets: uow.commit(),
    lambda uow, widgets: widgets.list(),
    lambda uow, widgets: widgets.page(),
    lambda uow, widgets: widgets.count(),
    lambda uow, widgets: widgets.exists(),
    lambda uow, widgets: widgets.find(Widget().id),
    lambda uow, widgets: anext(aiter(widgets.stream())),
)


class LifecycleContract(TwoTenants):
    """How a unit of work begins and ends."""

    async def test_what_was_committed_lasts(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="first")

        await store(backend, acme, widget)

        assert await stored(backend, acme, widget) == widget

    async def test_nothing_lasts_without_commit(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget())
            await uow.flush()

        assert await stored_count(backend, acme) == 0

    async def test_changes_and_removals_do_not_last_without_commit(self, backend: Backend, acme: TenantId) -> None:
        kept, changed = Widget(name="kept"), Widget(name="before")
        await store(backend, acme, kept, changed)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.remove(await widgets.get(kept.id))
            (await widgets.get(changed.id)).name = "after"
            await uow.flush()

        assert await stored(backend, acme, kept) == kept
        assert await stored(backend, acme, changed) == changed

    async def test_an_error_discards_everything(self, backend: Backend, acme: TenantId) -> None:
        with pytest.raises(ZeroDivisionError):
            async with backend.unit_of_work(acme) as uow:
                uow.repository(Widgets).add(Widget())
                await uow.flush()
                raise ZeroDivisionError

        assert await stored_count(backend, acme) == 0

    async def test_rollback_discards_everything_and_ends_the_unit(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget())
            await uow.flush()
            await uow.rollback()
            await uow.rollback()
            with pytest.raises(UnitOfWorkClosedError):
                await uow.commit()

        assert await stored_count(backend, acme) == 0

    async def test_a_failed_commit_leaves_nothing(self, backend: Backend, acme: TenantId) -> None:
        taken = Widget()
        await store(backend, acme, taken)

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add_many((Widget(), Widget(code=taken.code)))
            with pytest.raises(DuplicateEntityError):
                await uow.commit()
            with pytest.raises(UnitOfWorkClosedError):
                await uow.commit()

        assert await stored_count(backend, acme) == 1

    async def test_commit_ends_the_unit(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            await uow.commit()

            await _assert_unusable(uow, widgets)

    async def test_leaving_ends_the_unit(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)

        await _assert_unusable(uow, widgets)

    async def test_a_unit_that_was_not_entered_cannot_be_used(self, backend: Backend, acme: TenantId) -> None:
        uow = backend.unit_of_work(acme)

        with pytest.raises(UnitOfWorkClosedError, match="not entered"):
            uow.repository(Widgets)
        with pytest.raises(UnitOfWorkClosedError, match="not entered"):
            await uow.commit()

    async def test_a_unit_is_entered_once(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(UnitOfWorkClosedError):
                await uow.__aenter__()
        with pytest.raises(UnitOfWorkClosedError):
            await uow.__aenter__()

    async def test_a_second_task_is_refused(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(widget)
            for use in _USES:
                with pytest.raises(UnitOfWorkSharedError):
                    await asyncio.create_task(_awaited(use(uow, widgets)))
            await uow.commit()

        assert await stored(backend, acme, widget) == widget

    async def test_an_error_of_the_database_breaks_the_unit(self, backend: Backend, acme: TenantId) -> None:
        taken = Widget()
        await store(backend, acme, taken)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(Widget(code=taken.code))
            with pytest.raises(DuplicateEntityError):
                await uow.flush()

            await _assert_unusable(uow, widgets)
        assert await stored_count(backend, acme) == 1

    async def test_a_read_only_unit_reads_and_refuses_to_write(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.add(Widget())
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.add_many((Widget(),))
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.remove(found)
            found.name = "changed for display"
            await uow.commit()

        assert await stored(backend, acme, widget) == widget

    async def test_cancellation_in_the_middle_leaves_nothing(self, backend: Backend, acme: TenantId) -> None:
        flushed = asyncio.Event()

        async def work_that_hangs() -> None:
            async with backend.unit_of_work(acme) as uow:
                uow.repository(Widgets).add(Widget())
                await uow.flush()
                flushed.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work_that_hangs())
        await reached(flushed, by=task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await stored_count(backend, acme) == 0

    @pytest.mark.parametrize("turns", (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89))
    async def test_cancellation_at_any_await_stores_all_or_nothing(
        self, backend: Backend, acme: TenantId, turns: int
    ) -> None:
        task = asyncio.create_task(store(backend, acme, Widget(), Widget()))
        for _ in range(turns):  # turns of the event loop: how far the task gets in them is chance, and may be
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))

        assert await stored_count(backend, acme) in (0, 2)
        await store(backend, acme, Widget())

    async def test_many_units_end_in_every_way_and_the_next_one_works(self, backend: Backend, acme: TenantId) -> None:
        async def ended_badly(number: int) -> None:
            async with backend.unit_of_work(acme) as uow:
                uow.repository(Widgets).add(Widget(code="the same"))
                await uow.flush()
                if number % 2:
                    raise ZeroDivisionError

        for number in range(30):
            await asyncio.gather(ended_badly(number), return_exceptions=True)

        await store(backend, acme, Widget(code="the same"))
        assert await stored_count(backend, acme) == 1

    async def test_a_tenants_unit_does_not_reach_the_registry(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(NotMappedError, match="registry"):
                uow.repository(TenantRepository)

    async def test_a_unit_of_the_registry_reaches_no_tenant(self, backend: Backend) -> None:
        async with backend.registry() as uow:
            assert uow.tenant is None
            with pytest.raises(NotMappedError, match="tenant"):
                uow.repository(Widgets)


async def _awaited(awaitable: Awaitable[object]) -> None:
    await awaitable


async def _assert_unusable(uow: UnitOfWork, widgets: Widgets) -> None:
    for use in _USES:
        with pytest.raises(UnitOfWorkClosedError):
            await use(uow, widgets)
    with pytest.raises(UnitOfWorkClosedError):
        uow.repository(Widgets)
    with pytest.raises(UnitOfWorkClosedError):
        uow.savepoint()
    with pytest.raises(UnitOfWorkClosedError):
        widgets.add(Widget())
    with pytest.raises(UnitOfWorkClosedError):
        widgets.remove(Widget())
