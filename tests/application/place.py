"""A provisioning service over two steps, on a registry and a clock that tests take in hand."""

import pytest
from tests.application.memory import Clock, RecordedStep, Registry

from prismicx.application.directory import TenantDirectory
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.tenancy import Tenant, TenantStatus

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
EU = Region("eu-central-1")
STANDARD = Tier("standard")


class Place:
    """A provisioning service over two steps."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.calls: list[str] = []
        self.schemas = RecordedStep("schemas", self.calls)
        self.insights = RecordedStep("insights", self.calls)
        self.directory = TenantDirectory(lambda: registry)
        self.clock = Clock()
        self.service = self.another_process()

    def another_process(self, *steps: RecordedStep) -> TenantProvisioning:
        return TenantProvisioning(
            self.registry, steps or [self.schemas, self.insights], directory=self.directory, clock=self.clock
        )

    async def fail_to_create(self, tenant_id: TenantId = ACME) -> Tenant:
        self.insights.error = OSError("no space left")
        with pytest.raises(ProvisioningError):
            await self.create(tenant_id)
        self.insights.error = None
        self.calls.clear()
        return await self.service.get(tenant_id)

    async def create(self, tenant_id: TenantId | None = ACME) -> Tenant:
        return await self.service.create("Acme", region=EU, tier=STANDARD, tenant_id=tenant_id)

    async def is_complete(self, tenant_id: TenantId) -> bool:
        tenant = await self.service.get(tenant_id)
        made = tenant_id in self.schemas.made and tenant_id in self.insights.made
        return tenant.status is TenantStatus.ACTIVE and made and tenant.failure is None


def steps_of(tenant: Tenant) -> list[tuple[str, str, int]]:
    assert tenant.operation is not None
    return [(step.name, step.status.value, step.attempts) for step in tenant.operation.steps]
