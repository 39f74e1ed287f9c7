"""The oracle: one dictionary per tenant, and what a unit of work over it must answer. Nothing in it knows two tenants.

It is written for histories in which at most one unit of a tenant writes at a time; units that read see what has been
committed, and what they have read already stays as they read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import Any, NamedTuple
from uuid import UUID

from prismicx.adapters.fields import plain_values, stored_specification
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    ConcurrencyError,
    DuplicateEntityError,
    EntityNotFoundError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
)
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import Order, Specification


class Key(NamedTuple):
    """One aggregate of one tenant."""

    kind: type[AggregateRoot]
    identity: UUID


class Seen(NamedTuple):
    """What can be seen of an aggregate: its version, and its attributes as they are stored."""

    kind: type[AggregateRoot]
    version: int
    values: Mapping[str, Any]


class _State(Enum):
    ADDED = auto()
    READ = auto()
    REMOVED = auto()
    GONE = auto()


@dataclass(slots=True)
class _Held:
    state: _State
    seen: Seen
    written: Mapping[str, Any]


@dataclass(slots=True)
class TenantOracle:
    """What one tenant has committed; `mappings` are those of its kinds, parents before children."""

    mappings: Sequence[EntityMapping]
    rows: dict[Key, Seen] = field(default_factory=dict)


@dataclass(slots=True)
class UnitOracle:
    """What one unit of work of the tenant must answer: each method does, or raises, what the unit has to."""

    tenant: TenantOracle
    read_only: bool
    broken: bool = False
    _held: dict[Key, _Held] = field(default_factory=dict)
    _written: dict[Key, Seen | None] = field(default_factory=dict)
    _savepoints: list[tuple[dict[Key, _Held], dict[Key, Seen | None]]] = field(default_factory=list)

    @property
    def savepoints(self) -> int:
        """How many savepoints are open."""
        return len(self._savepoints)

    @property
    def held(self) -> tuple[Key, ...]:
        """The aggregates that the unit holds and has not removed, oldest first."""
        return tuple(key for key, held in self._held.items() if held.state in _PRESENT)

    def sees(self, key: Key) -> Seen | None:
        """Return the aggregate as the unit has it or can read it; nothing is remembered."""
        held = self._held.get(key)
        if held is None:
            return self._row(key)
        return held.seen if held.state in _PRESENT else None

    def is_current(self, key: Key) -> bool:
        """Tell whether the unit has the aggregate as it is stored."""
        return self.sees(key) == self._row(key)

    def add(self, entities: Sequence[AggregateRoot]) -> None:
        """Add new aggregates, all or none."""
        self._require_writable()
        keys = [key_of(entity) for entity in entities]
        known = [key for key in keys if key in self._held and self._held[key].state is not _State.GONE]
        if known or len(set(keys)) < len(keys):
            raise DuplicateEntityError("", ())
        for entity in entities:
            self._held[key_of(entity)] = _Held(_State.ADDED, seen(entity), {})

    def change(self, key: Key, values: Mapping[str, Any]) -> Seen:
        """Take note that attributes of a held aggregate have changed; values as they are stored."""
        held = self._held[key]
        held.seen = held.seen._replace(values={**held.seen.values, **values})
        return held.seen

    def remove(self, key: Key) -> None:
        """Remove a held aggregate."""
        self._require_writable()
        held = self._held[key]
        if held.state is _State.ADDED:
            del self._held[key]
        else:
            held.state = _State.REMOVED

    def find(self, key: Key) -> Seen | None:
        """Find by identity, which writes nothing first."""
        if key not in self._held:
            row = self._row(key)
            return None if row is None else self._read(key, row, track=True)
        return self.sees(key)

    def get(self, key: Key) -> Seen:
        """As `find`, but absence is an error."""
        found = self.find(key)
        if found is None:
            raise EntityNotFoundError("", key.identity)
        return found

    def select(
        self,
        kind: type[AggregateRoot],
        specification: Specification,
        order: Sequence[Order] = (),
        *,
        skip: int = 0,
        limit: int | None = None,
        track: bool = True,
    ) -> list[Seen]:
        """Write what is pending, then read what meets the specification, in order (then by id), without the first."""
        self.flush()
        rows = self._matching(kind, specification)
        rows.sort(key=lambda found: found[0].identity)
        for key in reversed(order):
            present = [found for found in rows if found[1].values[key.attribute] is not None]
            absent = [found for found in rows if found[1].values[key.attribute] is None]
            present.sort(key=_value_of(key.attribute), reverse=key.descending)
            rows = present + absent
        return [self._read(key, row, track=track) for key, row in rows[skip:][:limit]]

    def count(self, kind: type[AggregateRoot], specification: Specification) -> int:
        """Write what is pending, then count."""
        self.flush()
        return len(self._matching(kind, specification))

    def flush(self) -> None:
        """Write what was added, changed and removed; an error breaks the unit."""
        if self.read_only:
            return
        try:
            for key, held in self._in(_State.ADDED):
                self._insert(key, held)
            for key, held in self._in(_State.READ):
                if _forms(held.seen.values) != _forms(held.written):
                    self._update(key, held)
            for key, held in self._in(_State.REMOVED):
                self._require_version(key, held)
                self._written[key] = None
                held.state = _State.GONE
        except PrismicxError:
            self.broken = True
            raise

    def commit(self) -> None:
        """Make everything last."""
        self.flush()
        for key, row in self._written.items():
            if row is None:
                self.tenant.rows.pop(key, None)
            else:
                self.tenant.rows[key] = row

    def begin_savepoint(self) -> None:
        """Write what is pending, and remember how things are."""
        self.flush()
        self._savepoints.append((deepcopy(self._held), dict(self._written)))

    def keep_savepoint(self) -> None:
        """Write what is pending; what cannot be written is discarded with all the savepoint."""
        try:
            self.flush()
        except PrismicxError:
            self.discard_savepoint()
            raise
        self._savepoints.pop()

    def discard_savepoint(self) -> None:
        """Put things back to how they were when the savepoint was opened."""
        self._held, self._written = self._savepoints.pop()
        self.broken = False

    # --- What it is made of. ---

    def _require_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyUnitOfWorkError("")

    def _row(self, key: Key) -> Seen | None:
        return self._written[key] if key in self._written else self.tenant.rows.get(key)

    def _rows(self, kind: type[AggregateRoot]) -> Iterator[tuple[Key, Seen]]:
        for key, row in {**self.tenant.rows, **self._written}.items():
            if key.kind is kind and row is not None:
                yield key, row

    def _matching(self, kind: type[AggregateRoot], specification: Specification) -> list[tuple[Key, Seen]]:
        stored = stored_specification(kind, specification)
        return [(key, row) for key, row in self._rows(kind) if stored.holds(row.values.__getitem__)]

    def _read(self, key: Key, row: Seen, *, track: bool) -> Seen:
        held = self._held.get(key)
        if held is not None and held.state in _PRESENT:
            return held.seen
        if track:
            self._held[key] = _Held(_State.READ, row, row.values)
        return row

    def _in(self, state: _State) -> list[tuple[Key, _Held]]:
        return [(key, held) for key, held in self._held.items() if held.state is state]

    def _insert(self, key: Key, held: _Held) -> None:
        if self._row(key) is not None:
            raise DuplicateEntityError("", ("id",))
        self._put(key, held, version=1)

    def _update(self, key: Key, held: _Held) -> None:
        self._require_version(key, held)
        self._put(key, held, version=held.seen.version + 1)

    def _put(self, key: Key, held: _Held, *, version: int) -> None:
        self._require_unique(key, held.seen.values)
        held.state, held.written = _State.READ, held.seen.values
        held.seen = held.seen._replace(version=version)
        self._written[key] = held.seen

    def _require_version(self, key: Key, held: _Held) -> None:
        row = self._row(key)
        if row is None or row.version != held.seen.version:
            raise ConcurrencyError("", (key.identity,))

    def _require_unique(self, key: Key, values: Mapping[str, Any]) -> None:
        mapping = next(found for found in self.tenant.mappings if found.entity is key.kind)
        for attributes in mapping.unique:
            taken = _entry(attributes, values)
            if None not in taken and any(
                _entry(attributes, row.values) == taken for other, row in self._rows(key.kind) if other != key
            ):
                raise DuplicateEntityError("", attributes)


_PRESENT = (_State.ADDED, _State.READ)


def key_of(entity: AggregateRoot) -> Key:
    """Return the key of an aggregate."""
    return Key(type(entity), entity.id)


def seen(entity: AggregateRoot) -> Seen:
    """Return what can be seen of an aggregate."""
    return Seen(type(entity), entity.version, plain_values(entity))


def all_seen(entities: Iterable[AggregateRoot]) -> list[Seen]:
    """Return what can be seen of aggregates, in their order."""
    return [seen(entity) for entity in entities]


def _forms(values: Mapping[str, Any]) -> dict[str, Any]:
    # 1.0 and 1.00 are equal, but a change of the one into the other is written.
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _value_of(attribute: str) -> Callable[[tuple[Key, Seen]], Any]:
    return lambda found: found[1].values[attribute]


def _entry(attributes: Sequence[str], values: Mapping[str, Any]) -> tuple[Hashable, ...]:
    found = (values[attribute.split(".")[0]] for attribute in attributes)
    return tuple(json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value for value in found)
