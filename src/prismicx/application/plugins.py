"""Publishing plugins, and installing, upgrading, downgrading and uninstalling them for a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from prismicx.application.plugin_recovery import PluginRecovery
from prismicx.application.plugin_work import Begun, installed, tenant_and_plugin
from prismicx.domain.errors import InvalidPluginTypeError, PluginInstallationError
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.registry import PluginRepository, TenantPluginRepository, TenantRepository
from prismicx.domain.setups import PluginSetup

_USE_UPGRADE = frozenset({TenantPluginStatus.ACTIVE, TenantPluginStatus.FAILED, TenantPluginStatus.UPGRADING})


class PluginInstallation(PluginRecovery):
    """Publishes plugins and brings them to tenants that are active.

    What is about to happen to a tenant's plugin is recorded, with a lease, before the tenant's schema is touched; so
    one worker at a time is at work there, and a second one gets `OperationUnderWayError`. The migrations then run all
    or none. A failure leaves the schema as it was and the record `failed`, with the reason: `retry` begins it again,
    `abandon` takes it back. A crash leaves it under way until the lease is over: `reconcile`, `retry` or the same call
    again does what is left to do, as the schema's own ledger says.

    Each use case for a tenant raises `TenantNotFoundError`, `TenantNotActiveError` and `PluginNotFoundError`; each that
    touches the schema `OperationUnderWayError`, and `LeaseLostError` where it was overtaken.
    """

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

        async def begin(unit: UnitOfWork) -> Begun | TenantPlugin:
            tenant, found = await tenant_and_plugin(unit, tenant_id, plugin)
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
            self._work.claim(installation)
            tenant.need_schema(found.type)
            found.chain(installation.installed_version, chosen.version)
            installation.begin_installation(setup)
            return tenant, found, installation

        return await self._work.carried_out(begin)

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

        async def begin(unit: UnitOfWork) -> Begun | TenantPlugin:
            tenant, found, installation = await installed(unit, tenant_id, plugin)
            chosen = found.newest if version is None else found.of_version(version)
            setup = installation.setup_for(chosen, configurations=configurations or {}, features=features)
            if installation.has(setup):
                return installation
            self._work.claim(installation)
            found.chain(installation.installed_version, chosen.version)
            installation.begin_upgrade(setup)
            return tenant, found, installation

        return await self._work.carried_out(begin)

    async def downgrade(self, tenant_id: TenantId, plugin: str, version: Version) -> TenantPlugin:
        """Bring a tenant's plugin back to an earlier version by the down scripts, and return the record of it, active.

        What only later versions know of the tenant is lost as the down scripts say. Configurations stay, over the
        defaults of the version, and so do the features that it offers. Nothing happens where it is active in it.

        Raises:
            IllegalTransitionError: the plugin is not installed, or something else is under way.
            InvalidMigrationError: the version is later than the installed one, or a migration between has no down
                script.
            PluginInstallationError: a script failed, which is recorded.
            PluginNotInstalledError: the tenant has never had the plugin.
        """

        async def begin(unit: UnitOfWork) -> Begun | TenantPlugin:
            tenant, found, installation = await installed(unit, tenant_id, plugin)
            setup = installation.setup_for(found.of_version(version), configurations={}, features=None)
            if installation.installed_version == version and installation.status is TenantPluginStatus.ACTIVE:
                return installation
            self._work.claim(installation)
            installation.begin_downgrade(setup)
            if installation.installed_version is not None:
                found.way_back(installation.installed_version, version)
            return tenant, found, installation

        return await self._work.carried_out(begin)

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

        async def configured(unit: UnitOfWork) -> TenantPlugin:
            _, found, installation = await installed(unit, tenant_id, plugin)
            installation.configure(found, configurations=configurations or {}, features=features)
            return installation

        return await self._work.recorded(configured)

    async def uninstall(self, tenant_id: TenantId, plugin: str) -> TenantPlugin:
        """Uninstall a tenant's plugin and return the record of it. The tenant's schema stays, with its data.

        Raises:
            IllegalTransitionError: something else is under way, or the plugin is uninstalled already.
            PluginNotInstalledError: the tenant has never had the plugin.
        """

        async def uninstalled(unit: UnitOfWork) -> TenantPlugin:
            _, _, installation = await installed(unit, tenant_id, plugin)
            installation.begin_uninstallation()
            installation.finish_uninstallation()
            return installation

        return await self._work.recorded(uninstalled)

    async def purge(self, tenant_id: TenantId, plugin: str) -> TenantPlugin:
        """Uninstall a tenant's plugin where it is not, and take away what its migrations made, with the data in it.

        The down scripts do that, from the newest to the first: what a plugin made, the plugin alone knows. Nothing
        happens where nothing is left. Return the record, uninstalled.

        Raises:
            IllegalTransitionError: something else is under way.
            InvalidMigrationError: one of the migrations has no down script; nothing was touched.
            PluginInstallationError: a script failed, which is recorded.
            PluginNotInstalledError: the tenant has never had the plugin.
        """

        async def begin(unit: UnitOfWork) -> Begun | TenantPlugin:
            tenant, found, installation = await installed(unit, tenant_id, plugin)
            version = installation.installed_version
            if version is None and installation.status is TenantPluginStatus.UNINSTALLED:
                return installation
            self._work.claim(installation)
            if version is not None:
                found.way_back(version, None)
            installation.begin_purge()
            return tenant, found, installation

        return await self._work.carried_out(begin)

    def _is_active_in(self, installation: TenantPlugin, version: Version) -> bool:
        installed = installation.installed_version
        if installed not in (None, version) and installation.status in _USE_UPGRADE:
            raise self._refusal(installation, f"version {installed} is installed; upgrade it instead")
        return installation.status is TenantPluginStatus.ACTIVE

    def _refusal(self, installation: TenantPlugin, reason: str) -> PluginInstallationError:
        tenant_id, plugin = installation.tenant_id.value, installation.plugin_name
        return PluginInstallationError(tenant_id=tenant_id, plugin=plugin, reason=reason)
