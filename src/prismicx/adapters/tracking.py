"""Identity map and change tracking: one implementation, so that all backends behave alike.

What was read is remembered with a snapshot; a flush asks what was added, changed or removed since.
Source: Fowler, PoEAA: Identity Map, Unit of Work.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

from prismicx.adapters.change_set import FIRST_VERSION, Additions, Changes, Removal, Update
from prismicx.adapters.fields import columns_of
from prismicx.adapters.held import Held
from prismicx.adapters.snapshots import changed_since, snapshot_of
from prismicx.domain.entity import AggregateRoot, have_recorded, renumbered
from prismicx.domain.errors import DuplicateEntityError, EntityNotFoundError
from prismicx.domain.events import DomainEvent

AggregateT = TypeVar("AggregateT", bound=AggregateRoot)


class _Remembered(NamedTuple):
    entity: AggregateRoot
    attributes: dict[str, Any]
    events: tuple[DomainEvent, ...]


class Memento(NamedTuple):
    """All tracked aggregates as they were at one moment."""

    held: Mapping[type[AggregateRoot], Held]
    remembered: Sequence[_Remembered]
    writes: int


class Tracker:
    """The aggregates that one unit of work has read, added and removed."""

    __slots__ = ("_held", "_writes")

    def __init__(self) -> None:
        self._held: defaultdict[type[AggregateRoot], Held] = defaultdict(Held)
        self._writes: list[tuple[Sequence[AggregateRoot], Sequence[int]]] = []  # with the versions before each

    def present(self, kind: type[AggregateRoot]) -> Mapping[Hashable, AggregateRoot]:
        """Return what the unit has of a kind and has not removed: a mapping that changes with it until it ends."""
        return self._held[kind].present

    def known_for(self, entity: AggregateT) -> AggregateT:
        """Return the one object for the identity of an aggregate: this one where the unit has none."""
        known = self._held[type(entity)].present.get(self._identity(entity), entity)
        return cast("AggregateT", known)  # kept by its kind

    def find(self, kind: type[AggregateRoot], identity: Hashable) -> AggregateRoot | None:
        """Return the one object for this identity, or `None` where the unit has none."""
        return self._held[kind].present.get(identity)

    def holds(self, kind: type[AggregateRoot], identity: Hashable) -> bool:
        """Tell whether this unit knows of it, also that it has removed it itself."""
        return identity in self._held[kind].present or self.is_removed(kind, identity)

    def is_removed(self, kind: type[AggregateRoot], identity: Hashable) -> bool:
        """Tell whether this unit has removed it."""
        held = self._held[kind]
        return identity in held.removed or identity in held.gone

    def held(self, kind: type[AggregateRoot]) -> list[AggregateRoot]:
        """Return the aggregates of a kind that the unit has and has not removed."""
        return list(self._held[kind].present.values())

    def remember(self, entity: AggregateRoot, *, changeable: bool) -> None:
        """Track what was read; without `changeable` its changes will not be looked for, which spares the snapshot."""
        held, identity = self._held[type(entity)], self._identity(entity)
        held.put({identity: entity})
        if changeable:
            held.snapshots[identity] = snapshot_of(entity)

    def remember_all(self, entities: Sequence[AggregateRoot], *, changeable: bool) -> None:
        """Track what was read, all of one kind, as `remember` does."""
        if entities:
            held = self._held[type(entities[0])]
            identities = self._identities(entities)
            held.put(dict(zip(identities, entities, strict=True)))
            if changeable:
                held.snapshots.update(zip(identities, map(snapshot_of, entities), strict=True))

    def rewrite(
        self, entity: AggregateRoot, *, version: int, attributes: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Take note that a statement has written an aggregate, known or not: its version, and what is new about it."""
        vars(entity).update(attributes)
        self._renumber((entity,), (version,))
        self.remember(entity, changeable=True)

    def lose(self, entity: AggregateRoot) -> None:
        """Take note that a statement has deleted an aggregate that the unit holds."""
        self._held[type(entity)].delete(self._identity(entity), entity)

    def add(self, entities: Sequence[AggregateRoot]) -> None:
        """Track new aggregates of one kind, all or none.

        Raises:
            DuplicateEntityError: another aggregate of the same kind has the same identity.
            UnstorableValueError: one of them holds what not every database can keep.
        """
        if not entities:
            return
        held = self._held[type(entities[0])]
        fresh = dict(zip(self._identities(entities), entities, strict=True))
        known = [
            (identity, of[identity]) for of in (held.present, held.removed) for identity in fresh.keys() & of.keys()
        ]
        if len(fresh) < len(entities) or any(fresh[identity] is not entity for identity, entity in known):
            raise DuplicateEntityError(type(entities[0]).__name__, ("id",))
        for identity, _ in known:
            del fresh[identity]
        if fresh:
            columns_of(tuple(fresh.values()))
        for identity, entity in known:
            held.removed.pop(identity, None)
            held.present[identity] = entity
        held.put(fresh)
        held.added.update(fresh)

    def remove(self, entity: AggregateRoot) -> None:
        """Mark an aggregate for deletion.

        Raises:
            EntityNotFoundError: this unit of work does not hold it.
        """
        held, identity = self._held[type(entity)], self._identity(entity)
        if held.present.get(identity) is not entity:
            raise EntityNotFoundError(type(entity).__name__, entity.id)
        del held.present[identity]
        if held.added.pop(identity, None) is None:
            held.removed[identity] = entity

    def changes(self) -> Changes:
        """Return what has to be written.

        Raises:
            UnstorableValueError: a changed attribute holds what not every database can keep.
        """
        changes = Changes()
        for kind, held in self._held.items():
            if held.added:
                changes.inserts[kind] = Additions(held.added.values())
            updates = [*_updates(held)] if held.snapshots else []
            if updates:
                changes.updates[kind] = updates
            if held.removed:
                changes.removals[kind] = [Removal(entity, entity.version) for entity in held.removed.values()]
        return changes

    def written(self, changes: Changes, *, last: bool = False) -> None:
        """Take note that the changes have been written: new versions, new snapshots.

        Args:
            changes: all that `changes` has returned.
            last: nobody will ask for changes again, so no snapshots are needed.
        """
        for kind, added in changes.inserts.items():
            self._renumber(added, [FIRST_VERSION] * len(added))
            self._held[kind].added.clear()
            self._compare_with_this(added, last=last)
        for updates in changes.updates.values():
            changed = [update.entity for update in updates]
            self._renumber(changed, [update.version + 1 for update in updates])
            self._compare_with_this(changed, last=last)
        for removals in changes.removals.values():
            for entity, _ in removals:
                self.lose(entity)

    def recorded_events(self) -> list[DomainEvent]:
        """Return the events that the tracked aggregates have recorded, oldest first; they keep them."""
        events = [event for entity in self._recorders() for event in entity.recorded_events]
        return sorted(events, key=lambda event: event.event_id)

    def take_events(self) -> list[DomainEvent]:
        """Return the events that the tracked aggregates have recorded, oldest first, and clear them."""
        events = [event for entity in self._recorders() for event in entity.take_events()]
        return sorted(events, key=lambda event: event.event_id)

    def memento(self) -> Memento:
        """Return the present state of all that is tracked, for `restore`."""
        copies = {kind: Held() for kind in self._held}
        for kind, copied in copies.items():
            copied.become(self._held[kind])
        remembered = [
            _Remembered(entity, copy.deepcopy(dict(entity.__dict__)), entity.recorded_events)
            for entity in chain.from_iterable(self._all())
        ]
        return Memento(copies, remembered, len(self._writes))

    def restore(self, memento: Memento) -> None:
        """Put the aggregates back into the state of the memento; forget those that came later."""
        self._undo(memento.writes)
        for entity, attributes, events in memento.remembered:
            object.__setattr__(entity, "__dict__", attributes)
            entity.take_events()
            for event in events:
                entity.record(event)
        for kind, held in self._held.items():
            held.become(memento.held.get(kind, Held()))

    def forget(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._writes.clear()

    def take_back(self) -> None:
        """Let go of everything, with the versions that are committed: what was flushed since does not last."""
        self._undo(0)
        self.forget()

    def _undo(self, writes: int) -> None:
        """Give the aggregates the versions that they had when this many writes were done."""
        while len(self._writes) > writes:
            renumbered(*self._writes.pop())

    def _renumber(self, entities: Sequence[AggregateRoot], versions: Sequence[int]) -> None:
        self._writes.append((entities, renumbered(entities, versions)))

    def _compare_with_this(self, entities: Sequence[AggregateRoot], *, last: bool) -> None:
        if not last:
            snapshots = zip(self._identities(entities), map(snapshot_of, entities), strict=True)
            self._held[type(entities[0])].snapshots.update(snapshots)

    def _all(self) -> list[Iterable[AggregateRoot]]:
        return [group.values() for held in self._held.values() for group in (held.present, held.removed, held.gone)]

    def _recorders(self) -> Sequence[AggregateRoot]:
        """Return all tracked aggregates if any of them has recorded an event."""
        found = [*chain.from_iterable(self._all())]
        return found if have_recorded(found) else ()

    def _identities(self, entities: Sequence[AggregateRoot]) -> list[Hashable]:
        return [entity.id for entity in entities]  # which is enough within one tenant

    def _identity(self, entity: AggregateRoot) -> Hashable:
        return self._identities((entity,))[0]


def _updates(held: Held) -> Iterator[Update]:
    for identity, snapshot in held.snapshots.items():
        entity = held.present.get(identity)
        if entity is not None and (changed := changed_since(entity, snapshot)):
            yield Update(entity, entity.version, changed)
