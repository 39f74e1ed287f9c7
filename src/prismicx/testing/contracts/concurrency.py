"""Units of work that meet: versions, races, savepoints."""

from __future__ import annotations

import asyncio

import pytest

from prismicx.domain.errors import (
    ConcurrencyError,
    DuplicateEntityError,
    TransactionConflictError,
    TransactionControlError,
    UnitOfWorkClosedError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import PATIENCE, listed, store, stored, stored_count
from prismicx.testing.examples import Widget, Widgets


class ConcurrencyContract(TwoTenants):
    """Optimistic offline lock, on every write (Fowler, PoEAA)."""

    async def test_versions_count_the_writes(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        assert (widget.version, widget.tenant) == (0, None)

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(widget)
            await uow.flush()
            assert (widget.version, widget.tenant) == (1, acme)
            widget.amount = 1
            await uow.flush()
            widget.amount = 2
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (widget.version, found.version, found.tenant) == (3, 3, acme)

    async def test_a_stale_change_is_refused(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as late:
            found = await late.repository(Widgets).get(widget.id)
            async with backend.unit_of_work(acme) as early:
                (await early.repository(Widgets).get(widget.id)).name = "early"
                await early.commit()
            found.amount = 99
            with pytest.raises(ConcurrencyError) as refused:
                await late.commit()

        assert refused.value.identities == (widget.id,)
        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after.name, after.amount, after.version) == ("early", 0, 2)

    async def test_a_stale_removal_is_refused(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as late:
            widgets = late.repository(Widgets)
            found = await widgets.get(widget.id)
            async with backend.unit_of_work(acme) as early:
                (await early.repository(Widgets).get(widget.id)).name = "early"
                await early.commit()
            widgets.remove(found)
            with pytest.raises(ConcurrencyError) as refused:
                await late.commit()

        assert refused.value.identities == (widget.id,)
        assert await stored_count(backend, acme) == 1

    async def test_a_change_of_what_is_gone_is_refused(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as late:
            found = await late.repository(Widgets).get(widget.id)
            async with backend.unit_of_work(acme) as early:
                widgets = early.repository(Widgets)
                widgets.remove(await widgets.get(widget.id))
                await early.commit()
            found.amount = 99
            with pytest.raises(ConcurrencyError):
                await late.commit()

        assert await stored_count(backend, acme) == 0

    async def test_a_refused_change_takes_all_others_with_it(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(amount=number) for number in range(5)]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme) as late:
            found = await late.repository(Widgets).list()
            async with backend.unit_of_work(acme) as early:
                (await early.repository(Widgets).get(many[3].id)).amount = 100
                await early.commit()
            for widget in found:
                widget.amount += 10
            late.repository(Widgets).add(Widget())
            with pytest.raises(ConcurrencyError) as refused:
                await late.commit()

        assert refused.value.identities == (many[3].id,)
        assert sorted(each.amount for each in await listed(backend, acme)) == [0, 1, 2, 4, 100]

    async def test_of_two_units_that_add_one_key_one_succeeds(self, backend: Backend, acme: TenantId) -> None:
        ready = asyncio.Barrier(2)

        async def add_it() -> None:
            async with backend.unit_of_work(acme) as uow:
                uow.repository(Widgets).add(Widget(code="wanted by both"))
                await ready.wait()
                await uow.commit()

        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(add_it(), add_it(), return_exceptions=True)

        failures = [outcome for outcome in outcomes if outcome is not None]
        assert len(failures) == 1
        assert isinstance(failures[0], DuplicateEntityError | TransactionConflictError)
        assert await stored_count(backend, acme) == 1

    async def test_of_two_units_that_change_one_aggregate_one_succeeds(self, backend: Backend, acme: TenantId) -> None:
        widget, ready = Widget(), asyncio.Barrier(2)
        await store(backend, acme, widget)

        async def increase() -> None:
            async with backend.unit_of_work(acme) as uow:
                (await uow.repository(Widgets).get(widget.id)).amount += 1
                await ready.wait()
                await uow.commit()

        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(increase(), increase(), return_exceptions=True)

        failures = [outcome for outcome in outcomes if outcome is not None]
        assert len(failures) == 1
        assert isinstance(failures[0], ConcurrencyError | TransactionConflictError)
        after = await stored(backend, acme, widget)
        assert after is not None
        assert after.amount == 1

    async def test_nobody_sees_what_is_not_committed(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.get(widget.id)).name = "after"
            widgets.add(Widget())
            await uow.flush()

            assert [each.name for each in await listed(backend, acme)] == ["before"]
            await uow.commit()
        assert await stored_count(backend, acme) == 2


class SavepointContract(TwoTenants):
    """A block within a unit that can fail by itself; where a backend has none, it says so."""

    has_savepoints: bool = True

    async def test_a_savepoint_that_raises_takes_its_own_writes_back(self, backend: Backend, acme: TenantId) -> None:
        self._require_savepoints()
        before, during = Widget(name="before"), Widget(name="during")

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(before)
            with pytest.raises(ZeroDivisionError):
                async with uow.savepoint():
                    before.name = "changed inside"
                    widgets.add(during)
                    await uow.flush()
                    raise ZeroDivisionError
            assert await widgets.find(during.id) is None
            assert (before.name, before.version) == ("before", 1)
            await uow.commit()

        assert [each.name for each in await listed(backend, acme)] == ["before"]

    async def test_a_savepoint_that_ends_well_lasts_with_its_unit(self, backend: Backend, acme: TenantId) -> None:
        self._require_savepoints()

        async with backend.unit_of_work(acme) as uow:
            async with uow.savepoint():
                uow.repository(Widgets).add(Widget(name="inside"))
            await uow.commit()
        async with backend.unit_of_work(acme) as uow, uow.savepoint():
            uow.repository(Widgets).add(Widget(name="not committed"))

        assert [each.name for each in await listed(backend, acme)] == ["inside"]

    async def test_savepoints_nest(self, backend: Backend, acme: TenantId) -> None:
        self._require_savepoints()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            async with uow.savepoint():
                widgets.add(Widget(name="outer"))
                with pytest.raises(ZeroDivisionError):
                    async with uow.savepoint():
                        widgets.add(Widget(name="inner"))
                        await uow.flush()
                        raise ZeroDivisionError
                widgets.add(Widget(name="outer again"))
            await uow.commit()

        assert {each.name for each in await listed(backend, acme)} == {"outer", "outer again"}

    async def test_a_unit_goes_on_after_an_error_of_the_database_in_a_savepoint(
        self, backend: Backend, acme: TenantId
    ) -> None:
        self._require_savepoints()
        taken = Widget()
        await store(backend, acme, taken)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(DuplicateEntityError):
                async with uow.savepoint():
                    widgets.add(Widget(code=taken.code))
            widgets.add(Widget())
            await uow.commit()

        assert await stored_count(backend, acme) == 2

    async def test_an_error_that_is_swallowed_in_a_savepoint_still_ends_it(
        self, backend: Backend, acme: TenantId
    ) -> None:
        self._require_savepoints()
        taken = Widget()
        await store(backend, acme, taken)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(UnitOfWorkClosedError):
                async with uow.savepoint():
                    widgets.add(Widget(code=taken.code))
                    with pytest.raises(DuplicateEntityError):
                        await uow.flush()
            assert await widgets.count() == 1

    async def test_a_removal_in_a_savepoint_that_raises_is_taken_back(self, backend: Backend, acme: TenantId) -> None:
        self._require_savepoints()
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)
            with pytest.raises(ZeroDivisionError):
                async with uow.savepoint():
                    widgets.remove(found)
                    await uow.flush()
                    raise ZeroDivisionError
            assert await widgets.get(widget.id) is found
            found.amount = 3
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after.amount, after.version) == (3, 2)

    async def test_a_unit_does_not_end_inside_a_savepoint(self, backend: Backend, acme: TenantId) -> None:
        self._require_savepoints()

        async with backend.unit_of_work(acme) as uow:
            async with uow.savepoint():
                uow.repository(Widgets).add(Widget())
                with pytest.raises(TransactionControlError):
                    await uow.commit()
                with pytest.raises(TransactionControlError):
                    await uow.rollback()
            await uow.commit()

        assert await stored_count(backend, acme) == 1

    async def test_a_backend_without_savepoints_says_so(self, backend: Backend, acme: TenantId) -> None:
        if self.has_savepoints:
            pytest.skip("this backend has savepoints")

        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(UnsupportedOperationError):
                uow.savepoint()
            uow.repository(Widgets).add(Widget())
            await uow.commit()

        assert await stored_count(backend, acme) == 1

    def _require_savepoints(self) -> None:
        if not self.has_savepoints:
            pytest.skip("this backend has no savepoints")
