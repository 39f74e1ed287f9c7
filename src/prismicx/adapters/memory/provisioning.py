"""Plugin schemas in memory: there is nothing to make, but the ledger of migrations is kept as strictly as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from prismicx.adapters.ledgers import Turn, turn_of
from prismicx.domain.errors import LeaseLostError
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.plugins import AppliedMigration, SchemaMigration
from prismicx.domain.ports import PluginSchemas

_Place = tuple[TenantId, PluginType, str]


class MemoryPluginSchemas(PluginSchemas):
    """A ledger without a database: scripts are recorded, not run."""

    def __init__(self) -> None:
        self._ledgers: dict[_Place, tuple[AppliedMigration, ...]] = {}
        self._fences: dict[_Place, int] = {}

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
        place = (tenant, plugin_type, plugin)
        if fence < self._fences.get(place, 0):
            raise LeaseLostError(f"plugin/{tenant}/{plugin}", fence=fence)
        self._fences[place] = fence
        turn = turn_of(plugin, self._ledgers.get(place, ()), migrations, back=back)
        await self._take(place, turn)

    async def ledger(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[AppliedMigration]:
        return self._ledgers.get((tenant, plugin_type, plugin), ())

    async def _take(self, place: _Place, turn: Turn) -> None:
        gone = {migration.version_to for migration in turn.back}
        kept = [entry for entry in self._ledgers.get(place, ()) if entry.version not in gone]
        run = [
            AppliedMigration(version=migration.version_to, checksum=migration.checksum, applied_at=utc_now())
            for migration in turn.forward
        ]
        self._ledgers[place] = (*kept, *run)
