"""What a unit of work has of one kind of aggregate."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from prismicx.domain.entity import AggregateRoot


class Held:
    """What the unit has of one kind of aggregate, by identity.

    There is nothing here but dictionaries of aggregates: an object for each of ten thousand would cost more than all
    that is done with it.
    """

    __slots__ = ("added", "gone", "present", "removed", "snapshots")

    def __init__(self) -> None:
        self.present: dict[Hashable, AggregateRoot] = {}  # what can be found: read, or added
        self.added: dict[Hashable, AggregateRoot] = {}  # of these, what is to be inserted
        self.removed: dict[Hashable, AggregateRoot] = {}  # what is to be deleted
        self.gone: dict[Hashable, AggregateRoot] = {}  # what has been deleted
        self.snapshots: dict[Hashable, dict[str, Any]] = {}  # what the stored ones were, where changes are looked for

    def put(self, fresh: Mapping[Hashable, AggregateRoot]) -> None:
        """Have these, whatever was known of their identities."""
        self.present.update(fresh)
        for others in (self.added, self.removed, self.gone, self.snapshots):
            if others:
                for identity in fresh:
                    others.pop(identity, None)

    def delete(self, identity: Hashable, entity: AggregateRoot) -> None:
        """Take note that it has been deleted."""
        self.put({identity: entity})
        self.gone[identity] = self.present.pop(identity)

    def become(self, other: Held) -> None:
        """Have what the other one has, in dictionaries of its own."""
        for name in self.__slots__:
            mine: dict[Hashable, Any] = getattr(self, name)
            theirs = dict(getattr(other, name))
            mine.clear()
            mine.update(theirs)
