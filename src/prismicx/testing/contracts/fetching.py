"""Several aggregates at once: by their identities, and by what they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend
from prismicx.domain.specification import desc
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored
from prismicx.testing.examples import Color, Gadget, Widget, Widgets

_NO_IDENTITIES: Sequence[Any] = (["no uuid"], "no uuids", [new_id(), None], [[]])
_NO_KEYS: Sequence[tuple[Any, Any]] = (
    (Widget.note, "ab"),
    (Widget.note, [1]),
    ("note", ["a"]),
    (Gadget.name, ["a"]),
    (Widget.parts, [[]]),
)


class FetchingContract(TwoTenants):
    """`fetch` and `list_by`."""

    async def test_several_are_fetched_by_identity(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        many, other = [Widget(amount=number) for number in range(3)], Widget()
        await store(backend, acme, *many)
        await store(backend, globex, other, Widget(id=many[0].id, amount=-1))
        asked = [many[2].id, other.id, many[0].id, new_id(), many[2].id]

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).fetch(iter(asked))
            nothing = await uow.repository(Widgets).fetch(())

        assert list(found.items()) == [(many[2].id, many[2]), (many[0].id, many[0])]
        assert nothing == {}

    async def test_what_the_unit_holds_is_fetched_as_it_holds_it(self, backend: Backend, acme: TenantId) -> None:
        read, gone, other, added = Widget(), Widget(), Widget(), Widget()
        await store(backend, acme, read, gone, other)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(read.id)
            held.name = "changed"
            widgets.remove(await widgets.get(gone.id))
            widgets.add(added)

            found = await widgets.fetch((read.id, gone.id, other.id, added.id))

            assert list(found) == [read.id, other.id, added.id]
            assert found[read.id] is held
            assert found[added.id] is added
            assert found[other.id] is await widgets.get(other.id)
            assert (held.name, added.version) == ("changed", 0)

    async def test_what_is_fetched_is_tracked(self, backend: Backend, acme: TenantId) -> None:
        first, second = Widget(note="1"), Widget(note="2")
        await store(backend, acme, first, second)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.fetch((first.id,)))[first.id].name = "fetched"
            (await widgets.list_by(Widget.note, ("2",)))["2"][0].name = "listed"
            await uow.commit()

        names = [found.name for each in (first, second) if (found := await stored(backend, acme, each)) is not None]
        assert names == ["fetched", "listed"]

    async def test_any_number_is_fetched_and_listed(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(amount=number) for number in range(1201)]
        await store(backend, acme, *many)
        identities = [each.id for each in many]

        async with backend.unit_of_work(acme, read_only=True) as uow:
            fetched = await uow.repository(Widgets).fetch([*identities, *(new_id() for _ in range(1201))])
        async with backend.unit_of_work(acme, read_only=True) as uow:
            by_amount = await uow.repository(Widgets).list_by(Widget.amount, range(2402))

        assert list(fetched) == identities
        assert [len(by_amount[amount]) for amount in (0, 1200, 1201, 2401)] == [1, 1, 0, 0]

    async def test_several_are_listed_by_what_they_belong_to(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        one, other, nobody = new_id(), new_id(), new_id()
        many = [Widget(successor=one if number % 2 else other, amount=number) for number in range(4)]
        alone = Widget()
        await store(backend, acme, *many, alone)
        await store(backend, globex, Widget(successor=one), Widget())

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.list_by(Widget.successor, (nobody, one, other, one), order_by=desc(Widget.amount))
            without = await widgets.list_by(Widget.successor, (None, one), Widget.amount < 3)

        assert list(found.items()) == [(nobody, []), (one, [many[3], many[1]]), (other, [many[2], many[0]])]
        assert without == {None: [alone], one: [many[1]]}

    async def test_keys_of_every_kind_are_told_apart(self, backend: Backend, acme: TenantId) -> None:
        first = Widget(
            note="a", price=Decimal("1.10"), released_on=date(2026, 1, 2), color=Color.RED, ratio=0.5, checksum=b"\x00"
        )
        second = Widget(
            note="A", price=Decimal(2), released_on=date(2026, 2, 1), color=Color.BLUE, ratio=-0.5, checksum=b"\xff"
        )
        await store(backend, acme, first, second)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            assert await widgets.list_by(Widget.note, ("a", "A")) == {"a": [first], "A": [second]}
            by_price = await widgets.list_by(Widget.price, (Decimal("1.1"), Decimal("2.00")))
            assert by_price == {Decimal("1.1"): [first], Decimal("2.00"): [second]}
            by_day = await widgets.list_by(Widget.released_on, (first.released_on, second.released_on))
            assert by_day == {first.released_on: [first], second.released_on: [second]}
            by_color = await widgets.list_by(Widget.color, Color)
            assert by_color == {Color.RED: [first], Color.GREEN: [], Color.BLUE: [second]}
            assert await widgets.list_by(Widget.ratio, (0.5, -0.5)) == {0.5: [first], -0.5: [second]}
            assert await widgets.list_by(Widget.made_at, (first.made_at,)) == {first.made_at: [first, second]}
            assert await widgets.list_by(Widget.checksum, (b"\xff",)) == {b"\xff": [second]}

    async def test_a_list_by_key_sees_the_units_own_writes_and_goes_by_what_is_stored(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(note="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.get(widget.id)).note = "after"
            found = await widgets.list_by(Widget.note, ("before", "after"))
            assert (found["before"], [each.id for each in found["after"]]) == ([], [widget.id])
        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(widget.id)
            held.note = "after"
            assert await widgets.list_by(Widget.note, ("before", "after")) == {"before": [held], "after": []}

    async def test_what_cannot_be_fetched_is_refused(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for identities in _NO_IDENTITIES:
                with pytest.raises(InvalidSpecificationError):
                    await widgets.fetch(identities)
            for attribute, keys in _NO_KEYS:
                with pytest.raises(InvalidSpecificationError):
                    await widgets.list_by(attribute, keys)
