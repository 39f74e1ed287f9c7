"""What changes among the tenants of a registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prismicx.adapters.memory.mapping import place_of
from prismicx.domain.identifiers import TenantId
from prismicx.domain.registry import REGISTRY_MAPPINGS
from prismicx.domain.registry_feed import REMEMBERED_CHANGES, RegistryFeed, RegistryReading, Standing
from prismicx.domain.tenancy import Tenant

if TYPE_CHECKING:
    from prismicx.adapters.memory.store import Store

_TENANTS = next(mapping for mapping in REGISTRY_MAPPINGS if mapping.entity is Tenant)


@dataclass(slots=True)
class TenantChanges:
    """How many changes there were, of whom the latest, and who wants to hear of them."""

    revision: int = 0
    latest: list[TenantId] = field(default_factory=list)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def add(self, tenants: Sequence[TenantId]) -> None:
        """Count a committed change of these tenants up, or of nobody knows whom, and tell everybody."""
        self.revision += max(len(tenants), 1)
        self.latest = [*self.latest, *tenants][-REMEMBERED_CHANGES:] if tenants else []
        for wake in self.listeners:
            wake()

    def since(self, revision: int | None) -> list[TenantId] | None:
        """Return who has changed since a revision; `None` where that is not known any more."""
        behind = -1 if revision is None else self.revision - revision
        return self.latest[len(self.latest) - behind :] if 0 <= behind <= len(self.latest) else None


class MemoryRegistryFeed(RegistryFeed):
    """The tenants' standings in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, since: int | None) -> RegistryReading:
        changes = self._store.tenant_changes
        changed = changes.since(since)
        rows = self._store.tables.get(place_of(_TENANTS, None), {}).values()
        known = {row.values["tenant_id"]: row for row in rows}
        wanted = map(TenantId, known) if changed is None else changed
        standings = {
            tenant: None
            if (row := known.get(tenant.value)) is None
            else Standing.of(row.values["status"], row.version, row.values["database_config"])
            for tenant in wanted
        }
        return RegistryReading(changes.revision, standings, is_whole=changed is None)

    async def listen(self, wake: Callable[[], None]) -> None:
        listeners = self._store.tenant_changes.listeners
        listeners.append(wake)
        wake()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            listeners.remove(wake)
