"""One tenant sees nothing of another, in any placement, by any method, and learns nothing from a refusal either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from prismicx.domain.entity import stamp
from prismicx.domain.errors import (
    ConcurrencyError,
    CrossTenantError,
    EntityNotFoundError,
    InvalidCursorError,
    InvalidTenantIdError,
    TenantContextMissingError,
    TenantNotActiveError,
    TenantNotFoundError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, Repository
from prismicx.domain.specification import Attribute, Disjunction, asc
from prismicx.testing.contracts.tenants import MakePlace, TwoTenants
from prismicx.testing.examples import Gadget, Gadgets, Gizmo, Gizmos, Product, Widget, Widgets


class Kept(NamedTuple):
    """One kind of aggregate, and the repository that keeps it in its placement."""

    kind: type[Product]
    port: Callable[..., Repository[Any]]


SHARED = Kept(Widget, Widgets)
IN_TENANT_SCHEMA = Kept(Gadget, Gadgets)
IN_TENANT_DATABASE = Kept(Gizmo, Gizmos)

_EACH_PLACEMENT = pytest.mark.parametrize(
    "kept", (SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE), ids=("shared", "tenant_schema", "tenant_database")
)


class TenancyContract(TwoTenants):
    """The wall around a tenant, as a repository sees it."""

    @_EACH_PLACEMENT
    async def test_another_tenant_sees_nothing(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> None:
        product = await self._stored(backend, acme, globex, make_place, kept)

        async with backend.unit_of_work(globex) as uow:
            products = uow.repository(kept.port)
            same_code = Attribute(kept.kind, "code") == product.code

            assert await products.find(product.id) is None
            with pytest.raises(EntityNotFoundError):
                await products.get(product.id)
            assert await products.find_one(same_code) is None
            assert await products.list() == []
            assert await products.list(Disjunction((same_code, ~same_code))) == []
            assert (await products.page(~same_code)).items == ()
            assert [each async for each in products.stream()] == []
            assert await products.count() == 0
            assert not await products.exists()
            assert not await products.exists(~Attribute(kept.kind, "id").is_null())

    @_EACH_PLACEMENT
    async def test_every_tenant_sees_its_own(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> None:
        await make_place(acme)
        await make_place(globex)
        for tenant in (acme, globex):
            async with backend.unit_of_work(tenant) as uow:
                uow.repository(kept.port).add_many((kept.kind(name=f"{tenant} 1"), kept.kind(name=f"{tenant} 2")))
                await uow.commit()

        for tenant in (acme, globex):
            async with backend.unit_of_work(tenant, read_only=True) as uow:
                products = uow.repository(kept.port)
                assert [each.name for each in await products.list()] == [f"{tenant} 1", f"{tenant} 2"]
                assert {each.tenant for each in await products.list()} == {tenant}
                assert await products.count() == 2

    @_EACH_PLACEMENT
    async def test_another_tenant_has_its_own_identities_and_keys(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> None:
        product = await self._stored(backend, acme, globex, make_place, kept)

        async with backend.unit_of_work(globex) as uow:
            uow.repository(kept.port).add(kept.kind(id=product.id, code=product.code, name="globex's"))
            await uow.commit()

        for tenant, name in ((acme, "acme's"), (globex, "globex's")):
            async with backend.unit_of_work(tenant) as uow:
                found = await uow.repository(kept.port).get(product.id)
                assert (found.name, found.version) == (name, 1)

    @_EACH_PLACEMENT
    async def test_nothing_of_another_tenant_is_added_or_removed(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> None:
        product, own = await self._stored(backend, acme, globex, make_place, kept), kept.kind()

        async with backend.unit_of_work(globex) as uow:
            products = uow.repository(kept.port)
            with pytest.raises(CrossTenantError) as refused:
                products.add(product)
            with pytest.raises(CrossTenantError):
                products.add_many((own, product))
            with pytest.raises(CrossTenantError):
                products.remove(product)
            assert own.tenant is None
            await uow.commit()

        assert (refused.value.unit, refused.value.other) == (str(globex), str(acme))
        await self._assert_untouched(backend, acme, product, kept)

    @_EACH_PLACEMENT
    async def test_a_disguised_aggregate_of_another_tenant_changes_and_removes_nothing(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> None:
        product = await self._stored(backend, acme, globex, make_place, kept)

        for change in ("update", "remove"):
            async with backend.unit_of_work(globex) as uow:
                products = uow.repository(kept.port)
                products.add(disguised := kept.kind(id=product.id, code="disguised"))
                await uow.flush()
                # As if it had been read: the same identity and version, under another tenant's unit.
                products.remove(disguised)
                await uow.flush()
                uow.tracker.remember(stamp(disguised, version=1, tenant=globex), changeable=True)  # type: ignore[attr-defined]  # of every tracked unit
                if change == "update":
                    disguised.name = "stolen"
                else:
                    products.remove(disguised)
                with pytest.raises(ConcurrencyError):
                    await uow.commit()

        await self._assert_untouched(backend, acme, product, kept)

    async def test_units_of_two_tenants_do_not_mix(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace
    ) -> None:
        for tenant in (acme, globex):
            await make_place(tenant)

        async with backend.unit_of_work(acme) as first, backend.unit_of_work(globex) as second:
            for kept in (SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE):
                first.repository(kept.port).add(kept.kind(name="first"))
                second.repository(kept.port).add(kept.kind(name="second"))
                assert [each.name for each in await first.repository(kept.port).list()] == ["first"]
                assert [each.name for each in await second.repository(kept.port).list()] == ["second"]
            await second.commit()
            assert [each.name for each in await first.repository(Widgets).list()] == ["first"]
            await first.commit()

        for tenant, name in ((acme, "first"), (globex, "second")):
            async with backend.unit_of_work(tenant) as uow:
                for kept in (SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE):
                    assert [each.name for each in await uow.repository(kept.port).list()] == [name]

    async def test_one_commit_spans_all_placements_of_a_tenant(
        self, backend: Backend, acme: TenantId, make_place: MakePlace
    ) -> None:
        await make_place(acme)
        everywhere = (SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE)

        async with backend.unit_of_work(acme) as discarded:
            for kept in everywhere:
                discarded.repository(kept.port).add(kept.kind(name="discarded"))
            await discarded.flush()
        async with backend.unit_of_work(acme) as committed:
            for kept in everywhere:
                committed.repository(kept.port).add(kept.kind(name="committed"))
            await committed.commit()

        async with backend.unit_of_work(acme) as uow:
            for kept in everywhere:
                assert [each.name for each in await uow.repository(kept.port).list()] == ["committed"]

    async def test_a_cursor_of_another_tenant_is_refused(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add_many((Widget(), Widget()))
            cursor = (await widgets.page(order_by=asc(Widget.code), size=1)).next

        assert cursor is not None
        async with backend.unit_of_work(globex) as uow:
            with pytest.raises(InvalidCursorError):
                await uow.repository(Widgets).page(order_by=asc(Widget.code), size=1, after=cursor)

    async def test_no_tenant_is_refused(self, backend: Backend) -> None:
        with pytest.raises(TenantContextMissingError):
            backend.unit_of_work(None)  # type: ignore[arg-type]  # the mistake under test

    async def test_what_is_not_a_tenant_id_is_refused(self, backend: Backend, acme: TenantId) -> None:
        for given in (str(acme), "", b"acme", 1, object()):
            with pytest.raises(InvalidTenantIdError):
                backend.unit_of_work(given)  # type: ignore[arg-type]  # the mistake under test

    async def test_an_unknown_tenant_does_not_get_in(self, backend: Backend) -> None:
        uow = backend.unit_of_work(TenantId("unknown-acme"))

        with pytest.raises(TenantNotFoundError):
            await uow.__aenter__()

    async def test_a_suspended_tenant_does_not_get_in(self, backend: Backend) -> None:
        uow = backend.unit_of_work(TenantId("suspended-acme"), read_only=True)

        with pytest.raises(TenantNotActiveError) as refused:
            await uow.__aenter__()
        assert refused.value.status == "suspended"

    async def _stored(
        self, backend: Backend, acme: TenantId, globex: TenantId, make_place: MakePlace, kept: Kept
    ) -> Product:
        await make_place(acme)
        await make_place(globex)
        product = kept.kind(name="acme's")
        async with backend.unit_of_work(acme) as uow:
            uow.repository(kept.port).add(product)
            await uow.commit()
        return product

    async def _assert_untouched(self, backend: Backend, acme: TenantId, product: Product, kept: Kept) -> None:
        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(kept.port).get(product.id)
            assert (found.name, found.version) == (product.name, 1)
