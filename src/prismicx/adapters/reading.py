"""What repositories read: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast, overload
from uuid import UUID

from prismicx.adapters.fields import plain_value, stored_specification
from prismicx.adapters.projecting import projection
from prismicx.adapters.stored_rows import StoredRows
from prismicx.domain.cursors import Cursor
from prismicx.domain.errors import (
    ConcurrencyError,
    EntityNotFoundError,
    InvalidSpecificationError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.locking import Lock
from prismicx.domain.pages import Page, PageQuery
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import KeyT, ModelT, RootT
from prismicx.domain.specification import (
    Comparison,
    Criteria,
    Order,
    Specification,
    as_specification,
    attribute,
    checked_order,
)

if TYPE_CHECKING:
    from prismicx.adapters.unit_of_work import TrackedUnitOfWork


class Reading(StoredRows[RootT]):
    """A repository that reads into the identity map of its unit of work."""

    def __init__(self, unit: TrackedUnitOfWork, mapping: EntityMapping) -> None:
        self._unit = unit
        self._mapping = mapping
        self._kind = cast("type[RootT]", mapping.entity)  # the unit looked the mapping up by RootT

    @property
    def tenant(self) -> TenantId | None:
        """The tenant of the unit of work; `None` in the registry."""
        return self._unit.tenant

    async def get(self, identity: UUID, *, lock: Lock | None = None) -> RootT:
        found = await self.find(identity) if lock is None else await self.find(identity, lock=lock)
        if found is None:
            raise EntityNotFoundError(self._kind.__name__, identity)
        return found

    async def find(self, identity: UUID, *, lock: Lock | None = None) -> RootT | None:
        self._require_identity(identity)
        if lock is not None:
            wanted = Comparison(self._kind, "id", "eq", identity)
            locked = await self._list_locked(lock, wanted, (), limit=None, track=True)
            return locked[0] if locked else None
        known = self._unit.tracker.find(self._kind, identity)
        if known is not None:
            return cast("RootT", known)  # the identity map is keyed by kind
        if self._unit.tracker.is_removed(self._kind, identity):
            return None
        row = await self._unit.attempt(self._row(identity))
        return None if row is None else self._resolve(row)

    async def fetch(self, identities: Iterable[UUID], /) -> dict[UUID, RootT]:
        asked = self._require_identities(identities)
        tracker, kind = self._unit.tracker, self._kind
        unknown = tuple(each for each in asked if not tracker.holds(kind, each))
        if unknown:
            wanted = Comparison(kind, "id", "in", unknown)
            self._resolved(await self._unit.attempt(self._rows(wanted, (), None)))
        found = ((each, tracker.find(kind, each)) for each in asked)
        return {each: cast("RootT", known) for each, known in found if known is not None}  # keyed by kind

    async def find_one(self, criteria: Criteria, /) -> RootT | None:
        found = await self.list(criteria, limit=1)
        return found[0] if found else None

    @overload
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
        lock: Lock | None = None,
    ) -> list[RootT]: ...

    @overload
    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT],
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
    ) -> list[ModelT]: ...

    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT] | None = None,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
        lock: Lock | None = None,
    ) -> list[RootT] | list[ModelT]:
        specification, order = self._checked(criteria), self._total(order_by)
        if limit is not None:
            require_positive("limit", limit)
        if into is not None:
            _require_plain(track=track, lock=lock)
            model = projection(self._kind, into)
            await self._unit.flush()
            found = await self._unit.attempt(self._projected(model.names, specification, order, limit))
            return [model.made(values) for values in found]
        if lock is not None:
            return await self._list_locked(lock, specification, order, limit=limit, track=track)
        await self._unit.flush()
        return self._resolved(await self._unit.attempt(self._rows(specification, order, limit)), track=track)

    async def list_by(
        self,
        attribute_: KeyT,
        keys: Iterable[KeyT],
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
    ) -> dict[KeyT, builtins.list[RootT]]:
        by = attribute(attribute_)
        asked = _several(keys)
        specification = self._checked(by.in_(asked) & as_specification(criteria))
        order = self._total(order_by)
        found: dict[KeyT, builtins.list[RootT]] = {key: [] for key in asked}
        if found:
            by_plain = {plain_value(self._kind, by.name, key): key for key in found}
            await self._unit.flush()
            rows = await self._unit.attempt(self._rows(specification, order, None))
            for row, one in zip(rows, self._resolved(rows), strict=True):
                found[by_plain[self._plain(row, (by.name,))[0]]].append(one)
        return found

    async def page(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        size: int = 50,
        after: Cursor | None = None,
        before: Cursor | None = None,
    ) -> Page[RootT]:
        require_positive("size", size)
        specification = stored_specification(self._kind, self._checked(criteria))
        scope = str(self._unit.tenant or "")
        query = PageQuery(scope, self._kind, specification, self._total(order_by), self._unit.cursor_keys)
        asked = query.asked(after=after, before=before)
        await self._unit.flush()
        rows = await self._unit.attempt(self._rows(asked.specification, asked.order, size + 1))
        return query.page(asked, rows, size=size, place=self._plain, items=self._resolved)

    @overload
    def stream(
        self, criteria: Criteria | None = None, /, *, order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[RootT]: ...

    @overload
    def stream(
        self, criteria: Criteria | None = None, /, *, into: type[ModelT], order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[ModelT]: ...

    async def stream(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        into: type[ModelT] | None = None,
        order_by: Order | Sequence[Order] = (),
    ) -> AsyncIterator[Any]:
        specification, order = self._checked(criteria), self._total(order_by)
        model = None if into is None else projection(self._kind, into)
        await self._unit.flush()
        if model is None:
            batches = self._batches(specification, order)
        else:
            batches = self._projected_batches(model.names, specification, order)
        async with aclosing(batches):
            while (rows := await self._unit.attempt(_next_of(batches))) is not None:
                for each in self._untracked(rows) if model is None else map(model.made, rows):
                    yield each
                self._unit.require_open()

    async def count(self, criteria: Criteria | None = None, /) -> int:
        specification = self._checked(criteria)
        await self._unit.flush()
        return await self._unit.attempt(self._count(specification))

    async def exists(self, criteria: Criteria | None = None, /) -> bool:
        specification = self._checked(criteria)
        await self._unit.flush()
        return await self._unit.attempt(self._any(specification))

    async def _list_locked(
        self, lock: Lock, specification: Specification, order: tuple[Order, ...], *, limit: int | None, track: bool
    ) -> builtins.list[RootT]:
        self._unit.require_writable("a lock")
        if not self.has_locks:
            raise UnsupportedOperationError("locks on what is read", type(self._unit).__name__)
        await self._unit.flush()
        rows = await self._unit.attempt(self._locked(lock, specification, order, limit))
        found = self._resolved(rows, track=track)
        stale = [one.id for one, row in zip(found, rows, strict=True) if one.version != self._version(row)]
        if stale:
            raise ConcurrencyError(self._kind.__name__, stale)
        return found

    def _checked(self, criteria: Criteria | None) -> Specification:
        self._unit.require_open()
        specification = as_specification(criteria)
        for entity in specification.entities:
            if not issubclass(self._kind, entity):
                raise InvalidSpecificationError(f"{entity.__name__} is not what {type(self).__name__} holds")
        return specification

    def _total(self, order_by: Order | Sequence[Order]) -> tuple[Order, ...]:
        """Return an order in which no two aggregates within reach are equal."""
        return checked_order(self._kind, order_by)

    def _require_identity(self, identity: UUID) -> None:
        self._unit.require_open()
        if not isinstance(identity, UUID):
            raise InvalidSpecificationError(f"an identity is a UUID, not {type(identity).__name__}")

    def _require_identities(self, identities: Iterable[UUID]) -> tuple[UUID, ...]:
        """Return them, each once."""
        self._unit.require_open()
        asked = tuple(identities)
        for identity in asked:
            self._require_identity(identity)
        return tuple(dict.fromkeys(asked))

    def _resolved(self, rows: Sequence[Any], *, track: bool = True) -> builtins.list[RootT]:
        """Return the aggregates of rows that are different ones."""
        tracker = self._unit.tracker
        if tracker.present(self._kind):
            return [self._resolve(row, track=track) for row in rows]
        found = [*self._entities(rows)]
        if track:
            tracker.remember_all(found, changeable=not self._unit.read_only)
        return found

    def _untracked(self, rows: Iterable[Any]) -> Iterator[RootT]:
        """Return the aggregates of rows, one by one: what the unit holds as it holds it, the rest on its own."""
        tracker, entities = self._unit.tracker, self._entities(rows)
        return map(tracker.known_for, entities) if tracker.present(self._kind) else entities

    def _resolve(self, row: Any, *, track: bool = True) -> RootT:
        known = self._unit.tracker.find(self._kind, self._identity(row))
        if known is not None:
            return cast("RootT", known)  # the identity map is keyed by kind
        entity = next(self._entities((row,)))
        if track:
            self._unit.tracker.remember(entity, changeable=not self._unit.read_only)
        return entity


def _several(keys: Iterable[KeyT]) -> tuple[KeyT, ...]:
    if isinstance(keys, str | bytes):
        raise InvalidSpecificationError("list_by takes several keys, not one text")
    return tuple(keys)


async def _next_of(batches: AsyncIterator[Sequence[Any]]) -> Sequence[Any] | None:
    # Not `anext(batches, None)`: awaited while a debugger or coverage traces, it fails on CPython 3.11.
    async for rows in batches:
        return rows
    return None


def require_positive(name: str, value: int) -> None:
    """Return if it is a positive whole number.

    Raises:
        InvalidSpecificationError: it is not.
    """
    if type(value) is not int or value < 1:
        raise InvalidSpecificationError(f"{name} is a positive whole number, not {value!r:.40}")


def _require_plain(*, track: bool, lock: Lock | None) -> None:
    if lock is not None or not track:
        raise InvalidSpecificationError("what is read into a smaller model is neither tracked nor locked")
