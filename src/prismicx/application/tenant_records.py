"""The registry's records of tenants: read, added and changed, each change in a unit of work of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from prismicx.application.directory import TenantDirectory
from prismicx.application.recording import recorded
from prismicx.domain.errors import OperationUnderWayError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.registry import TenantPluginRepository, TenantRepository
from prismicx.domain.tenancy import Tenant, TenantStatus

PLUGIN_RECORDS: Final = "registry.tenant_plugins"
"""Under which name a receipt counts the records of the tenant's plugins."""

Change = Callable[[Tenant], object]
"""What is done to a tenant as the registry has it now; done again if somebody else has changed it meanwhile."""

_Before: TypeAlias = Callable[[UnitOfWork, Tenant], Awaitable[None]]


class TenantRecords:
    """The tenants as the registry knows them; what is committed here, the directory knows at once."""

    def __init__(self, registry: Backend, *, directory: TenantDirectory | None = None) -> None:
        self._registry = registry
        self._directory = directory

    async def get(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant, whatever its state.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(TenantRepository).of(tenant_id)

    async def list(self, *statuses: TenantStatus) -> Sequence[Tenant]:
        """Return the tenants in these states, oldest first."""
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(TenantRepository).with_status(*statuses)

    async def add(self, tenant: Tenant) -> Tenant:
        """Store a new tenant and return it.

        Raises:
            DuplicateEntityError: a tenant has its id, whatever its state.
        """
        async with self._registry.registry() as unit:
            unit.repository(TenantRepository).add(tenant)
            await unit.commit()
        return self._observed(tenant)

    async def change(self, tenant_id: TenantId, change: Change) -> Tenant:
        """Change the tenant as it is now, and return it; nothing is written if `change` raises or changes nothing.

        Raises:
            ConcurrencyError, TransactionConflictError: others were faster, five times.
            TenantNotFoundError: there is no such tenant.
        """
        return await self._persistently(tenant_id, change, _nothing_before)

    async def begin_deletion(self, tenant_id: TenantId, change: Change, *, now: datetime) -> Tenant:
        """Change the tenant, unless somebody is at work on one of its plugins; return it.

        Raises:
            ConcurrencyError, TransactionConflictError: others were faster, five times.
            OperationUnderWayError: somebody is.
            TenantNotFoundError: there is no such tenant.
        """

        async def refuse_during_work(unit: UnitOfWork, tenant: Tenant) -> None:
            for plugin in await unit.repository(TenantPluginRepository).for_tenant(tenant.tenant_id):
                if plugin.lease is not None and not plugin.is_free(now):
                    until = plugin.lease.expires_at.isoformat()
                    raise OperationUnderWayError(plugin.subject, holder=plugin.lease.holder, until=until)

        return await self._persistently(tenant_id, change, refuse_during_work)

    async def close(self, tenant_id: TenantId, change: Change) -> Tenant:
        """Change the tenant, and remove and count the records of its plugins in the same transaction; return it.

        Raises:
            ConcurrencyError, TransactionConflictError: others were faster, five times.
            TenantNotFoundError: there is no such tenant.
        """

        async def remove_plugins(unit: UnitOfWork, tenant: Tenant) -> None:
            installed = unit.repository(TenantPluginRepository)
            plugins = await installed.for_tenant(tenant.tenant_id)
            for plugin in plugins:
                installed.remove(plugin)
            tenant.count({PLUGIN_RECORDS: len(plugins)})

        return await self._persistently(tenant_id, change, remove_plugins)

    async def _persistently(self, tenant_id: TenantId, change: Change, before: _Before) -> Tenant:
        async def change_it(unit: UnitOfWork) -> Tenant:
            tenant = await unit.repository(TenantRepository).of(tenant_id)
            await before(unit, tenant)
            change(tenant)
            return tenant

        return self._observed(await recorded(self._registry, change_it))

    def _observed(self, tenant: Tenant) -> Tenant:
        if self._directory is not None:
            self._directory.observe(tenant)
        return tenant


async def _nothing_before(unit: UnitOfWork, tenant: Tenant) -> None:
    """Leave everything as it is."""
