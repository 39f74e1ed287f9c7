"""Plugin schemas in memory: there is nothing to make, but the ledger of migrations is kept as strictly as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from prismicx.domain.errors import ChecksumMismatchError
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.ports import PluginSchemas


class MemoryPluginSchemas(PluginSchemas):
    """A ledger without a database: scripts are recorded, not run."""

    def __init__(self) -> None:
        self._ledger: dict[tuple[TenantId, PluginType, str], dict[str, str]] = {}

    async def migrate(
        self, tenant: TenantId, plugin_type: PluginType, plugin: str, migrations: Sequence[SchemaMigration]
    ) -> None:
        applied = self._ledger.get((tenant, plugin_type, plugin), {})
        for migration in migrations:
            version, known = str(migration.version_to), applied.get(str(migration.version_to))
            if known not in (None, migration.checksum):
                raise ChecksumMismatchError(
                    plugin=plugin, version=version, applied=str(known), given=migration.checksum
                )
        added = {str(migration.version_to): migration.checksum for migration in migrations}
        self._ledger[tenant, plugin_type, plugin] = applied | added

    async def applied(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[str]:
        return tuple(self._ledger.get((tenant, plugin_type, plugin), {}))
