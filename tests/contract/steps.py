"""A provisioning step without a database: it keeps a shelf for each tenant, and the greatest fence it has seen."""

from __future__ import annotations

from collections.abc import Mapping

from prismicx.domain.errors import LeaseLostError, ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant


class ShelfStep(ProvisioningStep):
    """A tenant's shelf, with the books on it."""

    def __init__(self) -> None:
        self.shelves: dict[TenantId, int] = {}
        self.fences: dict[TenantId, int] = {}

    @property
    def name(self) -> str:
        return "shelf"

    async def ensure(self, tenant: Tenant) -> None:
        self.require_fence(tenant)
        self.shelves.setdefault(tenant.tenant_id, 3)

    async def verify(self, tenant: Tenant) -> None:
        if tenant.tenant_id not in self.shelves:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self.name, reason="there is no shelf")

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return {"shelf.books": self.shelves[tenant.tenant_id]} if tenant.tenant_id in self.shelves else {}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        self.require_fence(tenant)
        found = await self.contents(tenant)
        self.shelves.pop(tenant.tenant_id, None)
        return found

    def require_fence(self, tenant: Tenant) -> None:
        """Refuse a worker that was overtaken."""
        if tenant.fence < self.fences.get(tenant.tenant_id, 0):
            raise LeaseLostError(tenant.subject, fence=tenant.fence)
        self.fences[tenant.tenant_id] = tenant.fence
