"""The oracle: one dictionary per tenant, and what a unit of work over it must answer. Nothing in it knows two tenants.

It is written for histories in which at most one unit of a tenant writes at a time; units that read see what has been
committed, and what they have read already stays as they read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
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


class State(Enum):
    """What a unit of work has done with an aggregate that it knows."""

    ADDED = auto()
    READ = auto()
    REMOVED = auto()
    GONE = auto()


@dataclass(slots=True)
class Held:
    """An aggregate that a unit of work knows: as the unit has it, and its values as they were read or written last."""

    state: State
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
    _held: dict[Key, Held] = field(default_factory=dict)
    _written: dict[Key, Seen | None] = field(default_factory=dict)
    _savepoints: list[tuple[dict[Key, Held], dict[Key, Seen | None]]] = field(default_factory=list)

    @property
    def savepoints(self) -> int:
        """How many savepoints are open."""
        return len(self._savepoints)

    @property
    def held(self) -> tuple[Key, ...]:
        """The aggregates that the unit holds and has not removed, oldest first."""
        return tuple(key for key, held in self._held.items() if held.state in PRESENT)

    def sees(self, key: Key) -> Seen | None:
        """Return the aggregate as the unit has it or can read it; nothing is remembered."""
        held = self._held.get(key)
        if held is None:
            return self._row(key)
        return held.seen if held.state in PRESENT else None

    def add(self, entities: Sequence[AggregateRoot]) -> None:
        """Add new aggregates, all or none."""
        self._require_writable()
        keys = [key_of(entity) for entity in entities]
        known = [key for key in keys if key in self._held and self._held[key].state is not State.GONE]
        if known or len(set(keys)) < len(keys):
            raise DuplicateEntityError("", ())
        for entity in entities:
            self._held[key_of(entity)] = Held(State.ADDED, seen(entity), {})

    def change(self, key: Key, values: Mapping[str, Any]) -> Seen:
        """Take note that attributes of a held aggregate have changed; values as they are stored."""
        held = self._held[key]
        held.seen = held.seen._replace(values={**held.seen.values, **values})
        return held.seen

    def remove(self, key: Key) -> None:
        """Remove a held aggregate."""
        self._require_writable()
        held = self._held[key]
        if held.state is State.ADDED:
            del self._held[key]
        else:
            held.state = State.REMOVED

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
        held: bool = True,
    ) -> list[Seen]:
        """Write what is pending, then read what meets the specification, in order (then by id), without the first.

        Without `held` it is as it is stored, whatever the unit holds.
        """
        self.flush()
        rows = self._matching(kind, specification)
        rows.sort(key=lambda found: found[0].identity)
        for key in reversed(order):
            present = [found for found in rows if found[1].values[key.attribute] is not None]
            absent = [found for found in rows if found[1].values[key.attribute] is None]
            present.sort(key=_value_of(key.attribute), reverse=key.descending)
            rows = present + absent
        return [self._read(key, row, track=track) if held else row for key, row in rows[skip:][:limit]]

    def count(self, kind: type[AggregateRoot], specification: Specification) -> int:
        """Write what is pending, then count."""
        self.flush()
        return len(self._matching(kind, specification))

    def flush(self) -> None:
        """Write what was added, changed and removed; an error breaks the unit."""
        if self.read_only:
            return
        try:
            for key, held in self._in(State.ADDED):
                self._insert(key, held)
            for key, held in self._in(State.READ):
                if _forms(held.seen.values) != _forms(held.written):
                    self._update(key, held)
            for key, held in self._in(State.REMOVED):
                self._require_version(key, held)
                self._written[key] = None
                held.state = State.GONE
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
        if held is not None and held.state in PRESENT:
            return held.seen
        if track:
            self._held[key] = Held(State.READ, row, row.values)
        return row

    def _in(self, state: State) -> list[tuple[Key, Held]]:
        return [(key, held) for key, held in self._held.items() if held.state is state]

    def _insert(self, key: Key, held: Held) -> None:
        if self._row(key) is not None:
            raise DuplicateEntityError("", ("id",))
        self._put(key, held, version=1)

    def _update(self, key: Key, held: Held) -> None:
        self._require_version(key, held)
        self._put(key, held, version=held.seen.version + 1)

    def _put(self, key: Key, held: Held, *, version: int) -> None:
        self._require_unique(key, held.seen.values)
        held.state, held.written = State.READ, held.seen.values
        held.seen = held.seen._replace(version=version)
        self._written[key] = held.seen

    def _require_version(self, key: Key, held: Held) -> None:
        row = self._row(key)
        if row is None or row.version != held.seen.version:
            raise ConcurrencyError("", (key.identity,))

    def _require_unique(self, key: Key, values: Mapping[str, Any]) -> None:
        mapping = next(found for found in self.tenant.mappings if found.entity is key.kind)
        for attributes in mapping.unique:
            taken = entry_of(attributes, values)
            others = [row.values for known, row in self._rows(key.kind) if known != key]
            if None not in taken and any(entry_of(attributes, other) == taken for other in others):
                raise DuplicateEntityError("", attributes)


PRESENT = (State.ADDED, State.READ)


def key_of(entity: AggregateRoot) -> Key:
    """Return the key of an aggregate."""
    return Key(type(entity), entity.id)


def seen(entity: AggregateRoot) -> Seen:
    """Return what can be seen of an aggregate."""
    return Seen(type(entity), entity.version, plain_values(entity))


def _forms(values: Mapping[str, Any]) -> dict[str, Any]:
    # 1.0 and 1.00 are equal, but a change of the one into the other is written.
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _value_of(attribute: str) -> Callable[[tuple[Key, Seen]], Any]:
    return lambda found: found[1].values[attribute]


def entry_of(attributes: Sequence[str], values: Mapping[str, Any]) -> tuple[Hashable, ...]:
    """Return what values have in a unique key, in a form that compares."""
    found = (values[attribute.split(".")[0]] for attribute in attributes)
    return tuple(json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value for value in found)
