"""Identity map and change tracking: one implementation, so that all backends behave alike.

What was read is remembered with a snapshot; a flush asks what was added, changed or removed since.
Source: Fowler, PoEAA: Identity Map, Unit of Work.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias

from prismicx.adapters.fields import Kind, fields_of, once_per_kind, plain_values
from prismicx.domain.entity import AggregateRoot, stamp
from prismicx.domain.errors import DuplicateEntityError, EntityNotFoundError
from prismicx.domain.events import DomainEvent

FIRST_VERSION = 1
"""The version of an aggregate that has been written once."""


class Update(NamedTuple):
    """An aggregate to write: the version that must still be stored, and the names of the attributes that changed."""

    entity: AggregateRoot
    version: int
    changed: tuple[str, ...]


class Removal(NamedTuple):
    """An aggregate to delete, and the version that must still be stored."""

    entity: AggregateRoot
    version: int


@dataclass(slots=True)
class Changes:
    """What a flush has to write, by kind of aggregate."""

    inserts: dict[type[AggregateRoot], list[AggregateRoot]] = field(default_factory=dict)
    updates: dict[type[AggregateRoot], list[Update]] = field(default_factory=dict)
    removals: dict[type[AggregateRoot], list[Removal]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.inserts or self.updates or self.removals)


class _State(Enum):
    ADDED = auto()
    STORED = auto()
    REMOVED = auto()
    GONE = auto()


@dataclass(slots=True)
class _Tracked:
    entity: AggregateRoot
    state: _State
    snapshot: dict[str, Any]
    stored: int
    """The version that is committed, as far as the unit knows: what the aggregate has again after a rollback."""


class _Remembered(NamedTuple):
    entity: AggregateRoot
    state: _State
    snapshot: dict[str, Any]
    stored: int
    version: int
    attributes: dict[str, Any]
    events: tuple[DomainEvent, ...]


Key: TypeAlias = tuple[type[AggregateRoot], Hashable]
"""The kind of an aggregate, and what tells it apart within the unit of work."""

Memento = dict[Key, _Remembered]
"""All tracked aggregates as they were at one moment."""


class Tracker:
    """The aggregates that one unit of work has read, added and removed."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Key, _Tracked] = {}

    def find(self, kind: type[AggregateRoot], identity: Hashable) -> AggregateRoot | None:
        """Return the one object for this identity, or `None` where the unit has none."""
        tracked = self._known.get((kind, identity))
        return tracked.entity if tracked is not None and tracked.state in _PRESENT else None

    def is_removed(self, kind: type[AggregateRoot], identity: Hashable) -> bool:
        """Tell whether this unit has removed it."""
        tracked = self._known.get((kind, identity))
        return tracked is not None and tracked.state not in _PRESENT

    def remember(self, entity: AggregateRoot, *, changeable: bool) -> None:
        """Track what was read; without `changeable` its changes will not be looked for, which spares the snapshot."""
        snapshot = _snapshot(entity) if changeable else {}
        self._known[self._key(entity)] = _Tracked(entity, _State.STORED, snapshot, entity.version)

    def add(self, entities: Sequence[AggregateRoot]) -> None:
        """Track new aggregates, all or none.

        Raises:
            DuplicateEntityError: another aggregate of the same kind has the same identity.
            UnstorableValueError: one of them holds what not every database can keep.
        """
        fresh: dict[Key, _Tracked] = {}
        for entity in entities:
            key = self._key(entity)
            known = self._known.get(key)
            if key in fresh or (known is not None and known.state is not _State.GONE and known.entity is not entity):
                raise DuplicateEntityError(type(entity).__name__, ("id",))
            if known is None or known.state is _State.GONE:
                plain_values(entity)
                fresh[key] = _Tracked(entity, _State.ADDED, {}, entity.version)
            elif known.state is _State.REMOVED:
                fresh[key] = _Tracked(entity, _State.STORED, known.snapshot, known.stored)
        self._known.update(fresh)

    def remove(self, entity: AggregateRoot) -> None:
        """Mark an aggregate for deletion.

        Raises:
            EntityNotFoundError: this unit of work does not hold it.
        """
        tracked = self._known.get(self._key(entity))
        if tracked is None or tracked.entity is not entity or tracked.state not in _PRESENT:
            raise EntityNotFoundError(type(entity).__name__, entity.id)
        if tracked.state is _State.ADDED:
            del self._known[self._key(entity)]
        else:
            tracked.state = _State.REMOVED

    def changes(self) -> Changes:
        """Return what has to be written.

        Raises:
            UnstorableValueError: a changed attribute holds what not every database can keep.
        """
        changes = Changes()
        for (kind, _), tracked in self._known.items():
            if tracked.state is _State.ADDED:
                plain_values(tracked.entity)
                changes.inserts.setdefault(kind, []).append(tracked.entity)
            elif tracked.state is _State.REMOVED:
                changes.removals.setdefault(kind, []).append(Removal(tracked.entity, tracked.entity.version))
            elif tracked.state is _State.STORED and tracked.snapshot:
                changed = _changed(tracked)
                if changed:
                    changes.updates.setdefault(kind, []).append(Update(tracked.entity, tracked.entity.version, changed))
        return changes

    def written(self, changes: Changes) -> None:
        """Take note that the changes have been written: new versions, new snapshots."""
        for inserted in _flat(changes.inserts):
            self._rewritten(inserted, FIRST_VERSION)
        for entity, version, _ in _flat(changes.updates):
            self._rewritten(entity, version + 1)
        for entity, _ in _flat(changes.removals):
            self._known[self._key(entity)].state = _State.GONE

    def recorded_events(self) -> list[DomainEvent]:
        """Return the events that the tracked aggregates have recorded, oldest first; they keep them."""
        events = [event for tracked in self._known.values() for event in tracked.entity.recorded_events]
        return sorted(events, key=lambda event: event.event_id)

    def take_events(self) -> list[DomainEvent]:
        """Return the events that the tracked aggregates have recorded, oldest first, and clear them."""
        events = [event for tracked in self._known.values() for event in tracked.entity.take_events()]
        return sorted(events, key=lambda event: event.event_id)

    def memento(self) -> Memento:
        """Return the present state of all that is tracked, for `restore`."""
        return {
            key: _Remembered(
                tracked.entity,
                tracked.state,
                tracked.snapshot,
                tracked.stored,
                tracked.entity.version,
                copy.deepcopy(dict(tracked.entity.__dict__)),
                tracked.entity.recorded_events,
            )
            for key, tracked in self._known.items()
        }

    def restore(self, memento: Memento) -> None:
        """Put the aggregates back into the state of the memento; forget those that came later."""
        self.take_back()
        for key, before in memento.items():
            object.__setattr__(before.entity, "__dict__", before.attributes)
            stamp(before.entity, version=before.version, tenant=before.entity.tenant)
            before.entity.take_events()
            for event in before.events:
                before.entity.record(event)
            self._known[key] = _Tracked(before.entity, before.state, before.snapshot, before.stored)

    def forget(self) -> None:
        """Let go of everything."""
        self._known = {}

    def take_back(self) -> None:
        """Let go of everything, with the versions that are committed: what was flushed since does not last."""
        for tracked in self._known.values():
            if tracked.entity.version != tracked.stored:
                stamp(tracked.entity, version=tracked.stored, tenant=tracked.entity.tenant)
        self._known = {}

    def _rewritten(self, entity: AggregateRoot, version: int) -> None:
        stamp(entity, version=version, tenant=entity.tenant)
        tracked = self._known[self._key(entity)]
        tracked.state, tracked.snapshot = _State.STORED, _snapshot(entity)

    def _key(self, entity: AggregateRoot) -> Key:
        return type(entity), entity.id  # which is enough within one tenant


