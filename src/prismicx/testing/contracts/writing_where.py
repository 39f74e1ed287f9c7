"""Writing by criteria, in one statement: what it reaches, and what becomes of what the unit of work holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from prismicx.domain.errors import (
    ConcurrencyError,
    DuplicateEntityError,
    InvalidSpecificationError,
    ReadOnlyUnitOfWorkError,
    UnknownAttributeError,
    UnstorableValueError,
)
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend
from prismicx.domain.specification import EVERYTHING, asc, attribute
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, store, stored, stored_count
from prismicx.testing.examples import Gadget, Widget, Widgets, full_widget


class WritingWhereContract(TwoTenants):
    """`update_where` and `delete_where`."""

    async def test_all_that_meet_the_criteria_are_changed_and_no_others(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(amount=number) for number in range(6)))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert await widgets.update_where(Widget.amount >= 3, amount=10, note="changed") == 3
            assert await widgets.update_where(Widget.amount == 99, amount=0) == 0
            assert await widgets.update_where(attribute(Widget.amount).in_((0, 10)), name="again") == 4
            await uow.commit()

        after = await listed(backend, acme, order_by=(asc(Widget.amount), asc(Widget.id)))
        assert [each.amount for each in after] == [0, 1, 2, 10, 10, 10]
        assert [each.version for each in after] == [2, 1, 1, 3, 3, 3]
        assert [each.note for each in after] == [None] * 3 + ["changed"] * 3
        assert [each.name for each in after] == ["again", "", ""] + ["again"] * 3

    async def test_every_attribute_can_be_given_a_new_value(self, backend: Backend, acme: TenantId) -> None:
        plain, full = Widget(note="to be overwritten"), full_widget()
        await store(backend, acme, plain)
        changes = {name: value for name, value in full.model_dump(mode="python").items() if name != "id"}

        async with backend.unit_of_work(acme) as uow:
            assert await uow.repository(Widgets).update_where(Widget.id == plain.id, **changes) == 1
            await uow.commit()
        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(plain.id)
            assert found == full.model_copy(update={"id": plain.id})
            await uow.repository(Widgets).update_where(EVERYTHING, note=None, price=Decimal("1.50"), maker=None)
            await uow.commit()

        after = await stored(backend, acme, plain)
        assert after is not None
        assert (after.note, str(after.price), after.maker, after.version) == (None, "1.50", None, 3)

    async def test_what_the_unit_holds_is_brought_up_to_date(self, backend: Backend, acme: TenantId) -> None:
        one, other, untouched = Widget(amount=1), Widget(amount=1), Widget(amount=2)
        await store(backend, acme, one, other, untouched)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = [await widgets.get(each.id) for each in (one, other, untouched)]
            assert await widgets.update_where(Widget.amount == 1, name="new", extras={"list": []}) == 2
            assert [(each.name, each.version) for each in held] == [("new", 2), ("new", 2), ("", 1)]
            held[0].extras["list"].append("its own")
            for each in held:
                each.amount += 10
            await uow.commit()

        after = [await stored(backend, acme, each) for each in (one, other, untouched)]
        assert [(each.name, each.amount, each.version) for each in after if each is not None] == [
            ("new", 11, 3),
            ("new", 11, 3),
            ("", 12, 2),
        ]
        assert [each.extras for each in after if each is not None] == [{"list": ["its own"]}, {"list": []}, {}]

    @pytest.mark.parametrize("amount", (1, 2))
    async def test_what_somebody_else_has_changed_stays_stale(
        self, backend: Backend, acme: TenantId, amount: int
    ) -> None:
        widget = Widget(amount=1)
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(widget.id)
            async with backend.unit_of_work(acme) as meanwhile:
                found = await meanwhile.repository(Widgets).get(widget.id)
                found.amount, found.note = amount, "meanwhile"
                await meanwhile.commit()
            assert await widgets.update_where(Widget.amount == 1, name="new") == (2 - amount)
            assert (held.name, held.note) == ("", None)
            held.amount += 10
            with pytest.raises(ConcurrencyError):
                await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after.amount, after.note, after.name) == (amount, "meanwhile", "")

    async def test_all_that_meet_the_criteria_are_deleted_and_no_others(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(amount=number) for number in range(6)))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert await widgets.delete_where(Widget.amount >= 3) == 3
            assert await widgets.delete_where(Widget.amount >= 3) == 0
            await uow.commit()

        assert [each.amount for each in await listed(backend, acme)] == [0, 1, 2]

    async def test_what_was_deleted_is_forgotten(self, backend: Backend, acme: TenantId) -> None:
        widget, other = Widget(amount=1), Widget(amount=2)
        await store(backend, acme, widget, other)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held, kept = await widgets.get(widget.id), await widgets.get(other.id)
            async with backend.unit_of_work(acme) as meanwhile:
                (await meanwhile.repository(Widgets).get(widget.id)).note = "meanwhile"
                await meanwhile.commit()
            assert await widgets.delete_where(Widget.amount == 1) == 1
            assert await widgets.find(widget.id) is None
            held.name = kept.name = "changed"
            await uow.commit()

        assert [each.name for each in await listed(backend, acme)] == ["changed"]

    async def test_what_is_pending_is_reached_too(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(amount=1)
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.get(widget.id)).amount = 2
            widgets.add(added := Widget(amount=2))
            assert await widgets.update_where(Widget.amount == 2, amount=3) == 2
            assert (added.amount, added.version) == (3, 2)
            added.amount = 4
            assert await widgets.delete_where(Widget.amount == 4) == 1
            await uow.commit()

        assert [each.amount for each in await listed(backend, acme)] == [3]

    async def test_another_tenants_are_not_reached(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        theirs = Widget(amount=1)
        await store(backend, globex, theirs)
        await store(backend, acme, Widget(amount=1))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert await widgets.update_where(Widget.id == theirs.id, name="acme's") == 0
            assert await widgets.delete_where(Widget.id == theirs.id) == 0
            assert await widgets.update_where(EVERYTHING, name="acme's") == 1
            assert await widgets.delete_where(Widget.amount == 1) == 1
            await uow.commit()

        assert [(each.name, each.version) for each in await listed(backend, globex)] == [("", 1)]

    async def test_everything_has_to_be_said(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(), Widget())

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(InvalidSpecificationError, match="EVERYTHING"):
                await widgets.delete_where(None)  # type: ignore[arg-type]  # the mistake under test
            with pytest.raises(InvalidSpecificationError, match="EVERYTHING"):
                await widgets.update_where(None, name="new")  # type: ignore[arg-type]  # the mistake under test
            assert await widgets.update_where(EVERYTHING, name="new") == 2
            assert await widgets.delete_where(EVERYTHING) == 2
            await uow.commit()

        assert await stored_count(backend, acme) == 0

    async def test_what_an_attribute_does_not_take_is_refused_before_anything_is_written(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget()
        await store(backend, acme, widget)
        refusals: list[tuple[type[Exception], dict[str, Any]]] = [
            (InvalidSpecificationError, {}),
            (InvalidSpecificationError, {"id": new_id()}),
            (UnknownAttributeError, {"colour": "red"}),
            (UnknownAttributeError, {"tenant": "globex"}),
            (UnknownAttributeError, {"tenant_id": "globex"}),
            (UnknownAttributeError, {"version": 7}),
            (ValidationError, {"amount": "many"}),
            (ValidationError, {"amount": None}),
            (ValidationError, {"weight": float("nan")}),
            (UnstorableValueError, {"amount": 2**63}),
            (UnstorableValueError, {"name": "a NUL: \0"}),
        ]

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for error, changes in refusals:
                with pytest.raises(error):
                    await widgets.update_where(EVERYTHING, **{"note": "written", **changes} if changes else {})
            with pytest.raises(InvalidSpecificationError):
                await widgets.delete_where(Gadget.code == "of another aggregate")
            await uow.commit()

        after = await stored(backend, acme, widget)
        assert after is not None
        assert (after, after.version) == (widget, 1)

    async def test_a_key_that_is_taken_is_refused(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(code="taken"), Widget(code="other"))

        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.repository(Widgets).update_where(Widget.code == "other", code="taken")

        assert (refused.value.entity, refused.value.key) == ("Widget", ("code",))

    async def test_a_write_by_criteria_does_not_last_without_commit(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(name="kept", amount=1), Widget(name="kept", amount=2))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            await widgets.update_where(Widget.amount == 1, name="discarded")
            await widgets.delete_where(Widget.amount == 2)
            assert [each.name for each in await listed(backend, acme)] == ["kept", "kept"]

        assert [(each.name, each.version) for each in await listed(backend, acme)] == [("kept", 1), ("kept", 1)]

    async def test_a_read_only_unit_refuses_to_write_by_criteria(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme, read_only=True) as uow:
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await uow.repository(Widgets).update_where(EVERYTHING, name="new")
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await uow.repository(Widgets).delete_where(EVERYTHING)
