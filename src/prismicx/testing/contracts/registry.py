"""The registry: tenants are kept like other aggregates, in units of work that belong to no tenant."""

from __future__ import annotations

import pytest

from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, TenantNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.registry import TenantRepository
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.examples import example_tenant


class RegistryContract(TwoTenants):
    """What holds for units of work over the registry."""

    async def test_a_registered_tenant_is_found_as_it_was(self, backend: Backend, acme: TenantId) -> None:
        tenant = example_tenant(acme)

        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(tenant)
            await uow.commit()

        async with backend.registry(read_only=True) as uow:
            found = await uow.repository(TenantRepository).of(acme)
        assert found == tenant
        assert (found.version, found.tenant) == (1, None)

    async def test_an_unknown_tenant_is_not_found(self, backend: Backend, acme: TenantId) -> None:
        async with backend.registry() as uow:
            with pytest.raises(TenantNotFoundError):
                await uow.repository(TenantRepository).of(acme)

    async def test_a_tenant_is_registered_once(self, backend: Backend, acme: TenantId) -> None:
        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(example_tenant(acme))
            await uow.commit()

        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(example_tenant(acme))
            with pytest.raises(DuplicateEntityError) as refused:
                await uow.commit()
        assert refused.value.key == ("tenant_id",)

    async def test_a_stale_change_of_a_tenant_is_refused(self, backend: Backend, acme: TenantId) -> None:
        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(example_tenant(acme))
            await uow.commit()

        async with backend.registry() as late:
            tenant = await late.repository(TenantRepository).of(acme)
            async with backend.registry() as early:
                (await early.repository(TenantRepository).of(acme)).name = "Early"
                await early.commit()
            tenant.name = "Late"
            with pytest.raises(ConcurrencyError):
                await late.commit()
