"""A plugin service in memory with one active tenant, and a plugin of three versions that lead there and back."""

from __future__ import annotations

from tests.application.memory import BreakableSchemas, Clock, Registry

from prismicx.application.plugin_verification import PluginVerification
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.rollouts import PluginRollouts
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier, Version
from prismicx.domain.installations import TenantPlugin
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
CRM = PluginType("crm")
ONE, TWO, THREE = Version("1.0.0"), Version("1.1.0"), Version("2.0.0")

OPENING = SchemaMigration(
    version_to=ONE,
    script="CREATE TABLE ${schema}.contacts (id uuid)",
    down="DROP TABLE ${schema}.contacts",
)
WIDENING = SchemaMigration(
    version_from=ONE,
    version_to=TWO,
    script="ALTER TABLE ${schema}.contacts ADD name text",
    down="ALTER TABLE ${schema}.contacts DROP name",
)
ONE_WAY = SchemaMigration(
    version_from=TWO, version_to=THREE, script="ALTER TABLE ${schema}.contacts ALTER name SET NOT NULL"
)
FIRST = PluginVersion(version=ONE, features=("export",), defaults={"limit": 10})
SECOND = PluginVersion(version=TWO, features=("export", "sync"), defaults={"limit": 20, "zone": "utc"})
THIRD = PluginVersion(version=THREE, features=("export", "sync"))


class Market:
    """The services, and what is behind them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.schemas = BreakableSchemas()
        self.clock = Clock()
        self.tenants = TenantProvisioning(registry, [])
        self.service = PluginInstallation(registry, self.schemas, clock=self.clock, pause=self._pause)
        self.rollouts = PluginRollouts(registry, self.service, clock=self.clock)
        self.verification = PluginVerification(registry, self.schemas)
        self.pauses: list[float] = []

    async def open(self) -> None:
        await self.create(ACME)
        await self.service.publish("contacts", CRM, FIRST, OPENING)

    async def create(self, tenant_id: TenantId) -> None:
        await self.tenants.create("A tenant", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id)

    async def publish_second(self) -> Plugin:
        return await self.service.publish("contacts", CRM, SECOND, WIDENING)

    async def publish_third(self) -> Plugin:
        return await self.service.publish("contacts", CRM, THIRD, ONE_WAY)

    async def record(self, tenant_id: TenantId = ACME) -> TenantPlugin:
        (found,) = await self.service.list(tenant_id)
        return found

    async def applied(self, tenant_id: TenantId = ACME) -> list[str]:
        return list(await self.schemas.applied(tenant_id, CRM, "contacts"))

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
