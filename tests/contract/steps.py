"""A provisioning step without a database: it keeps a set of the tenants that it has made a shelf for."""

from __future__ import annotations

from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant


class ShelfStep(ProvisioningStep):
    """A tenant's shelf."""

    def __init__(self) -> None:
        self.shelves: set[TenantId] = set()

    @property
    def name(self) -> str:
        return "shelf"

    async def ensure(self, tenant: Tenant) -> None:
        self.shelves.add(tenant.tenant_id)

    async def verify(self, tenant: Tenant) -> None:
        if tenant.tenant_id not in self.shelves:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self.name, reason="there is no shelf")

    async def remove(self, tenant: Tenant) -> None:
        self.shelves.discard(tenant.tenant_id)
