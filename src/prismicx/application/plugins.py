"""Publishing plugins, and installing, upgrading and uninstalling them for a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from prismicx.application.reasons import reason_of
from prismicx.domain.errors import InvalidPluginTypeError, PluginInstallationError, TenantNotActiveError
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.installations import PluginSetup, TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration
from prismicx.domain.ports import Backend, PluginSchemas, UnitOfWork
from prismicx.domain.registry import PluginRepository, TenantPluginRepository, TenantRepository
from prismicx.domain.tenancy import Tenant, TenantStatus

_USE_UPGRADE = frozenset({TenantPluginStatus.ACTIVE, TenantPluginStatus.FAILED, TenantPluginStatus.UPGRADING})


class PluginInstallation:
    """Publishes plugins and brings them to tenants that are active.

    What is about to happen to a tenant's plugin is recorded before the tenant's schema is touched. The migrations then
    run all or none. A failure leaves the schema as it was and the record `failed`, with the reason; a crash or a
    cancellation leaves it under way. Calling again does what is left to do in each case.

    Each use case for a tenant raises `TenantNotFoundError`, `TenantNotActiveError` and `PluginNotFoundError`.
    """

    def __init__(self, registry: Backend, schemas: PluginSchemas) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            schemas: where migrations run.
        """
        self._registry = registry
        self._schemas = schemas

    async def publish(
        self, name: str, plugin_type: PluginType, version: PluginVersion, migration: SchemaMigration | None = None
    ) -> Plugin:
        """Publish a version, and the plugin with its first one; return the plugin. Nothing happens the second time.

        Raises:
            ChecksumMismatchError: the version is published with another script.
            DuplicateEntityError: the version is published and differs otherwise.
            InvalidMigrationError: the migration does not fit the versions that are published.
            InvalidNameError: the name is not acceptable.
            InvalidPluginTypeError: the plugin is published under another type.
        """
        async with self._registry.registry() as unit:
            plugins = unit.repository(PluginRepository)
            plugin = await plugins.find_named(name)
            if plugin is None:
                plugin = Plugin.named(name, plugin_type)
                plugins.add(plugin)
            if plugin.type != plugin_type:
                raise InvalidPluginTypeError(plugin_type.value, f"plugin {name} is published as {plugin.type}")
            plugin.publish(version, migration)
            await unit.commit()
        return plugin

    async def published(self) -> Sequence[Plugin]:
        """Return all plugins, by name."""
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(PluginRepository).by_name()

    async def list(self, tenant_id: TenantId) -> Sequence[TenantPlugin]:
        """Return what the tenant has, or had, installed, by name of the plugin.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._registry.registry(read_only=True) as unit:
            await unit.repository(TenantRepository).of(tenant_id)
            return await unit.repository(TenantPluginRepository).for_tenant(tenant_id)

    async def install(
        self,
        tenant_id: TenantId,
        plugin: str,
        *,
        version: Version | None = None,
        configurations: Mapping[str, JsonValue] | None = None,
        features: Sequence[str] | None = None,
    ) -> TenantPlugin:
        """Install a plugin for a tenant and return the record of it, active.

        Nothing happens where this version is active already. After a failure or a crash it is begun again; after
        uninstalling, the migrations go on from the schema that was left.

        Args:
            tenant_id: for whom.
            plugin: its name.
            version: which one; `None` takes the newest.
            configurations: over the defaults of the version, key by key.
            features: which features of the version to enable; none unless given.

        Raises:
            IllegalTransitionError: the plugin is being upgraded or uninstalled.
            InvalidMigrationError: no migrations lead to the version.
            InvalidNameError: the version does not offer a feature.
            PluginInstallationError: another version is installed, or this one with other configurations or features;
                or a migration failed, which is recorded.
        """
        async with self._registry.registry() as unit:
            tenant, found = await self._tenant_and_plugin(unit, tenant_id, plugin)
            chosen = found.newest if version is None else found.of_version(version)
            setup = PluginSetup.of(plugin, chosen, configurations=configurations or {}, features=features or ())
            installations = unit.repository(TenantPluginRepository)
            installation = await installations.find_of(tenant_id, found.id)
            if installation is None:
                installation = TenantPlugin.prepare(tenant_id, found, setup)
                installations.add(installation)
            elif self._is_active_in(installation, chosen.version):
                if not installation.has(setup) and (configurations is not None or features is not None):
                    raise self._refusal(installation, "it has other configurations or features; configure it instead")
                return installation
            tenant.need_schema(found.type)
            migrations = found.chain(installation.installed_version, chosen.version)
            installation.begin_installation(setup)
            await unit.commit()
        return await self._carry_out(installation, migrations)

    async def upgrade(
        self,
        tenant_id: TenantId,
        plugin: str,
        *,
        version: Version | None = None,
        configurations: Mapping[str, JsonValue] | None = None,
        features: Sequence[str] | None = None,
    ) -> TenantPlugin:
        """Bring a tenant's plugin to a later version and return the record of it, active.

        Until that is done, and after a failure, the tenant has what it had. Nothing happens where it is active in this
        version, with these configurations and features, already.

        Args:
            tenant_id: for whom.
            plugin: its name.
            version: which one; `None` takes the newest.
            configurations: over what the tenant has, which goes over the defaults of the version, key by key.
            features: which features to enable; `None` keeps those that the version still offers.

        Raises:
            IllegalTransitionError: the plugin is not installed, or being uninstalled.
            InvalidMigrationError: the version is older than the installed one, or no migrations lead to it.
            InvalidNameError: the version does not offer a feature.
            PluginInstallationError: a migration failed, which is recorded.
            PluginNotInstalledError: the tenant has never had the plugin.
        """
        async with self._registry.registry() as unit:
            _, found = await self._tenant_and_plugin(unit, tenant_id, plugin)
            chosen = found.newest if version is None else found.of_version(version)
            installation = await unit.repository(TenantPluginRepository).of(tenant_id, found)
            setup = installation.setup_for(chosen, configurations=configurations or {}, features=features)
            if installation.has(setup):
                return installation
            migrations = found.chain(installation.installed_version, chosen.version)
            installation.begin_upgrade(setup)
            await unit.commit()
        return await self._carry_out(installation, migrations)

    async def configure(
        self,
        tenant_id: TenantId,
        plugin: str,
        *,
        configurations: Mapping[str, JsonValue] | None = None,
        features: Sequence[str] | None = None,
    ) -> TenantPlugin:
        """Change configurations, key by key, and features of an active plugin; return the record of it.

        Raises:
            IllegalTransitionError: the plugin is not active.
            InvalidNameError: the version does not offer a feature.
            PluginNotInstalledError: the tenant has never had the plugin.
        """
        async with self._registry.registry() as unit:
            _, found = await self._tenant_and_plugin(unit, tenant_id, plugin)
            installation = await unit.repository(TenantPluginRepository).of(tenant_id, found)
            installation.configure(found, configurations=configurations or {}, features=features)
            await unit.commit()
        return installation

    async def uninstall(self, tenant_id: TenantId, plugin: str) -> TenantPlugin:
        """Uninstall a tenant's plugin and return the record of it. The tenant's schema stays, with its data.

        Raises:
            IllegalTransitionError: the plugin is being installed or upgraded, or is uninstalled already.
            PluginNotInstalledError: the tenant has never had the plugin.
        """
        async with self._registry.registry() as unit:
            _, found = await self._tenant_and_plugin(unit, tenant_id, plugin)
            installation = await unit.repository(TenantPluginRepository).of(tenant_id, found)
            installation.begin_uninstallation()
            installation.finish_uninstallation()
            await unit.commit()
        return installation

    async def _tenant_and_plugin(self, unit: UnitOfWork, tenant_id: TenantId, name: str) -> tuple[Tenant, Plugin]:
        tenant = await unit.repository(TenantRepository).of(tenant_id)
        if tenant.status is not TenantStatus.ACTIVE:
            raise TenantNotActiveError(tenant_id.value, tenant.status.value)
        return tenant, await unit.repository(PluginRepository).named(name)

    def _is_active_in(self, installation: TenantPlugin, version: Version) -> bool:
        installed = installation.installed_version
        if installed not in (None, version) and installation.status in _USE_UPGRADE:
            raise self._refusal(installation, f"version {installed} is installed; upgrade it instead")
        return installation.status is TenantPluginStatus.ACTIVE

    def _refusal(self, installation: TenantPlugin, reason: str) -> PluginInstallationError:
        tenant_id, plugin = installation.tenant_id.value, installation.plugin_name
        return PluginInstallationError(tenant_id=tenant_id, plugin=plugin, reason=reason)

    async def _carry_out(self, installation: TenantPlugin, migrations: Sequence[SchemaMigration]) -> TenantPlugin:
        tenant_id, plugin_type = installation.tenant_id, installation.plugin_type
        try:
            if migrations:
                await self._schemas.migrate(tenant_id, plugin_type, installation.plugin_name, migrations)
        except Exception as error:
            reason = reason_of(error)
            await self._change(installation, lambda found: found.fail(reason))
            raise self._refusal(installation, reason) from error
        return await self._change(installation, TenantPlugin.activate)

    async def _change(self, installation: TenantPlugin, change: Callable[[TenantPlugin], None]) -> TenantPlugin:
        async with self._registry.registry() as unit:
            found = await unit.repository(TenantPluginRepository).get(installation.id)
            change(found)
            await unit.commit()
        return found
