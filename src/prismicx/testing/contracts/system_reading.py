"""What work over all tenants sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prismicx.domain.errors import (
    AmbiguousIdentityError,
    EntityNotFoundError,
    InvalidCursorError,
    InvalidSpecificationError,
    NotMappedError,
)
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend, Repository
from prismicx.domain.registry import TenantRepository
from prismicx.domain.specification import asc, desc
from prismicx.testing.contracts.across_tenants import AcrossTenants, Kept, opened
from prismicx.testing.contracts.working import store
from prismicx.testing.examples import Gadgets, Gizmo, Gizmos, Widget, Widgets, example_tenant


class SystemReadingContract(AcrossTenants):
    """A system unit reads every tenant's shared entities and the registry, and nothing else."""

    async def test_it_reads_all_tenants(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        await store(backend, globex, Widget(name=code, amount=3))
        ours = (Widget.code == code) | (Widget.name == code)

        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)
            listed = await widgets.list(ours, order_by=asc(Widget.amount))

            assert [(each.tenant, each.amount, each.version) for each in listed] == [
                (acme, 1, 1),
                (globex, 2, 1),
                (globex, 3, 1),
            ]
            assert [each.amount for each in await widgets.list(ours, order_by=desc(Widget.amount), limit=2)] == [3, 2]
            assert {(each.tenant, each.amount) async for each in widgets.stream(ours)} == {
                (acme, 1),
                (globex, 2),
                (globex, 3),
            }
            assert await widgets.count(ours) == 3
            assert await widgets.exists(ours)
            assert not await widgets.exists(Widget.code == f"not {code}")
            assert await widgets.count() >= 3
            assert uow.tenant is None

    async def test_a_query_of_the_domain_spans_tenants_too(self, backend: Backend, kept: Kept, code: str) -> None:
        async with opened(backend) as uow:
            found = await uow.repository(Widgets).by_code(code)

            assert found is not None
            assert found.tenant == min((each.tenant for each in kept), key=str)

    async def test_one_identity_of_two_tenants_is_ambiguous(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept
    ) -> None:
        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)

            for ask in (widgets.find, widgets.get):
                with pytest.raises(AmbiguousIdentityError) as refused:
                    await ask(kept[0].id)
                assert refused.value.tenants == tuple(sorted((acme.value, globex.value)))
            with pytest.raises(AmbiguousIdentityError):
                await widgets.fetch((new_id(), kept[0].id))
            by_tenant = {each.tenant: each for each in await widgets.list(Widget.id == kept[0].id)}
            assert {tenant: each.name for tenant, each in by_tenant.items()} == {acme: "acme's", globex: "globex's"}

    async def test_a_unique_identity_is_found_by_itself(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="only one")
        await store(backend, acme, widget)

        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)

            assert (found.tenant, found.name) == (acme, "only one")
            assert await widgets.find(widget.id) is found
            assert await widgets.fetch((new_id(), widget.id)) == {widget.id: found}
            assert await widgets.find(new_id()) is None
            with pytest.raises(EntityNotFoundError):
                await widgets.get(new_id())
            with pytest.raises(InvalidSpecificationError):
                await widgets.find("no uuid")  # type: ignore[arg-type]  # which is what is tested

    async def test_one_row_is_one_object(self, backend: Backend, kept: Kept, code: str) -> None:
        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)
            first, second = await widgets.list(Widget.code == code)
            again = await widgets.list(Widget.code == code)

            assert first is not second
            assert again[0] is first
            assert again[1] is second

    async def test_pages_joined_are_everything_once(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        await store(backend, acme, *(Widget(name=code, amount=2, note=note) for note in ("a", None, "b")))
        ours = (Widget.code == code) | (Widget.name == code)
        for order in ((), (asc(Widget.amount),), (desc(Widget.note),), (asc(Widget.note), desc(Widget.amount))):
            async with opened(backend) as uow:
                widgets, cursor = uow.repository(Widgets), None
                met: list[Widget] = []
                while True:
                    page = await widgets.page(ours, order_by=order, size=1, after=cursor)
                    met += page.items
                    cursor = page.next
                    if cursor is None:
                        break

                back = await widgets.page(ours, order_by=order, size=5, before=page.previous)
                assert [*back.items, *page.items] == met
                assert met == await widgets.list(ours, order_by=order)
                assert len({(each.tenant, each.id) for each in met}) == 5

    async def test_a_tenants_cursor_is_refused(self, backend: Backend, acme: TenantId, kept: Kept) -> None:
        await store(backend, acme, Widget())
        async with backend.unit_of_work(acme, read_only=True) as uow:
            cursor = (await uow.repository(Widgets).page(size=1)).next

        async with opened(backend) as system:
            with pytest.raises(InvalidCursorError):
                await system.repository(Widgets).page(size=1, after=cursor)

    async def test_it_reads_the_registry(self, backend: Backend, acme: TenantId) -> None:
        async with backend.registry() as registry:
            registry.repository(TenantRepository).add(example_tenant(acme))
            await registry.commit()

        async with opened(backend, read_only=False) as uow:
            tenant = await uow.repository(TenantRepository).of(acme)
            page = await uow.repository(TenantRepository).page(size=1)

            assert (tenant.name, tenant.tenant) == (f"Example {acme}", None)
            assert len(page.items) == 1

    @pytest.mark.parametrize("port", (Gadgets, Gizmos))
    async def test_what_a_tenant_has_in_a_place_of_its_own_is_out_of_reach(
        self, backend: Backend, port: Callable[..., Repository[Any]]
    ) -> None:
        async with opened(backend) as uow:
            with pytest.raises(NotMappedError) as refused:
                uow.repository(port)

        assert "iterate over the tenants" in refused.value.reason

    async def test_what_is_not_mapped_stays_so(self, backend: Backend) -> None:
        class Unknown(Gizmo):
            """Nobody maps it."""

        class Unknowns(Repository[Unknown]):
            """The unknown."""

        async with opened(backend) as uow:
            with pytest.raises(NotMappedError):
                uow.repository(Unknowns)
