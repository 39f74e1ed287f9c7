"""A unit of work knows what it holds: one object per identity, every change written, its own writes in sight."""

from __future__ import annotations

from decimal import Decimal

import pytest

from prismicx.domain.errors import DuplicateEntityError, EntityNotFoundError, UnstorableValueError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored, stored_count
from prismicx.testing.examples import Part, Widget, Widgets, full_widget


class TrackingContract(TwoTenants):
    """Identity map, change tracking, and reading what the unit itself has written."""

    async def test_one_identity_is_one_object(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(code="one", name="n")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)

            assert await widgets.find(widget.id) is found
            assert await widgets.by_code("one") is found
            assert (await widgets.list())[0] is found
            assert (await widgets.list(track=False))[0] is found
            assert (await widgets.page()).items[0] is found
            assert await anext(aiter(widgets.stream())) is found

    async def test_what_is_added_is_the_object_that_is_found(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(code="added")

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(widget)

            assert await widgets.get(widget.id) is widget
            assert await widgets.by_code("added") is widget

    async def test_adding_the_same_object_twice_adds_it_once(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(widget)
            widgets.add(widget)
            await uow.flush()
            widgets.add(widget)
            await uow.commit()

        assert await stored_count(backend, acme) == 1

    async def test_two_objects_of_one_identity_are_refused(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            await widgets.get(widget.id)
            with pytest.raises(DuplicateEntityError) as refused:
                widgets.add(Widget(id=widget.id))
            with pytest.raises(DuplicateEntityError):
                widgets.add_many((twin := Widget(), Widget(id=twin.id)))
            assert await widgets.count() == 1

        assert refused.value.key == ("id",)

    async def test_a_change_is_written_without_being_asked_for(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before", amount=1)
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            (await uow.repository(Widgets).get(widget.id)).name = "after"
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found.name, found.amount, found.version) == ("after", 1, 2)

    async def test_every_attribute_can_change(self, backend: Backend, acme: TenantId) -> None:
        plain, full = Widget(), full_widget()
        await store(backend, acme, plain, full)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            first, second = await widgets.get(plain.id), await widgets.get(full.id)
            for name in Widget.model_fields.keys() - {"id", "code", "note"}:
                setattr(first, name, getattr(full, name))
                setattr(second, name, getattr(plain, name))
            await uow.commit()

        kept = {"id", "code", "note"}
        for before, other in ((plain, full), (full, plain)):
            found = await stored(backend, acme, before)
            assert found is not None
            assert found.model_dump(exclude=kept) == other.model_dump(exclude=kept)
            assert found.model_dump(include=kept) == before.model_dump(include=kept)

    async def test_a_structure_that_changes_in_place_is_written(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(parts=[Part(name="nut")], labels={"a": "1"}, extras={"deep": [{"n": 1}]})
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(widget.id)
            found.parts[0].quantity = 7
            found.parts.append(Part(name="bolt"))
            found.labels["b"] = "2"
            found.extras["deep"][0]["n"] = 2
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert after.parts == [Part(name="nut", quantity=7), Part(name="bolt")]
        assert (after.labels, after.extras) == ({"a": "1", "b": "2"}, {"deep": [{"n": 2}]})

    async def test_a_structure_that_changes_in_place_does_not_last_without_commit(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(parts=[Part(name="nut")], extras={"deep": [{"n": 1}]})
        await store(backend, acme, widget)
        before = widget.model_copy(deep=True)

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(widget.id)
            found.parts.clear()
            found.extras["deep"][0]["n"] = 2
        widget.extras["deep"][0]["n"] = 3

        assert await stored(backend, acme, widget) == before

    async def test_a_change_of_a_decimals_scale_is_a_change(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(price=Decimal("1.0"))
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            (await uow.repository(Widgets).get(widget.id)).price = Decimal("1.00")
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert str(found.price) == "1.00"

    async def test_what_did_not_change_is_not_written(self, backend: Backend, acme: TenantId) -> None:
        widget = full_widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(widget.id)
            found.name = "other"
            found.name = widget.name
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert after.version == 1

    async def test_a_query_sees_the_units_own_writes(self, backend: Backend, acme: TenantId) -> None:
        removed, changed = Widget(name="removed"), Widget(name="before")
        await store(backend, acme, removed, changed)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(Widget(name="added"))
            widgets.remove(await widgets.get(removed.id))
            (await widgets.get(changed.id)).name = "changed"

            assert {each.name for each in await widgets.list()} == {"added", "changed"}
            assert {each.name for each in (await widgets.page()).items} == {"added", "changed"}
            assert {each.name async for each in widgets.stream()} == {"added", "changed"}
            assert await widgets.count(Widget.name == "before") == 0
            assert await widgets.exists(Widget.name == "changed")
            assert await widgets.find(removed.id) is None
            assert await widgets.find_one(Widget.name == "removed") is None

    async def test_what_was_removed_is_gone_for_the_unit(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)
            widgets.remove(found)
            with pytest.raises(EntityNotFoundError):
                await widgets.get(widget.id)
            with pytest.raises(EntityNotFoundError):
                widgets.remove(found)
            await uow.flush()
            with pytest.raises(EntityNotFoundError):
                await widgets.get(widget.id)

    async def test_adding_what_was_removed_keeps_it(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)
            widgets.remove(found)
            found.name = "after"
            widgets.add(found)
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after.name, after.version) == ("after", 2)

    async def test_an_identity_is_free_again_once_its_removal_is_written(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(code="same", name="old")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.remove(await widgets.get(widget.id))
            await uow.flush()
            widgets.add(Widget(id=widget.id, code="same", name="new"))
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after.name, after.version) == ("new", 1)

    async def test_what_was_added_and_removed_was_never_there(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(widget := Widget())
            widgets.remove(widget)
            await uow.commit()

        assert await stored_count(backend, acme) == 0

    async def test_an_added_aggregate_that_changes_before_the_flush_is_written_as_it_is_then(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(name="before")

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(widget)
            widget.name = "after"
            await uow.flush()
            widget.amount = 5
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found.name, found.amount, found.version) == ("after", 5, 2)

    async def test_inserts_are_written_before_removals(self, backend: Backend, acme: TenantId) -> None:
        old = Widget(code="the only one")
        await store(backend, acme, old)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.remove(await widgets.get(old.id))
            widgets.add(Widget(code="the only one"))
            with pytest.raises(DuplicateEntityError):
                await uow.commit()

    async def test_a_change_to_what_cannot_be_stored_is_refused_and_can_be_taken_back(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(widget.id)
            found.labels["key"] = "a NUL: \x00"
            with pytest.raises(UnstorableValueError):
                await uow.flush()
            found.labels["key"] = "none"
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert after.labels == {"key": "none"}
