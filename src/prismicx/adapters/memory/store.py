"""Committed rows, and one unit's uncommitted ones over them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prismicx.adapters.memory.mapping import Key, Place, Row, Table, place_of
from prismicx.adapters.memory.outbox import Queues
from prismicx.adapters.memory.registry_feed import TenantChanges
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping


@dataclass(slots=True)
class Store:
    """What has been committed, by place, how many commits there were, and the events that were recorded."""

    tables: dict[Place, dict[Key, Row]] = field(default_factory=dict)
    commits: int = 0
    outbox: Queues = field(default_factory=dict)
    tenant_changes: TenantChanges = field(default_factory=TenantChanges)


@dataclass(frozen=True, slots=True)
class _Write:
    mapping: EntityMapping
    before: Row | None
    after: Row | None
    is_blind: bool
    """It was written by a statement that named no version."""


class Overlay:
    """The writes of one unit of work, checked as they come and again when they become everyone's."""

    def __init__(self, store: Store, tenant: TenantId | None) -> None:
        self._store = store
        self._tenant = tenant
        self._writes: dict[tuple[Place, Key], _Write] = {}
        self._tables: dict[Place, Table] = {}
        self._commits_seen = store.commits

    def table(self, mapping: EntityMapping) -> Table:
        """Return what this unit's tenant has there: what is committed, with the unit's own writes over it."""
        if self._commits_seen != self._store.commits:
            self._tables, self._commits_seen = {}, self._store.commits
        place = place_of(mapping, self._tenant)
        if place not in self._tables:
            self._tables[place] = self._read(place, mapping)
        return self._tables[place]

    def committed(self, mapping: EntityMapping, key: Key) -> Row | None:
        """Return the row that everyone sees, whatever this unit has written."""
        return self._store.tables.get(place_of(mapping, self._tenant), {}).get(key)

    def insert(self, mapping: EntityMapping, key: Key, row: Row) -> None:
        """Write a new row.

        Raises:
            DuplicateEntityError: its identity or a unique key is taken.
        """
        if key in self.table(mapping).rows:
            raise DuplicateEntityError(mapping.entity.__name__, ("id",))
        self._write(mapping, key, row)

    def replace(self, mapping: EntityMapping, key: Key, row: Row | None, *, version: int) -> None:
        """Write over the row, or delete it (`None`), if it still has this version.

        Raises:
            ConcurrencyError: it has another version, or is gone.
            DuplicateEntityError: a unique key is taken.
        """
        present = self.table(mapping).rows.get(key)
        if present is None or present.version != version:
            raise ConcurrencyError(mapping.entity.__name__, (key.identity,))
        self._write(mapping, key, row)

    def put(self, mapping: EntityMapping, key: Key, row: Row | None) -> None:
        """Write over the row that is there now, or none, or delete it (`None`), whatever version it has.

        Raises:
            DuplicateEntityError: a unique key is taken.
        """
        self._write(mapping, key, row, is_blind=True)

    def commit(self) -> None:
        """Make the writes everyone's, all or none.

        Raises:
            ConcurrencyError: somebody else has committed another version since.
            DuplicateEntityError: somebody else has committed the same key since.
            TransactionConflictError: either, where the unit's statement named no version.
        """
        for (place, key), write in self._writes.items():
            present = self._store.tables.get(place, {}).get(key)
            if write.is_blind and (present is not write.before or self._is_taken(write, key)):
                raise TransactionConflictError("another unit has written the same since")
            if present is not write.before:
                entity = write.mapping.entity.__name__
                if write.before is None:
                    raise DuplicateEntityError(entity, ("id",))
                raise ConcurrencyError(entity, (key.identity,))
            self._require_unique(write.mapping, key, write.after)
        for (place, key), write in self._writes.items():
            rows = self._store.tables.setdefault(place, {})
            if write.after is None:
                rows.pop(key, None)
            else:
                rows[key] = write.after
        self._store.commits += 1
        self._writes = {}

    def fork(self) -> dict[tuple[Place, Key], _Write]:
        """Return the writes so far, for `restore`."""
        return dict(self._writes)

    def restore(self, writes: dict[tuple[Place, Key], _Write]) -> None:
        """Forget the writes that came after `fork`."""
        self._writes = writes
        self._tables = {}

    def _read(self, place: Place, mapping: EntityMapping) -> Table:
        table = Table(tuple(tuple(attributes) for attributes in mapping.unique))
        for key, row in self._store.tables.get(place, {}).items():
            if self._sees(key) and (place, key) not in self._writes:
                table.put(key, row)
        for (written_place, key), write in self._writes.items():
            if written_place == place:
                table.put(key, write.after)
        return table

    def _sees(self, key: Key) -> bool:
        return key.tenant == self._tenant

    def _write(self, mapping: EntityMapping, key: Key, row: Row | None, *, is_blind: bool = False) -> None:
        self._require_unique(mapping, key, row)
        place = place_of(mapping, self._tenant)
        known = self._writes.get((place, key))
        if known is None:
            known = _Write(mapping, self._store.tables.get(place, {}).get(key), row, is_blind)
        self._writes[place, key] = replace(known, after=row)
        self.table(mapping).put(key, row)

    def _is_taken(self, write: _Write, key: Key) -> bool:
        return write.after is not None and self.table(write.mapping).taken_key(key, write.after) is not None

    def _require_unique(self, mapping: EntityMapping, key: Key, row: Row | None) -> None:
        taken = None if row is None else self.table(mapping).taken_key(key, row)
        if taken is not None:
            raise DuplicateEntityError(mapping.entity.__name__, taken)


class SystemOverlay(Overlay):
    """The writes of one unit of work over all tenants."""

    def _sees(self, key: Key) -> bool:
        return True
