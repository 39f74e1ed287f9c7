"""Steps, migrations and deliveries that are heard of: each a decorator (GoF) around the one that does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.outbox import Publisher, StoredEvent
from prismicx.domain.plugins import AppliedMigration, SchemaMigration
from prismicx.domain.ports import PluginSchemas, ProvisioningStep
from prismicx.domain.telemetry import Activity, Telemetry, observed
from prismicx.domain.tenancy import DatabaseConfig, Tenant


class ObservedStep(ProvisioningStep):
    """A provisioning step whose `ensure` and `remove` are heard of."""

    def __init__(self, step: ProvisioningStep, telemetry: Telemetry) -> None:
        self._step = step
        self._telemetry = telemetry

    @property
    def name(self) -> str:
        return self._step.name

    async def ensure(self, tenant: Tenant) -> None:
        with observed(self._telemetry, Activity.STEP, tenant=tenant.tenant_id, step=self.name, action="ensure"):
            await self._step.ensure(tenant)

    async def verify(self, tenant: Tenant) -> None:
        await self._step.verify(tenant)

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return await self._step.contents(tenant)

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        with observed(self._telemetry, Activity.STEP, tenant=tenant.tenant_id, step=self.name, action="remove"):
            return await self._step.remove(tenant)


class ObservedPluginSchemas(PluginSchemas):
    """Plugin schemas whose migrations are heard of; the version is the one that they lead to."""

    def __init__(self, schemas: PluginSchemas, telemetry: Telemetry) -> None:
        self._schemas = schemas
        self._telemetry = telemetry

    async def at(self, place: DatabaseConfig) -> PluginSchemas:
        return ObservedPluginSchemas(await self._schemas.at(place), self._telemetry)

    async def migrate(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
        migrations: Sequence[SchemaMigration],
        *,
        fence: int,
        back: Sequence[SchemaMigration] = (),
    ) -> None:
        version = str(migrations[-1].version_to) if migrations else "none"
        with observed(self._telemetry, Activity.MIGRATION, tenant=tenant, plugin=plugin, version=version):
            await self._schemas.migrate(tenant, plugin_type, plugin, migrations, fence=fence, back=back)

    async def ledger(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[AppliedMigration]:
        return await self._schemas.ledger(tenant, plugin_type, plugin)


class ObservedPublisher(Publisher):
    """A publisher whose batches are heard of; a relay is given it in the other's place."""

    def __init__(self, publisher: Publisher, telemetry: Telemetry) -> None:
        self._publisher = publisher
        self._telemetry = telemetry

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        tenant = events[0].tenant if events else None
        with observed(self._telemetry, Activity.DELIVERY, tenant=tenant, events=len(events)):
            await self._publisher.publish(events)

    async def __aenter__(self) -> Self:
        await self._publisher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publisher.__aexit__(kind, error, trace)
