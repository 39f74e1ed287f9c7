"""Whether the schemas of tenants are what the registry says: their own ledgers against what is published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prismicx.domain.cursors import Cursor
from prismicx.domain.identifiers import TenantId
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import AppliedMigration, Plugin
from prismicx.domain.ports import Backend, PluginSchemas
from prismicx.domain.registry import PluginRepository, TenantPluginRepository, TenantRepository
from prismicx.domain.specification import Specification, attribute
from prismicx.domain.tenancy import Tenant

_PAGE: Final = 100
_AT_REST: Final = frozenset({TenantPluginStatus.ACTIVE, TenantPluginStatus.UNINSTALLED})


@dataclass(frozen=True, slots=True)
class PluginDrift:
    """A schema whose ledger says something else than the registry: whose, and what."""

    tenant_id: TenantId
    problem: str


@dataclass(frozen=True, slots=True)
class PluginCheck:
    """How many schemas were looked at, and all that was found."""

    checked: int
    drifts: tuple[PluginDrift, ...]


class PluginVerification:
    """Compares the ledgers in tenants' schemas with what is published and recorded; nothing is changed."""

    def __init__(self, registry: Backend, schemas: PluginSchemas) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            schemas: where migrations have run.
        """
        self._registry = registry
        self._schemas = schemas

    async def verify(self, plugin: str, tenant_id: TenantId | None = None) -> PluginCheck:
        """Return what is found for every tenant that has, or had, the plugin, or for this one.

        A script whose checksum differs from the published one, a script that nobody has published, and, where nothing
        is under way or has failed, a ledger that has come less far or farther than the record says.

        Raises:
            PluginNotFoundError: there is no such plugin.
        """
        async with self._registry.registry(read_only=True) as unit:
            found = await unit.repository(PluginRepository).named(plugin)
        checked, drifts = 0, list[PluginDrift]()
        async for installation, tenant in self._installations(found, tenant_id):
            schemas = await self._schemas.at(tenant.database_config)
            ledger = await schemas.ledger(tenant.tenant_id, found.type, found.name)
            drifts += [PluginDrift(tenant.tenant_id, problem) for problem in _problems(found, installation, ledger)]
            checked += 1
        return PluginCheck(checked, tuple(drifts))

    async def _installations(
        self, plugin: Plugin, tenant_id: TenantId | None
    ) -> AsyncIterator[tuple[TenantPlugin, Tenant]]:
        wanted: Specification = attribute(TenantPlugin.plugin_id) == plugin.id
        if tenant_id is not None:
            wanted = wanted & (TenantPlugin.tenant_id == tenant_id)
        cursor: Cursor | None = None
        while True:
            async with self._registry.registry(read_only=True) as unit:
                page = await unit.repository(TenantPluginRepository).page(wanted, size=_PAGE, after=cursor)
                tenants = [await unit.repository(TenantRepository).of(found.tenant_id) for found in page.items]
            for pair in zip(page.items, tenants, strict=True):
                yield pair
            cursor = page.next
            if cursor is None:
                return


def _problems(plugin: Plugin, installation: TenantPlugin, ledger: Sequence[AppliedMigration]) -> Iterator[str]:
    published = {migration.version_to: migration for migration in plugin.migrations}
    for entry in ledger:
        known = published.get(entry.version)
        if known is None:
            yield f"a script to {entry.version} was run, and none is published"
        elif known.checksum != entry.checksum:
            yield f"the script to {entry.version} was run as {entry.checksum[:12]}…, published {known.checksum[:12]}…"
    if installation.status not in _AT_REST:
        return
    recorded, has_run = installation.installed_version, {entry.version for entry in ledger}
    expected = {migration.version_to for migration in plugin.way_to(recorded)}
    for version in sorted(expected - has_run):
        yield f"the record says {recorded or 'nothing'}, and the script to {version} was not run"
    for version in sorted(has_run - expected):
        yield f"the record says {recorded or 'nothing'}, and the script to {version} was run"
