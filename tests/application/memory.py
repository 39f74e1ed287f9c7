"""A registry in memory that counts, waits and dies on demand, and steps and schemas that fail on demand."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prismicx.adapters.ledgers import Turn
from prismicx.adapters.memory.backend import MemoryBackend
from prismicx.adapters.memory.provisioning import MemoryPluginSchemas
from prismicx.adapters.memory.registry_feed import MemoryRegistryFeed
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.adapters.terms import Terms
from prismicx.domain.errors import ConcurrencyError, DatabaseUnavailableError, ProvisioningError
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.registry_feed import RegistryReading
from prismicx.domain.tenancy import Tenant


class Clock:
    """The time, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Death(BaseException):
    """The process dies here: nothing behind this point happens."""


class Registry(MemoryBackend):
    """A memory backend for the registry."""

    def __init__(self) -> None:
        super().__init__([], on_commit=self._remember)
        self.events: list[DomainEvent] = []
        self.reads = 0
        self.readings: list[RegistryReading] = []
        self.commits = 0
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.unavailable = False
        self.heard: dict[str, asyncio.Queue[None]] = {"committed": asyncio.Queue(), "refused": asyncio.Queue()}
        self.conflicts = 0
        self.gate: asyncio.Event | None = None
        self.gate_after_reading: asyncio.Event | None = None

    async def hear(self, what: str, *, times: int) -> None:
        """Wait until so many units were committed, or refused, that nobody has waited for yet, and forget them."""
        async with asyncio.timeout(10):
            for _ in range(times):
                await self.heard[what].get()

    async def _remember(self, tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
        self.events.extend(events)

    @property
    def registry_feed(self) -> MemoryRegistryFeed:
        return WatchedFeed(self)

    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> MemoryUnitOfWork:
        return RegistryUnit(self, tenant, terms=terms)


class WatchedFeed(MemoryRegistryFeed):
    """What changes in such a registry."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry._store)
        self._registry = registry

    async def read(self, since: int | None) -> RegistryReading:
        self._registry.reads += 1
        if self._registry.gate is not None:
            await self._registry.gate.wait()
        if self._registry.unavailable:
            raise DatabaseUnavailableError("registry:5432", "is it running?")
        reading = await super().read(since)
        self._registry.readings.append(reading)
        if self._registry.gate_after_reading is not None:
            await self._registry.gate_after_reading.wait()
        return reading


class RegistryUnit(MemoryUnitOfWork):
    """A unit of work of such a registry."""

    def __init__(self, registry: Registry, tenant: TenantId | None, *, terms: Terms) -> None:
        super().__init__(tenant, terms=terms, wiring=registry._wiring, store=registry._store)
        self._registry = registry

    async def _begin(self) -> None:
        if self.read_only:
            self._registry.reads += 1
        if self._registry.gate is not None:
            await self._registry.gate.wait()
        if self._registry.unavailable:
            self._registry.heard["refused"].put_nowait(None)
            raise DatabaseUnavailableError("registry:5432", "is it running?")
        await super()._begin()

    async def _rollback(self) -> None:
        if self.read_only and self._registry.gate_after_reading is not None:
            await self._registry.gate_after_reading.wait()
        await super()._rollback()

    async def _commit(self) -> None:
        if self._registry.conflicts:
            self._registry.conflicts -= 1
            raise ConcurrencyError("Tenant", ["acme"])
        self._registry.commits += 1
        if self._registry.commits == self._registry.dies_before:
            raise Death
        await super()._commit()
        self._registry.heard["committed"].put_nowait(None)
        if self._registry.commits == self._registry.dies_after:
            raise Death


class RecordedStep(ProvisioningStep):
    """A step that makes one place per tenant, remembers what was asked of it, and fails as it is told."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self.calls = calls
        self.made: dict[TenantId, tuple[PluginType, ...]] = {}
        self.error: BaseException | None = None
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None

    @property
    def name(self) -> str:
        return self._name

    async def ensure(self, tenant: Tenant) -> None:
        self.calls.append(f"ensure {self._name}")
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.made[tenant.tenant_id] = tenant.plugin_types

    async def verify(self, tenant: Tenant) -> None:
        self.calls.append(f"verify {self._name}")
        if tenant.tenant_id not in self.made:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self._name, reason="it is not there")

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return {f"{self._name}.rows": 7} if tenant.tenant_id in self.made else {}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        self.calls.append(f"remove {self._name}")
        if self.error is not None:
            raise self.error
        found = await self.contents(tenant)
        self.made.pop(tenant.tenant_id, None)
        return found


class BreakableSchemas(MemoryPluginSchemas):
    """Schemas in memory whose next migration fails as it is told, before or after it was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.error_afterwards: BaseException | None = None
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.runs: list[list[str]] = []

    async def _take(self, place: Any, turn: Turn) -> None:
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        self.runs.append([f"-{gone.version_to}" for gone in turn.back] + [str(run.version_to) for run in turn.forward])
        if self.error is not None:
            raise self.error
        await super()._take(place, turn)
        if self.error_afterwards is not None:
            raise self.error_afterwards