_PRESENT = frozenset((_State.ADDED, _State.STORED))


def _flat(by_kind: dict[type[AggregateRoot], list[Any]]) -> Iterator[Any]:
    for items in by_kind.values():
        yield from items


@once_per_kind
def _compared_by_form(kind: type[AggregateRoot]) -> tuple[tuple[str, Any], ...]:
    # A structure can change in place, and 1.0 equals 1.00: these are compared in their stored form.
    forms: dict[Kind, Any] = {Kind.DECIMAL: lambda _: str, Kind.STRUCTURE: lambda found: found.plain}
    return tuple((found.name, forms[found.kind](found)) for found in fields_of(kind) if found.kind in forms)


def _snapshot(entity: AggregateRoot) -> dict[str, Any]:
    snapshot = entity.__dict__.copy()
    for name, form in _compared_by_form(type(entity)):
        snapshot[name] = form(snapshot[name])
    return snapshot


def _changed(tracked: _Tracked) -> tuple[str, ...]:
    now, before = tracked.entity.__dict__, tracked.snapshot
    special = _compared_by_form(type(tracked.entity))
    if special:
        now = _snapshot(tracked.entity)
    if now == before:
        return ()
    fields = fields_of(type(tracked.entity))
    changed = tuple(found.name for found in fields if now[found.name] != before[found.name])
    for found in fields:
        if found.name in changed:
            found.plain(tracked.entity.__dict__[found.name])
    return changed
