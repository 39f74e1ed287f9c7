"""Repositories over an identity map: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Iterable, Sequence
from contextlib import aclosing
from functools import lru_cache
from types import new_class
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin
from uuid import UUID

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import EntityNotFoundError, InvalidSpecificationError, NotMappedError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.pages import Cursor, Page, PageQuery
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository, RootT
from prismicx.domain.specification import Criteria, Order, Specification, as_specification, checked_order

if TYPE_CHECKING:
    from prismicx.adapters.unit_of_work import TrackedUnitOfWork


class TrackedRepository(Repository[RootT]):
    """A repository whose aggregates are tracked by its unit of work."""

    def __init__(self, unit: TrackedUnitOfWork, mapping: EntityMapping) -> None:
        self._unit = unit
        self._mapping = mapping
        self._kind = cast("type[RootT]", mapping.entity)  # the unit looked the mapping up by RootT

    @property
    def tenant(self) -> TenantId | None:
        """The tenant of the unit of work; `None` in the registry."""
        return self._unit.tenant

    # --- What a backend supplies; a row is whatever its driver returns. ---

    @abstractmethod
    async def _row(self, identity: UUID) -> Any | None:
        """Return the row of this identity."""

    @abstractmethod
    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Any]:
        """Return the rows that meet the specification, in this total order."""

    @abstractmethod
    def _batches(self, specification: Specification, order: tuple[Order, ...]) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows that meet the specification, in this total order, some at a time."""

    @abstractmethod
    async def _count(self, specification: Specification) -> int:
        """Return how many rows meet the specification."""

    @abstractmethod
    async def _any(self, specification: Specification) -> bool:
        """Tell whether a row meets the specification."""

    @abstractmethod
    def _identity(self, row: Any) -> Hashable:
        """Return what the identity map knows the row's aggregate by, among those of its kind: its id."""

    @abstractmethod
    def _entity(self, row: Any) -> RootT:
        """Return the aggregate of the row, stamped with its version and the unit's tenant."""

    # --- The port. ---

    def add(self, aggregate: RootT) -> None:
        self.add_many((aggregate,))

    def add_many(self, aggregates: Iterable[RootT]) -> None:
        self._unit.require_writable("add")
        given = tuple(aggregates)
        self._require_kind(given)
        self._unit.claim(given)
        self._unit.tracker.add(given)
        self._unit.mark(given)

    async def get(self, identity: UUID) -> RootT:
        found = await self.find(identity)
        if found is None:
            raise EntityNotFoundError(self._kind.__name__, identity)
        return found

    async def find(self, identity: UUID) -> RootT | None:
        self._require_identity(identity)
        known = self._unit.tracker.find(self._kind, identity)
        if known is not None:
            return cast("RootT", known)  # the identity map is keyed by kind
        if self._unit.tracker.is_removed(self._kind, identity):
            return None
        row = await self._unit.attempt(self._row(identity))
        return None if row is None else self._resolve(row)

    async def find_one(self, criteria: Criteria, /) -> RootT | None:
        found = await self.list(criteria, limit=1)
        return found[0] if found else None

    async def list(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        limit: int | None = None,
        track: bool = True,
    ) -> list[RootT]:
        specification, order = self._checked(criteria), self._total(order_by)
        if limit is not None:
            _require_positive("limit", limit)
        await self._unit.flush()
        rows = await self._unit.attempt(self._rows(specification, order, limit))
        return [self._resolve(row, track=track) for row in rows]

    async def page(
        self,
        criteria: Criteria | None = None,
        /,
        *,
        order_by: Order | Sequence[Order] = (),
        size: int = 50,
        after: Cursor | None = None,
    ) -> Page[RootT]:
        _require_positive("size", size)
        specification, order = self._checked(criteria), self._total(order_by)
        query = PageQuery(str(self._unit.tenant or ""), self._kind, specification, order)
        following = specification if after is None else specification & query.following(after)
        found = await self.list(following, order_by=order, limit=size + 1)
        more = len(found) > size
        return Page(tuple(found[:size]), query.cursor_after(found[size - 1]) if more else None)

    async def stream(
        self, criteria: Criteria | None = None, /, *, order_by: Order | Sequence[Order] = ()
    ) -> AsyncIterator[RootT]:
        specification, order = self._checked(criteria), self._total(order_by)
        await self._unit.flush()
        async with aclosing(self._batches(specification, order)) as batches:
            while (rows := await self._unit.attempt(_next_of(batches))) is not None:
                for row in rows:
                    yield self._resolve(row, track=False)
                self._unit.require_open()

    async def count(self, criteria: Criteria | None = None, /) -> int:
        specification = self._checked(criteria)
        await self._unit.flush()
        return await self._unit.attempt(self._count(specification))

    async def exists(self, criteria: Criteria | None = None, /) -> bool:
        specification = self._checked(criteria)
        await self._unit.flush()
        return await self._unit.attempt(self._any(specification))

    def remove(self, aggregate: RootT) -> None:
        self._unit.require_writable("remove")
        self._require_kind((aggregate,))
        self._unit.claim((aggregate,))
        self._unit.tracker.remove(aggregate)

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

    def _require_kind(self, aggregates: Sequence[AggregateRoot]) -> None:
        for aggregate in aggregates:
            if type(aggregate) is not self._kind:
                raise NotMappedError(type(aggregate).__name__, f"{type(self).__name__} holds {self._kind.__name__}")

    def _resolve(self, row: Any, *, track: bool = True) -> RootT:
        known = self._unit.tracker.find(self._kind, self._identity(row))
        if known is not None:
            return cast("RootT", known)  # the identity map is keyed by kind
        entity = self._entity(row)
        if track:
            self._unit.tracker.remember(entity, changeable=not self._unit.read_only)
        return entity


async def _next_of(batches: AsyncIterator[Sequence[Any]]) -> Sequence[Any] | None:
    # Not `anext(batches, None)`: awaited while a debugger or coverage traces, it fails on CPython 3.11.
    async for rows in batches:
        return rows
    return None


def _require_positive(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise InvalidSpecificationError(f"{name} is a positive whole number, not {value!r:.40}")


@lru_cache(maxsize=1024)
def entity_of(port: type) -> type[AggregateRoot]:
    """Return the aggregate of a repository class: the argument of `Repository[…]` among its ancestors.

    Raises:
        NotMappedError: it is not a subclass of `Repository[…]`.
    """
    if not isinstance(port, type):
        raise NotMappedError(f"{port!r:.80}", "it is not a class")
    for ancestor in port.__mro__:
        for parent in getattr(ancestor, "__orig_bases__", ()):
            origin, arguments = get_origin(parent), get_args(parent)
            if isinstance(origin, type) and issubclass(origin, Repository) and isinstance(arguments[0], type):
                return cast("type[AggregateRoot]", arguments[0])  # the bound of RootT
    raise NotMappedError(port.__name__, "it does not say of what it is a Repository[…]")


@lru_cache(maxsize=1024)
def compose(port: type, backend: type[TrackedRepository[Any]]) -> type[TrackedRepository[Any]]:
    """Return the port's own queries over the backend's machinery, as one class; a class that has both is left alone."""
    if issubclass(port, backend):
        return port
    return cast("type[TrackedRepository[Any]]", new_class(port.__name__, (port, backend)))  # made of a subclass of it
