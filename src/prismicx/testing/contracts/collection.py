"""A repository is a collection: what was put in is there, what was taken out is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from prismicx.domain.errors import (
    DuplicateEntityError,
    EntityNotFoundError,
    InvalidSpecificationError,
    NotMappedError,
    UnknownAttributeError,
)
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend
from prismicx.domain.specification import Attribute, asc, attribute, desc
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, store, stored, stored_count
from prismicx.testing.examples import Gadget, Product, Widget, Widgets, full_widget

_MANY = 1201
"""More than any backend reads or writes in one batch."""


class CollectionContract(TwoTenants):
    """Adding, finding, listing, counting, streaming, removing."""

    async def test_an_aggregate_comes_back_as_it_was(self, backend: Backend, acme: TenantId) -> None:
        for widget in (Widget(), full_widget()):
            await store(backend, acme, widget)

            found = await stored(backend, acme, widget)

            assert found == widget
            assert found is not None
            assert found is not widget
            unordered: dict[str, Any] = {"labels": {}, "extras": {}}  # PostgreSQL keeps keys in an order of its own
            assert repr(found.model_copy(update=unordered)) == repr(widget.model_copy(update=unordered))

    async def test_many_are_added_at_once(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(amount=number) for number in range(20)]

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add_many(iter(many))
            uow.repository(Widgets).add_many(())
            await uow.commit()

        assert await listed(backend, acme, order_by=(asc(Widget.amount),)) == many

    async def test_many_are_added_all_or_none(self, backend: Backend, acme: TenantId) -> None:
        refused = Widget()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(NotMappedError):
                widgets.add_many((Widget(), Gadget()))  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(DuplicateEntityError):
                widgets.add_many((refused, refused))
            assert await widgets.count() == 0

        assert refused.tenant is None

    async def test_get_raises_and_find_returns_none_for_what_is_not_there(
        self, backend: Backend, acme: TenantId
    ) -> None:
        nobody = new_id()

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert await widgets.find(nobody) is None
            assert await widgets.find_one(Widget.code == "nobody's") is None
            with pytest.raises(EntityNotFoundError) as missing:
                await widgets.get(nobody)

        assert (missing.value.entity, missing.value.identity) == ("Widget", nobody)

    async def test_find_one_finds_the_smallest_id(self, backend: Backend, acme: TenantId) -> None:
        twins = sorted((Widget(name="twin"), Widget(name="twin"), Widget(name="twin")), key=lambda each: each.id)
        await store(backend, acme, *reversed(twins))

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).find_one(Widget.name == "twin")

        assert found == twins[0]

    async def test_a_list_is_ordered_by_id_unless_told_otherwise(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(amount=number % 2) for number in range(6)]
        await store(backend, acme, *reversed(many))

        by_id = await listed(backend, acme)
        by_amount = await listed(backend, acme, order_by=(desc(Widget.amount),))

        assert by_id == many
        assert by_amount == [*many[1::2], *many[0::2]]

    async def test_a_list_is_as_long_as_it_is(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(amount=number) for number in range(_MANY)]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert [each.id for each in await widgets.list()] == [each.id for each in many]
            assert [each.amount for each in await widgets.list(order_by=desc(Widget.amount), limit=2)] == [1200, 1199]
            assert await widgets.count() == _MANY
        async with backend.unit_of_work(acme) as uow:
            streamed = [each.amount async for each in uow.repository(Widgets).stream(order_by=desc(Widget.amount))]
            assert streamed == list(reversed(range(_MANY)))

    async def test_many_are_changed_and_removed_at_once(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(amount=number) for number in range(50)))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for widget in await widgets.list():
                if widget.amount % 2:
                    widgets.remove(widget)
                else:
                    widget.amount = -widget.amount
                    widget.note = f"was {-widget.amount}" if widget.amount % 4 else None
            await uow.commit()

        after = await listed(backend, acme, order_by=(desc(Widget.amount),))
        assert [each.amount for each in after] == [-number for number in range(0, 50, 2)]
        assert [each.note for each in after[:3]] == [None, "was 2", None]

    async def test_a_stream_can_be_left_in_the_middle(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(amount=number) for number in range(5)))

        async with backend.unit_of_work(acme) as uow:
            stream = uow.repository(Widgets).stream(Widget.amount < 3, order_by=asc(Widget.amount))
            assert [(await anext(stream)).amount, (await anext(stream)).amount] == [0, 1]
            await _close(stream)
            uow.repository(Widgets).add(Widget())
            await uow.commit()

        assert await stored_count(backend, acme) == 6

    async def test_what_is_listed_untracked_or_streamed_is_not_written(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for found in await widgets.list(track=False):
                found.name = "after"
            async for found in widgets.stream():
                found.name = "after"
            await uow.commit()

        assert await stored(backend, acme, widget) == widget

    async def test_counting_and_asking_whether_any_exists(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(amount=number) for number in range(3)))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert (await widgets.count(), await widgets.count(Widget.amount > 0)) == (3, 2)
            assert await widgets.exists()
            assert await widgets.exists(Widget.amount == 2)
            assert not await widgets.exists(Widget.amount == 3)

    async def test_what_was_removed_is_gone(self, backend: Backend, acme: TenantId) -> None:
        gone, kept = Widget(name="gone"), Widget(name="kept")
        await store(backend, acme, gone, kept)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.remove(await widgets.get(gone.id))
            await uow.commit()

        assert await listed(backend, acme) == [kept]

    async def test_what_the_unit_has_not_read_cannot_be_removed(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(EntityNotFoundError):
                widgets.remove(widget)
            await widgets.get(widget.id)
            with pytest.raises(EntityNotFoundError):
                widgets.remove(widget)

    async def test_an_identity_is_taken_once(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget(id=widget.id))
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.commit()

        assert refused.value.key == ("id",)

    async def test_a_unique_key_is_taken_once(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(code="taken"), other := Widget(code="other"))

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget(code="taken"))
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.commit()
        async with backend.unit_of_work(acme) as uow:
            (await uow.repository(Widgets).get(other.id)).code = "taken"
            with pytest.raises(DuplicateEntityError):
                await uow.commit()

        assert (refused.value.entity, refused.value.key) == ("Widget", ("code",))

    async def test_a_key_of_two_attributes_collides_in_both_and_never_in_a_null(
        self, backend: Backend, acme: TenantId
    ) -> None:
        await store(backend, acme, Widget(note="n", order=1), Widget(note="n", order=2), Widget(note="n", order=None))
        await store(backend, acme, Widget(note="n", order=None), Widget(note=None, order=1), Widget(note=None, order=1))

        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget(note="n", order=1))
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.commit()

        assert refused.value.key == ("note", "order")

    async def test_what_cannot_be_asked_is_refused(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(InvalidSpecificationError, match="UUID"):
                await widgets.find("not-a-uuid")  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(InvalidSpecificationError):
                await widgets.list(Gadget.code == "of another aggregate")
            with pytest.raises(InvalidSpecificationError):
                await widgets.list(order_by=asc(Gadget.code))
            with pytest.raises(InvalidSpecificationError):
                await widgets.list(order_by=(asc(Widget.code), desc(Widget.code)))
            with pytest.raises(InvalidSpecificationError):
                await widgets.count(Widget().code == "an instance's value")
            for limit in (0, -1, True, 1.0, "1"):
                with pytest.raises(InvalidSpecificationError):
                    await widgets.list(limit=limit)  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(UnknownAttributeError):
                Attribute(Widget, "colour")
            assert await widgets.list(attribute(Product.code) == "an ancestor's attribute") == []


async def _close(stream: AsyncIterator[Widget]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]  # it is an async generator
