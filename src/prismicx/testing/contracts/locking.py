"""Locks on what is read: for as long as a unit is open nobody else has it; where a backend has none, it says so."""

from __future__ import annotations

import asyncio

import pytest

from prismicx.domain.errors import (
    ConcurrencyError,
    EntityNotFoundError,
    ReadOnlyUnitOfWorkError,
    TransactionConflictError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.locking import Lock
from prismicx.domain.ports import Backend
from prismicx.domain.specification import asc
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored
from prismicx.testing.examples import Widget, Widgets


class LockingContract(TwoTenants):
    """`lock=` of `list`, `find` and `get`."""

    has_locks: bool = True

    async def test_units_that_skip_what_is_locked_take_disjoint_parts(self, backend: Backend, acme: TenantId) -> None:
        self._require_locks()
        await store(backend, acme, *(Widget(amount=number) for number in range(5)))
        asked = Widget.in_stock == True  # noqa: E712  # an expression

        async with backend.unit_of_work(acme) as one, backend.unit_of_work(acme) as other:
            parts = [
                await uow.repository(Widgets).list(asked, order_by=asc(Widget.amount), limit=2, lock=Lock.SKIP)
                for uow in (one, other, one, other)
            ]
            for widget in (*parts[0], *parts[1]):
                widget.in_stock = False
            await one.commit()
            await other.commit()
        async with backend.unit_of_work(acme) as uow:
            left = await uow.repository(Widgets).list(asked, lock=Lock.SKIP)

        assert [[each.amount for each in part] for part in parts] == [[0, 1], [2, 3], [0, 1], [2, 3]]
        assert [each.amount for each in left] == [4]

    async def test_a_lock_that_is_not_to_be_had_fails_or_is_skipped(self, backend: Backend, acme: TenantId) -> None:
        self._require_locks()
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as holder:
            await holder.repository(Widgets).get(widget.id, lock=Lock.FAIL)
            async with backend.unit_of_work(acme) as uow:
                widgets = uow.repository(Widgets)
                assert await widgets.find(widget.id, lock=Lock.SKIP) is None
                with pytest.raises(EntityNotFoundError):
                    await widgets.get(widget.id, lock=Lock.SKIP)
                assert await widgets.get(widget.id) == widget
                with pytest.raises(TransactionConflictError):
                    await widgets.find(widget.id, lock=Lock.FAIL)
        async with backend.unit_of_work(acme) as uow:
            assert await uow.repository(Widgets).find(widget.id, lock=Lock.FAIL) == widget

    async def test_who_waits_for_a_lock_reads_what_is_left(self, backend: Backend, acme: TenantId) -> None:
        self._require_locks()
        widget = Widget(amount=0)
        await store(backend, acme, widget)

        async def count_up() -> None:
            async with backend.unit_of_work(acme) as uow:
                (await uow.repository(Widgets).get(widget.id, lock=Lock.WAIT)).amount += 1
                await uow.commit()

        await asyncio.gather(*(count_up() for _ in range(8)))

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found.amount, found.version) == (8, 9)

    async def test_what_is_held_in_another_version_cannot_be_locked(self, backend: Backend, acme: TenantId) -> None:
        self._require_locks()
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(widget.id)
            assert await widgets.get(widget.id, lock=Lock.WAIT) is held
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            await widgets.get(widget.id)
            await self._changed(backend, acme, widget)
            with pytest.raises(ConcurrencyError) as stale:
                await widgets.find(widget.id, lock=Lock.WAIT)

        assert stale.value.identities == (widget.id,)

    async def test_a_lock_is_for_units_that_write(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await widgets.list(lock=Lock.WAIT)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await widgets.find(Widget().id, lock=Lock.WAIT)
            assert await widgets.list() == []

    async def test_a_backend_without_locks_says_so(self, backend: Backend, acme: TenantId) -> None:
        if self.has_locks:
            pytest.skip("this backend has locks")
        added = Widget()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(added)
            for lock in Lock:
                with pytest.raises(UnsupportedOperationError):
                    await widgets.list(lock=lock)
                with pytest.raises(UnsupportedOperationError):
                    await widgets.get(added.id, lock=lock)
            assert added.version == 0

    async def _changed(self, backend: Backend, tenant: TenantId, widget: Widget) -> None:
        async def change() -> None:
            async with backend.unit_of_work(tenant) as uow:
                (await uow.repository(Widgets).get(widget.id)).name = "changed"
                await uow.commit()

        await asyncio.create_task(change())

    def _require_locks(self) -> None:
        if not self.has_locks:
            pytest.skip("this backend has no locks")
