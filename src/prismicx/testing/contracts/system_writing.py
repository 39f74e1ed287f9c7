"""What work over all tenants may change."""

from __future__ import annotations

import pytest

from prismicx.domain.entity import stamp
from prismicx.domain.errors import (
    ConcurrencyError,
    DuplicateEntityError,
    EntityNotFoundError,
    ReadOnlyUnitOfWorkError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.registry import TenantRepository
from prismicx.testing.contracts.across_tenants import AcrossTenants, Kept, opened
from prismicx.testing.contracts.working import store, stored
from prismicx.testing.examples import Mailbox, Widget, Widgets, example_tenant


class SystemWritingContract(AcrossTenants):
    """A system unit changes what it has read, where it was asked to, and every tenant keeps its own."""

    async def test_it_is_read_only_unless_asked(self, backend: Backend, acme: TenantId, kept: Kept, code: str) -> None:
        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)
            found = (await widgets.list(Widget.code == code))[0]
            found.name = "changed"
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.remove(found)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.add(Widget())
            await uow.commit()

        assert {(await self.of(backend, each)).name for each in kept} == {"acme's", "globex's"}

    async def test_it_changes_and_removes_what_it_has_read_and_every_tenant_keeps_its_own(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        other = Widget(name=code)
        await store(backend, acme, other)

        async with opened(backend, read_only=False) as uow:
            widgets = uow.repository(Widgets)
            by_tenant = {each.tenant: each for each in await widgets.list(Widget.code == code)}
            widgets.remove(by_tenant[acme])
            by_tenant[globex].name = "changed"
            (await widgets.get(other.id)).amount = 7
            await uow.flush()

            assert [each.tenant for each in await widgets.list(Widget.code == code)] == [globex]
            assert (await widgets.get(kept[0].id)).tenant == globex
            assert (by_tenant[globex].version, by_tenant[globex].tenant) == (2, globex)
            await uow.commit()

        assert await stored(backend, acme, kept[0]) is None
        changed, counted = await stored(backend, globex, kept[1]), await stored(backend, acme, other)
        assert changed is not None
        assert (changed.name, changed.version, changed.tenant) == ("changed", 2, globex)
        assert counted is not None
        assert (counted.amount, counted.tenant) == (7, acme)

    async def test_many_of_many_tenants_are_changed_in_one_unit(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        async with opened(backend, read_only=False) as uow:
            for each in await uow.repository(Widgets).list(Widget.code == code):
                each.amount += 10
            await uow.commit()

        assert [(await self.of(backend, each)).amount for each in kept] == [11, 12]

        async with opened(backend, read_only=False) as uow:
            widgets = uow.repository(Widgets)
            for each in await widgets.list(Widget.code == code):
                widgets.remove(each)
            await uow.commit()

        assert [await stored(backend, tenant, kept[0]) for tenant in (acme, globex)] == [None, None]

    @pytest.mark.parametrize("change", ("update one", "remove one", "update both", "remove both"))
    async def test_a_stale_write_is_refused_and_takes_the_others_with_it(
        self, backend: Backend, globex: TenantId, kept: Kept, change: str
    ) -> None:
        async with opened(backend, read_only=False) as uow:
            widgets = uow.repository(Widgets)
            for each in await widgets.list(Widget.id == kept[0].id):
                if change.endswith("one") and each.tenant != globex:
                    continue
                if change.startswith("remove"):
                    widgets.remove(each)
                else:
                    each.name = "too late"
            await self.changed_by_its_tenant(backend, globex, kept[1])

            with pytest.raises(ConcurrencyError) as refused:
                await uow.commit()

        assert refused.value.identities == (kept[1].id,)
        assert [(await self.of(backend, each)).name for each in kept] == ["acme's", "changed by globex"]

    async def test_a_unique_key_is_each_tenants_own(
        self, backend: Backend, acme: TenantId, globex: TenantId, code: str
    ) -> None:
        mine, yours = Widget(code=code), Widget(code=f"{code} 2")
        await store(backend, acme, mine, yours)
        await store(backend, globex, Widget(code=f"{code} 3"))

        async with opened(backend, read_only=False) as uow:
            (await uow.repository(Widgets).get(mine.id)).code = f"{code} 3"
            await uow.commit()
        async with opened(backend, read_only=False) as uow:
            (await uow.repository(Widgets).get(mine.id)).code = f"{code} 2"
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.commit()

        assert refused.value.key == ("code",)

    async def test_adding_needs_a_tenants_own_unit(self, backend: Backend, acme: TenantId) -> None:
        async with opened(backend, read_only=False) as uow:
            for widget in (Widget(), stamp(Widget(), version=0, tenant=acme)):
                with pytest.raises(UnsupportedOperationError):
                    uow.repository(Widgets).add(widget)

    async def test_writing_by_key_or_by_criteria_needs_a_tenants_own_unit(
        self, backend: Backend, acme: TenantId, kept: Kept
    ) -> None:
        async with opened(backend, read_only=False) as uow:
            widgets = uow.repository(Widgets)
            with pytest.raises(UnsupportedOperationError):
                await widgets.upsert(Widget())
            with pytest.raises(UnsupportedOperationError):
                await widgets.get_or_create(stamp(Widget(), version=0, tenant=acme))
            with pytest.raises(UnsupportedOperationError):
                await widgets.update_where(Widget.id == kept[0].id, name="changed")
            with pytest.raises(UnsupportedOperationError):
                await widgets.delete_where(Widget.id == kept[0].id)
            await uow.commit()
        async with opened(backend) as uow:
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await uow.repository(Widgets).delete_where(Widget.id == kept[0].id)

        assert {(await self.of(backend, each)).name for each in kept} == {"acme's", "globex's"}

    async def test_what_it_has_not_read_cannot_be_removed(self, backend: Backend, kept: Kept) -> None:
        async with opened(backend, read_only=False) as uow:
            with pytest.raises(EntityNotFoundError):
                uow.repository(Widgets).remove(kept[0])

    async def test_nothing_lasts_without_commit(self, backend: Backend, kept: Kept, code: str) -> None:
        async with opened(backend, read_only=False) as uow:
            for each in await uow.repository(Widgets).list(Widget.code == code):
                each.name = "discarded"
            await uow.flush()

        assert {(await self.of(backend, each)).name for each in kept} == {"acme's", "globex's"}

    async def test_events_are_handed_over_tenant_by_tenant(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        mailbox = Mailbox()
        async with opened(backend, read_only=False) as uow:
            for each in await uow.repository(Widgets).list(Widget.code == code):
                each.announce(f"{each.tenant} 1", mailbox)
                each.announce(f"{each.tenant} 2", mailbox)
            await uow.commit()

        assert dict(mailbox.deliveries) == {each: [f"{each} 1", f"{each} 2"] for each in (acme, globex)}

    async def test_it_writes_nothing_to_the_registry(self, backend: Backend, acme: TenantId) -> None:
        async with backend.registry() as registry:
            registry.repository(TenantRepository).add(example_tenant(acme))
            await registry.commit()

        for change in (lambda tenants, tenant: tenants.remove(tenant), lambda _, tenant: setattr(tenant, "name", "x")):
            async with opened(backend, read_only=False) as uow:
                tenants = uow.repository(TenantRepository)
                change(tenants, await tenants.of(acme))
                with pytest.raises(UnsupportedOperationError):
                    await uow.commit()

        async with backend.registry() as registry:
            assert (await registry.repository(TenantRepository).of(acme)).name == f"Example {acme}"
