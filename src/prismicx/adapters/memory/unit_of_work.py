"""Units of work in memory: writes are the unit's own until commit makes them everyone's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from prismicx.adapters.change_set import FIRST_VERSION, Removal, Update
from prismicx.adapters.fields import plain_values
from prismicx.adapters.memory.mapping import Key, Row, Table
from prismicx.adapters.memory.outbox import TenantQueue
from prismicx.adapters.memory.store import Overlay, Store
from prismicx.adapters.terms import Terms
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.applied import APPLIED_UNITS
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import AlreadyAppliedError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import RecordedEvent
from prismicx.domain.placement import EntityMapping


class MemoryUnitOfWork(TrackedUnitOfWork):
    """A unit of work over rows in memory: it reads what is committed, and what it has written itself."""

    def __init__(self, tenant: TenantId | None, *, terms: Terms, wiring: Wiring, store: Store) -> None:
        super().__init__(tenant, terms=terms, wiring=wiring)
        self._overlay = Overlay(store, tenant)
        self._queues = store.outbox
        self._tenant_changes = store.tenant_changes
        self._announced: list[Sequence[TenantId]] = []
        self._events: dict[TenantId | None, Sequence[RecordedEvent]] = {}

    def table(self, mapping: EntityMapping) -> Table:
        """Return the rows that this unit sees."""
        return self._overlay.table(mapping)

    def put(self, mapping: EntityMapping, key: Key, row: Row | None) -> None:
        """Write over a row, or delete it (`None`), whatever version it has.

        Raises:
            DuplicateEntityError: a unique key is taken.
        """
        self._overlay.put(mapping, key, row)

    async def _begin(self) -> None:
        """Nothing is to be opened."""

    async def _insert(self, mapping: EntityMapping, entities: Sequence[AggregateRoot]) -> None:
        for entity in entities:
            self._overlay.insert(mapping, self._key(entity), Row(FIRST_VERSION, plain_values(entity)))

    async def _update(self, mapping: EntityMapping, updates: Sequence[Update]) -> None:
        for entity, version, changed in updates:
            key, plain = self._key(entity), plain_values(entity)
            stored = self.table(mapping).rows.get(key)
            values = {} if stored is None else stored.values | {name: plain[name] for name in changed}
            self._overlay.replace(mapping, key, Row(version + 1, values), version=version)

    async def _remove(self, mapping: EntityMapping, removals: Sequence[Removal]) -> None:
        for entity, version in removals:
            self._overlay.replace(mapping, self._key(entity), None, version=version)

    async def _store_events(self, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        self._queues.setdefault(tenant, TenantQueue()).require_new(events)
        self._events[tenant] = events

    async def _announce(self, tenants: Sequence[TenantId]) -> None:
        self._announced.append(tenants)

    async def _commit(self) -> None:
        record = self._terms.applied
        standing = None if record is None else self._overlay.committed(APPLIED_UNITS, self._key(record))
        if record is not None and standing is not None:
            raise AlreadyAppliedError(record.key, at=standing.values["recorded_at"], unit=standing.values["unit"])
        self._overlay.commit()
        for tenant, events in self._events.items():
            self._queues[tenant].append(tenant, events)
        for tenants in self._announced:
            self._tenant_changes.add(tenants)

    async def _rollback(self) -> None:
        self._overlay.restore({})

    def _database_savepoint(self) -> AbstractAsyncContextManager[None]:
        return self._forked()

    @asynccontextmanager
    async def _forked(self) -> AsyncIterator[None]:
        before = self._overlay.fork()
        try:
            yield
        except BaseException:
            self._overlay.restore(before)
            raise

    def _key(self, entity: AggregateRoot) -> Key:
        return Key(entity.tenant, entity.id)
