"""Writing by a unique key, in one statement: whoever else does so at the same time."""

from __future__ import annotations

import asyncio

import pytest

from prismicx.domain.errors import (
    CrossTenantError,
    DuplicateEntityError,
    InvalidKeyError,
    NotMappedError,
    ReadOnlyUnitOfWorkError,
    UnstorableValueError,
)
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.registry import TenantRepository
from prismicx.domain.retry import Retry
from prismicx.domain.tenancy import Tenant
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, store, stored, stored_count
from prismicx.testing.examples import Gadget, Mailbox, Part, Widget, Widgets, example_tenant, full_widget

_AT_ONCE = 8


class KeyedWritingContract(TwoTenants):
    """`upsert` and `get_or_create`."""

    @pytest.mark.parametrize("on", (None, "code", ("order", "note")))
    async def test_an_upsert_adds_what_is_not_there(self, backend: Backend, acme: TenantId, on: object) -> None:
        widget = full_widget()

        async with backend.unit_of_work(acme) as uow:
            written = await uow.repository(Widgets).upsert(widget, on=on)
            assert written is widget
            assert (widget.version, widget.tenant) == (1, acme)
            assert await uow.repository(Widgets).get(widget.id) is widget
            widget.name = "changed afterwards"
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found, found.version) == (widget, 2)

    async def test_an_upsert_overwrites_all_but_the_id_of_what_has_the_key(
        self, backend: Backend, acme: TenantId
    ) -> None:
        before, after = Widget(code="full", amount=1, note="n", parts=[Part(name="nut")]), full_widget()
        await store(backend, acme, before)

        async with backend.unit_of_work(acme) as uow:
            written = await uow.repository(Widgets).upsert(after, on=Widget.code)
            assert (written.id, written.version, written.tenant) == (before.id, 2, acme)
            assert await uow.repository(Widgets).get(before.id) is written
            written.amount += 1
            await uow.commit()

        (found,) = await listed(backend, acme)
        assert found.version == 3
        assert found == after.model_copy(update={"id": before.id, "amount": after.amount + 1})

    async def test_an_upsert_by_identity_overwrites_whatever_version_is_stored(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(widget.id)
            async with backend.unit_of_work(acme) as other:
                (await other.repository(Widgets).get(widget.id)).name = "meanwhile"
                await other.commit()
            written = await widgets.upsert(Widget(id=widget.id, name="after"))
            assert written is held
            assert (held.name, held.version) == ("after", 3)
            held.amount = 1
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found.name, found.amount, found.version) == ("after", 1, 4)

    async def test_what_the_unit_holds_stays_one_object(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(code="one", name="before")
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            held = await widgets.get(widget.id)
            given = Widget(code="one", name="after", extras={"list": []})
            assert await widgets.upsert(given, on=Widget.code) is held
            assert await widgets.get_or_create(Widget(code="one"), on=Widget.code) == (held, False)
            assert (held.name, held.version, given.version) == ("after", 2, 0)
            given.extras["list"].append("a change of what is not held")
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found.name, found.extras, found.version) == ("after", {"list": []}, 2)

    async def test_what_is_pending_is_written_first(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(pending := Widget(code="one"))
            found, was_created = await widgets.get_or_create(Widget(code="one"), on=Widget.code)
            assert found is pending
            assert not was_created
            pending.amount = 1
            assert await widgets.upsert(Widget(code="one", amount=2), on=Widget.code) is pending
            widgets.remove(pending)
            again = await widgets.upsert(Widget(code="one", amount=3), on=Widget.code)
            assert (again.version, pending.amount, pending.version) == (1, 2, 3)
            await uow.commit()

        assert [each.amount for each in await listed(backend, acme)] == [3]

    async def test_get_or_create_returns_what_is_there_and_writes_nothing(
        self, backend: Backend, acme: TenantId
    ) -> None:
        there = full_widget()
        await store(backend, acme, there)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found, was_created = await widgets.get_or_create(Widget(code=there.code, name="new"), on=Widget.code)
            assert (found, was_created, found.version) == (there, False, 1)
            by_id, was_created = await widgets.get_or_create(Widget(id=there.id))
            assert by_id is found
            assert not was_created
            found.name = "changed"
            await uow.commit()

        after = await stored(backend, acme, there)
        assert after is not None
        assert (after.name, after.version) == ("changed", 2)

    async def test_get_or_create_adds_what_is_not_there(self, backend: Backend, acme: TenantId) -> None:
        widget = full_widget()

        async with backend.unit_of_work(acme) as uow:
            made, was_created = await uow.repository(Widgets).get_or_create(widget, on=Widget.code)
            assert (made is widget, was_created) == (True, True)
            assert (widget.version, widget.tenant) == (1, acme)
            widget.amount = 9
            await uow.commit()

        found = await stored(backend, acme, widget)
        assert found is not None
        assert (found, found.version) == (widget, 2)

    @pytest.mark.parametrize("how", ("upsert", "get_or_create"))
    async def test_of_many_at_once_none_fails_and_one_row_is_left(
        self, backend: Backend, acme: TenantId, how: str
    ) -> None:
        pair, first_tries = asyncio.Barrier(2), iter(range(_AT_ONCE))

        async def written(uow: UnitOfWork) -> tuple[Widget, bool]:
            widgets = uow.repository(Widgets)
            await widgets.count()  # it has a transaction, where reading begins one
            if next(first_tries, None) is not None:
                await pair.wait()
            if how == "upsert":
                return await widgets.upsert(Widget(code="wanted by all"), on=Widget.code), True
            return await widgets.get_or_create(Widget(code="wanted by all"), on=Widget.code)

        async def one() -> tuple[Widget, bool]:
            return await backend.run(acme, written, retry=Retry(tries=50, cap=0.1))

        outcomes = await asyncio.gather(*(one() for _ in range(_AT_ONCE)))

        (left,) = await listed(backend, acme)
        assert {widget.id for widget, _ in outcomes} == {left.id}
        assert left.version == (_AT_ONCE if how == "upsert" else 1)
        assert [was_written for _, was_written in outcomes].count(True) == left.version

    @pytest.mark.parametrize("how", ("upsert", "get_or_create"))
    async def test_the_key_is_the_tenants_own(
        self, backend: Backend, acme: TenantId, globex: TenantId, how: str
    ) -> None:
        theirs = Widget(code="one", name="globex's")
        await store(backend, globex, theirs)

        for own in (Widget(code="one", name="acme's"), Widget(id=theirs.id, code="two", name="acme's")):
            async with backend.unit_of_work(acme) as uow:
                widgets = uow.repository(Widgets)
                on = Widget.code if own.code == "one" else None
                if how == "upsert":
                    assert await widgets.upsert(own, on=on) is own
                else:
                    assert await widgets.get_or_create(own, on=on) == (own, True)
                assert own.version == 1
                await uow.commit()

        assert {each.name for each in await listed(backend, acme)} == {"acme's"}
        assert [(each.name, each.version) for each in await listed(backend, globex)] == [("globex's", 1)]

    async def test_an_aggregate_of_another_tenant_is_not_written(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        theirs = Widget()
        await store(backend, globex, theirs)

        async with backend.unit_of_work(acme) as uow:
            with pytest.raises(CrossTenantError):
                await uow.repository(Widgets).upsert(theirs)
            with pytest.raises(CrossTenantError):
                await uow.repository(Widgets).get_or_create(theirs)
            await uow.commit()

        assert await stored_count(backend, acme) == 0

    async def test_what_is_no_unique_key_is_refused_before_anything_is_written(
        self, backend: Backend, acme: TenantId
    ) -> None:
        nulls = Widget(note="a note", order=None)
        keys: list[object] = ["name", Widget.name, (), ("code", "name"), ("note",), Gadget.code, Widget.code == "x", 1]
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for key in keys:
                with pytest.raises(InvalidKeyError):
                    await widgets.upsert(Widget(), on=key)
            for write in (widgets.upsert, widgets.get_or_create):
                with pytest.raises(InvalidKeyError, match="null"):
                    await write(nulls, on=(Widget.note, Widget.order))
                with pytest.raises(UnstorableValueError):
                    await write(Widget(amount=2**63))
                with pytest.raises(NotMappedError):
                    await write(Gadget())  # type: ignore[arg-type]  # the mistake under test
            assert await widgets.count() == 0
            await uow.commit()

    async def test_another_key_that_is_taken_is_refused(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, taken := Widget(code="taken"), Widget(code="mine", note="n", order=1))

        for wrong, on, key in (
            (Widget(code="new", note="n", order=1), "code", ("note", "order")),
            (Widget(code="taken", note="n", order=1), "code", ("note", "order")),
            (Widget(id=taken.id, code="new"), "code", ("id",)),
            (Widget(code="taken"), None, ("code",)),
        ):
            async with backend.unit_of_work(acme) as uow:
                with pytest.raises(DuplicateEntityError) as refused:
                    await uow.repository(Widgets).upsert(wrong, on=on)
            assert (refused.value.entity, refused.value.key) == ("Widget", key)

    async def test_events_go_with_what_is_written(self, backend: Backend, acme: TenantId) -> None:
        mailbox = Mailbox()
        await store(backend, acme, Widget(code="there"))
        new, over, found = Widget(code="new"), Widget(code="there"), Widget(code="there")
        for widget, subject in ((new, "added"), (over, "overwritten"), (found, "not needed")):
            widget.announce(subject, mailbox)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            await widgets.get_or_create(new, on=Widget.code)
            await widgets.upsert(over, on=Widget.code)
            await widgets.get_or_create(found, on=Widget.code)
            await uow.commit()

        assert mailbox.deliveries == [(acme, ["added", "overwritten"])]
        assert len(found.recorded_events) == 1

    async def test_it_does_not_last_without_commit(self, backend: Backend, acme: TenantId) -> None:
        there, new = Widget(code="there", name="before"), Widget(code="new")
        await store(backend, acme, there)

        async with backend.unit_of_work(acme) as uow:
            await uow.repository(Widgets).upsert(Widget(code="there", name="after"), on=Widget.code)
            await uow.repository(Widgets).get_or_create(new)
            assert [each.name for each in await listed(backend, acme)] == ["before"]

        assert [(each.name, each.version) for each in await listed(backend, acme)] == [("before", 1)]
        assert new.version == 0

    async def test_a_read_only_unit_refuses_to_write_by_key(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme, read_only=True) as uow:
            for write in (uow.repository(Widgets).upsert, uow.repository(Widgets).get_or_create):
                with pytest.raises(ReadOnlyUnitOfWorkError):
                    await write(Widget())

    async def test_keys_of_the_registry_are_everybodys(self, backend: Backend, acme: TenantId) -> None:
        first, second = example_tenant(acme), example_tenant(acme)
        second.name = f"Again {new_id()}"

        async with backend.registry() as registry:
            tenants = registry.repository(TenantRepository)
            assert await tenants.get_or_create(first, on=Tenant.tenant_id) == (first, True)
            await registry.commit()
        async with backend.registry() as registry:
            written = await registry.repository(TenantRepository).upsert(second, on=Tenant.tenant_id)
            assert (written.id, written.version) == (first.id, 2)
            await registry.commit()

        async with backend.registry(read_only=True) as registry:
            assert (await registry.repository(TenantRepository).of(acme)).name == second.name
