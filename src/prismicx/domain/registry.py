"""The registry: the aggregates that say which tenants there are and what they have, and where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from prismicx.domain.errors import PluginNotFoundError, PluginNotInstalledError, TenantNotFoundError
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.installations import UNDER_WAY, TenantPlugin, TenantPluginStatus
from prismicx.domain.placement import EntityMapping, Reference
from prismicx.domain.plugins import Plugin
from prismicx.domain.ports import Repository
from prismicx.domain.rollouts import PluginRollout
from prismicx.domain.specification import Specification, asc, attribute, desc
from prismicx.domain.system import SystemAccess
from prismicx.domain.tenancy import Tenant, TenantStatus


class TenantRepository(Repository[Tenant]):
    """All tenants, whatever their state; deleted ones too."""

    async def of(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant of this id.

        Raises:
            TenantNotFoundError: there is none.
        """
        tenant = await self.find_by_tenant_id(tenant_id)
        if tenant is None:
            raise TenantNotFoundError(tenant_id.value)
        return tenant

    async def find_by_tenant_id(self, tenant_id: TenantId) -> Tenant | None:
        """Return the tenant of this id, or `None`."""
        return await self.find_one(Tenant.tenant_id == tenant_id)

    async def with_status(self, *statuses: TenantStatus) -> Sequence[Tenant]:
        """Return the tenants that are in one of these states, oldest first."""
        wanted = attribute(Tenant.status).in_(statuses)
        return await self.list(wanted, order_by=asc(Tenant.created_at))


class PluginRepository(Repository[Plugin]):
    """All published plugins."""

    async def named(self, name: str) -> Plugin:
        """Return the plugin of this name.

        Raises:
            PluginNotFoundError: there is none.
        """
        plugin = await self.find_named(name)
        if plugin is None:
            raise PluginNotFoundError(name)
        return plugin

    async def find_named(self, name: str) -> Plugin | None:
        """Return the plugin of this name, or `None`."""
        return await self.find_one(Plugin.name == name)

    async def by_name(self) -> Sequence[Plugin]:
        """Return all plugins, by name."""
        return await self.list(order_by=asc(Plugin.name))


class TenantPluginRepository(Repository[TenantPlugin]):
    """What each tenant has, or had, installed."""

    async def of(self, tenant_id: TenantId, plugin: Plugin) -> TenantPlugin:
        """Return the record of this plugin for this tenant.

        Raises:
            PluginNotInstalledError: it has never been installed there.
        """
        installed = await self.find_of(tenant_id, plugin.id)
        if installed is None:
            raise PluginNotInstalledError(tenant_id=tenant_id.value, plugin=plugin.name)
        return installed

    async def find_of(self, tenant_id: TenantId, plugin_id: UUID) -> TenantPlugin | None:
        """Return the record of this plugin for this tenant, or `None`."""
        of_tenant = attribute(TenantPlugin.tenant_id) == tenant_id
        return await self.find_one(of_tenant & (TenantPlugin.plugin_id == plugin_id))

    async def for_tenant(self, tenant_id: TenantId) -> Sequence[TenantPlugin]:
        """Return everything that the tenant has, or had, installed, by name of the plugin."""
        return await self.list(TenantPlugin.tenant_id == tenant_id, order_by=asc(TenantPlugin.plugin_name))

    def behind(self, plugin: Plugin, version: Version) -> Specification:
        """Return the criteria of whoever has an earlier version and could have this one.

        That is: it serves the tenant, is being upgraded, or failed while it was.
        """
        earlier = [known.version for known in plugin.versions if known.version < version]
        status, failed_in = attribute(TenantPlugin.status), attribute(TenantPlugin.interrupted)
        serves = status.in_((TenantPluginStatus.ACTIVE, TenantPluginStatus.UPGRADING))
        failed = (status == TenantPluginStatus.FAILED) & (failed_in == TenantPluginStatus.UPGRADING)
        installed = attribute(TenantPlugin.installed_version).in_(earlier)
        return (attribute(TenantPlugin.plugin_id) == plugin.id) & installed & (serves | failed)

    def under_way(self) -> Specification:
        """Return the criteria of those on which a worker is at work, or was until it died."""
        return attribute(TenantPlugin.status).in_(UNDER_WAY)


class PluginRolloutRepository(Repository[PluginRollout]):
    """Every rollout that was ever begun."""

    async def unfinished(self, plugin: Plugin) -> PluginRollout | None:
        """Return the rollout of this plugin that is running or paused, or `None`."""
        return await self.find_one(PluginRollout.unfinished == plugin.id)


class SystemAccessRepository(Repository[SystemAccess]):
    """Who opened a unit of work over all tenants, and why. The system's own login can add to it and change nothing."""

    async def latest(self, limit: int = 50) -> Sequence[SystemAccess]:
        """Return the latest accesses, the newest first."""
        return await self.list(order_by=desc(SystemAccess.opened_at), limit=limit)


REGISTRY_MAPPINGS: Final = (
    EntityMapping(Tenant, "tenants", Reference(), unique=[["tenant_id"]], indexes=[["status"]]),
    EntityMapping(Plugin, "plugins", Reference(), unique=[["name"]]),
    EntityMapping(
        TenantPlugin,
        "tenant_plugins",
        Reference(),
        unique=[["tenant_id", "plugin_id"]],
        indexes=[["plugin_id", "installed_version"], ["status"]],
    ),
    EntityMapping(PluginRollout, "plugin_rollouts", Reference(), unique=[["unfinished"]]),
    EntityMapping(SystemAccess, "system_accesses", Reference(), indexes=[["opened_at"]]),
)
"""How every backend keeps the registry; parents before children."""
