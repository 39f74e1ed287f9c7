"""A registry in memory that counts, waits and dies on demand, and steps and schemas that fail on demand."""

import asyncio
from collections.abc import Sequence

from prismicx.adapters.memory.backend import MemoryBackend
from prismicx.adapters.memory.provisioning import MemoryPluginSchemas
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.domain.errors import DatabaseUnavailableError, ProvisioningError
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant


class Death(BaseException):
    """The process dies here: nothing behind this point happens."""


class Registry(MemoryBackend):
    """A memory backend for the registry."""

    def __init__(self) -> None:
        super().__init__([], on_commit=self._remember)
        self.events: list[DomainEvent] = []
        self.reads = 0
        self.commits = 0
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.unavailable = False
        self.gate: asyncio.Event | None = None
        self.gate_after_reading: asyncio.Event | None = None

    async def _remember(self, tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
        self.events.extend(events)

    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> MemoryUnitOfWork:
        return RegistryUnit(self, tenant, read_only=read_only)


class RegistryUnit(MemoryUnitOfWork):
    """A unit of work of such a registry."""

    def __init__(self, registry: Registry, tenant: TenantId | None, *, read_only: bool) -> None:
        super().__init__(tenant, read_only=read_only, wiring=registry._wiring, store=registry._store)
        self._registry = registry

    async def _begin(self) -> None:
        if self.read_only:
            self._registry.reads += 1
        if self._registry.gate is not None:
            await self._registry.gate.wait()
        if self._registry.unavailable:
            raise DatabaseUnavailableError("registry:5432", "is it running?")
        await super()._begin()

    async def _rollback(self) -> None:
        if self.read_only and self._registry.gate_after_reading is not None:
            await self._registry.gate_after_reading.wait()
        await super()._rollback()

    async def _commit(self) -> None:
        self._registry.commits += 1
        if self._registry.commits == self._registry.dies_before:
            raise Death
        await super()._commit()
        if self._registry.commits == self._registry.dies_after:
            raise Death


class RecordedStep(ProvisioningStep):
    """A step that makes one place per tenant, remembers what was asked of it, and fails as it is told."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self.calls = calls
        self.made: dict[TenantId, tuple[PluginType, ...]] = {}
        self.error: BaseException | None = None

    @property
    def name(self) -> str:
        return self._name

    async def ensure(self, tenant: Tenant) -> None:
        self.calls.append(f"ensure {self._name}")
        if self.error is not None:
            raise self.error
        self.made[tenant.tenant_id] = tenant.plugin_types

    async def verify(self, tenant: Tenant) -> None:
        self.calls.append(f"verify {self._name}")
        if tenant.tenant_id not in self.made:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self._name, reason="it is not there")

    async def remove(self, tenant: Tenant) -> None:
        self.calls.append(f"remove {self._name}")
        self.made.pop(tenant.tenant_id, None)


class BreakableSchemas(MemoryPluginSchemas):
    """Schemas in memory whose next migration fails as it is told, before or after it was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.error_afterwards: BaseException | None = None
        self.runs: list[list[str]] = []

    async def migrate(
        self, tenant: TenantId, plugin_type: PluginType, plugin: str, migrations: Sequence[SchemaMigration]
    ) -> None:
        self.runs.append([str(migration.version_to) for migration in migrations])
        if self.error is not None:
            raise self.error
        await super().migrate(tenant, plugin_type, plugin, migrations)
        if self.error_afterwards is not None:
            raise self.error_afterwards
