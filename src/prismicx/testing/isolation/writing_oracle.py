"""What a unit of work must answer that writes by a unique key, or by criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import DuplicateEntityError, InvalidKeyError, PrismicxError
from prismicx.domain.specification import Specification
from prismicx.testing.isolation.oracle import PRESENT, Held, Key, Seen, State, UnitOracle, entry_of, key_of, seen


@dataclass(slots=True)
class WritingOracle(UnitOracle):
    """One unit of work of the tenant, with all that it can write."""

    def upsert(self, entity: AggregateRoot, key: Sequence[str]) -> Seen:
        """Write what is pending, then the entity over the one with the same key, or beside all others."""
        there = self._there(entity, key)
        if there is None:
            return self._insert_now(entity)
        target, row = there
        values = {**seen(entity).values, "id": target.identity}
        return self._write_now(target, Seen(target.kind, row.version + 1, values))

    def get_or_create(self, entity: AggregateRoot, key: Sequence[str]) -> list[Any]:
        """Write what is pending, then return the one with the same key, or add the entity; and whether it was added."""
        there = self._there(entity, key)
        if there is None:
            return [self._insert_now(entity), True]
        return [self._read(*there, track=True), False]

    def update_where(self, kind: type[AggregateRoot], specification: Specification, values: Mapping[str, Any]) -> int:
        """Write what is pending, then these values, as they are stored, into all that meet the specification."""
        self._require_writable()
        self.flush()
        met = self._matching(kind, specification)
        for key, row in met:
            changed = row._replace(version=row.version + 1, values={**row.values, **values})
            held = self._held.get(key)
            if held is not None and held.state in PRESENT and held.seen.version == row.version:
                # Of its own values the unit changes those that are written: another aggregate may be in the row by now.
                held.seen = held.seen._replace(version=changed.version, values={**held.seen.values, **values})
                held.written = held.seen.values
            self._written[key] = changed
        for key, row in met:
            self._require_unique_now(key, {**row.values, **values})
        return len(met)

    def delete_where(self, kind: type[AggregateRoot], specification: Specification) -> int:
        """Write what is pending, then delete all that meet the specification."""
        self._require_writable()
        self.flush()
        met = self._matching(kind, specification)
        for key, _ in met:
            self._written[key] = None
            if key in self._held and self._held[key].state in PRESENT:
                self._held[key].state = State.GONE
        return len(met)

    def _there(self, entity: AggregateRoot, key: Sequence[str]) -> tuple[Key, Seen] | None:
        self._require_writable()
        wanted = entry_of(key, seen(entity).values)
        if None in wanted:
            raise InvalidKeyError("", (), "")
        self.flush()
        rows = self._rows(type(entity))
        return next((found for found in rows if entry_of(key, found[1].values) == wanted), None)

    def _insert_now(self, entity: AggregateRoot) -> Seen:
        key = key_of(entity)
        if self._row(key) is not None:
            self.broken = True
            raise DuplicateEntityError("", ("id",))
        return self._write_now(key, seen(entity)._replace(version=1))

    def _write_now(self, key: Key, row: Seen) -> Seen:
        self._require_unique_now(key, row.values)
        self._written[key] = row
        self._held[key] = Held(State.READ, row, row.values)
        return row

    def _require_unique_now(self, key: Key, values: Mapping[str, Any]) -> None:
        try:
            self._require_unique(key, values)
        except PrismicxError:
            self.broken = True
            raise
