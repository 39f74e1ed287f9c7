"""What a flush has to write."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, TypeVar, cast

from prismicx.adapters.fields import columns_of
from prismicx.domain.entity import AggregateRoot

AggregateT = TypeVar("AggregateT", bound=AggregateRoot)

FIRST_VERSION = 1
"""The version of an aggregate that has been written once."""


class Additions(list[AggregateRoot]):
    """New aggregates of one kind, at least one.

    Attributes:
        columns: their attributes as they are stored, a list for each field.

    Raises:
        UnstorableValueError: one of them holds what not every database can keep.
    """

    __slots__ = ("columns",)

    def __init__(self, entities: Iterable[AggregateRoot]) -> None:
        super().__init__(entities)
        self.columns = columns_of(self)


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

    inserts: dict[type[AggregateRoot], Additions] = field(default_factory=dict)
    updates: dict[type[AggregateRoot], list[Update]] = field(default_factory=dict)
    removals: dict[type[AggregateRoot], list[Removal]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.inserts or self.updates or self.removals)

    @property
    def is_one(self) -> bool:
        """Whether all of it is a single aggregate."""
        every: Iterable[Sized] = chain(self.inserts.values(), self.updates.values(), self.removals.values())
        return sum(map(len, every)) == 1

    def of(self, kind: type[AggregateT]) -> list[AggregateT]:
        """Return all of a kind that are to be written."""
        found = [
            *self.inserts.get(kind, ()),
            *(update.entity for update in self.updates.get(kind, ())),
            *(removal.entity for removal in self.removals.get(kind, ())),
        ]
        return cast("list[AggregateT]", found)  # they are kept by their kind
