"""Writes that are one statement each: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, cast
from uuid import UUID

from prismicx.adapters.assignment import checked_changes
from prismicx.adapters.change_set import FIRST_VERSION
from prismicx.adapters.fields import Kind, fields_of, once_per_kind, plain_values
from prismicx.adapters.reading import Reading
from prismicx.domain.entity import AggregateRoot, stamp
from prismicx.domain.errors import InvalidKeyError, InvalidSpecificationError, NotMappedError
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import RootT
from prismicx.domain.specification import Attribute, Criteria, Specification

IDENTITY = ("id",)
"""The key that every kind of aggregate has."""


class Stored(NamedTuple):
    """What an upsert has left: the identity and the version of the row that it wrote."""

    identity: UUID
    version: int


class Reached(NamedTuple):
    """What a write by criteria has met: how many rows, and of those asked about, the version each has, or had last."""

    rows: int
    versions: Mapping[UUID, int]


class Writing(Reading[RootT]):
    """What a tracked repository writes by statements of its own, beside those of its unit's flushes."""

    # --- What a backend supplies; values are as they are stored. ---

    @abstractmethod
    async def _upsert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Stored:
        """Insert these values under version 1, or write all but the id over the row with the same key."""

    @abstractmethod
    async def _get_or_insert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Any | None:
        """Return the row with the same key, or insert these values under version 1 (`None`)."""

    @abstractmethod
    async def _update_where(
        self, specification: Specification, changes: Mapping[str, Any], held: Sequence[UUID]
    ) -> Reached:
        """Write these values into all rows that meet the specification, each under its next version."""

    @abstractmethod
    async def _delete_where(self, specification: Specification, held: Sequence[UUID]) -> Reached:
        """Delete all rows that meet the specification."""

    # --- The port. ---

    async def upsert(self, aggregate: RootT, *, on: object = None) -> RootT:
        key, values = self._prepared("upsert", aggregate, on)
        await self._unit.flush_before_writing(self._kind)
        identity, version = await self._unit.attempt(self._upsert(key, values))
        known = self._unit.tracker.find(self._kind, identity)
        if known is aggregate or (known is None and identity == aggregate.id):
            self._unit.mark((aggregate,))
            self._unit.tracker.rewrite(aggregate, version=version)
            return aggregate
        written = cast("RootT", known or _of_other_identity(aggregate, identity, version))  # by kind
        self._unit.mark((written,))
        others = {name: value for name, value in aggregate.__dict__.items() if name != "id"}
        self._unit.tracker.rewrite(written, version=version, attributes=_copied(self._kind, others))
        for event in aggregate.take_events():
            written.record(event)
        return written

    async def get_or_create(self, aggregate: RootT, *, on: object = None) -> tuple[RootT, bool]:
        key, values = self._prepared("get_or_create", aggregate, on)
        await self._unit.flush_before_writing(self._kind)
        row = await self._unit.attempt(self._get_or_insert(key, values))
        if row is not None:
            return self._resolve(row), False
        self._unit.mark((aggregate,))
        self._unit.tracker.rewrite(aggregate, version=FIRST_VERSION)
        return aggregate, True

    async def update_where(self, criteria: Criteria, /, **changes: Any) -> int:
        self._require_writing("update_where")
        specification = self._given(criteria)
        checked = checked_changes(self._kind, changes)
        fields = [field for field in fields_of(self._kind) if field.name in checked]
        plain = {field.name: field.plain(checked[field.name]) for field in fields}
        await self._unit.flush_before_writing(self._kind)
        held = {entity.id: entity for entity in self._unit.tracker.held(self._kind)}
        rows, versions = await self._unit.attempt(self._update_where(specification, plain, tuple(held)))
        for identity, version in versions.items():
            # Where the version says that somebody else has written it too, it stays stale, and its next write fails.
            if version == held[identity].version + 1:
                own = _copied(self._kind, checked)
                self._unit.tracker.rewrite(held[identity], version=version, attributes=own)
        return rows

    async def delete_where(self, criteria: Criteria, /) -> int:
        self._require_writing("delete_where")
        specification = self._given(criteria)
        await self._unit.flush_before_writing(self._kind)
        held = {entity.id: entity for entity in self._unit.tracker.held(self._kind)}
        rows, versions = await self._unit.attempt(self._delete_where(specification, tuple(held)))
        for identity in versions:
            self._unit.tracker.lose(held[identity])
        return rows

    def _require_kind(self, aggregates: Sequence[AggregateRoot]) -> None:
        for aggregate in aggregates:
            if type(aggregate) is not self._kind:
                raise NotMappedError(type(aggregate).__name__, f"{type(self).__name__} holds {self._kind.__name__}")

    def _require_writing(self, operation: str) -> None:
        """Return if the unit may write by a statement of this kind."""
        self._unit.require_writable(operation)

    def _prepared(self, operation: str, aggregate: RootT, on: object) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the key, and the values as they are stored, of an aggregate that this unit may write."""
        self._require_writing(operation)
        self._require_kind((aggregate,))
        self._unit.claim((aggregate,))
        key = unique_key(self._mapping, on)
        values = plain_values(aggregate)
        if any(values[name] is None for name in key):
            raise InvalidKeyError(self._kind.__name__, key, "one of them is null, and nulls never collide")
        return key, values

    def _given(self, criteria: Criteria) -> Specification:
        if criteria is None:
            raise InvalidSpecificationError(f"say EVERYTHING where every {self._kind.__name__} is meant, not None")
        return self._checked(criteria)


def unique_key(mapping: EntityMapping, on: object) -> tuple[str, ...]:
    """Return the key that is named: attributes of it, or their names, in any order; `None` stands for the identity.

    Raises:
        InvalidKeyError: the mapping does not declare it unique.
    """
    if on is None:
        return IDENTITY
    parts = on if isinstance(on, Sequence) and not isinstance(on, str) else (on,)
    names = [_name(mapping, part) for part in parts]
    for key in (IDENTITY, *map(tuple, mapping.unique)):
        if sorted(key) == sorted(names):
            return key
    raise InvalidKeyError(mapping.entity.__name__, names, "the mapping declares no such unique key")


def _name(mapping: EntityMapping, part: object) -> str:
    if isinstance(part, Attribute):
        return part.name if issubclass(mapping.entity, part.entity) else repr(part)
    return str(part)


@once_per_kind
def _structures(kind: type[AggregateRoot]) -> tuple[str, ...]:
    return tuple(field.name for field in fields_of(kind) if field.kind is Kind.STRUCTURE)


def _copied(kind: type[AggregateRoot], attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return attributes for one more aggregate: what can change in place is its own."""
    copied = dict(attributes)
    for name in _structures(kind):
        if name in copied:
            copied[name] = deepcopy(copied[name])
    return copied


def _of_other_identity(aggregate: RootT, identity: UUID, version: int) -> RootT:
    """Return a copy of the aggregate as it was before its last write, under the identity that it is stored under."""
    copy = aggregate.model_copy(update={"id": identity})
    return stamp(copy, version=version - 1, tenant=aggregate.tenant)
