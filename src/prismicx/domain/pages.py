"""Keyset pages: a bounded slice in a stated order, and the places in it where the slices beside it begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError

from prismicx.domain.cursors import Cursor, CursorKeys
from prismicx.domain.errors import InvalidCursorError, InvalidSpecificationError
from prismicx.domain.following import Following
from prismicx.domain.specification import TENANT, Order, Specification, scalar_type

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")

Way: TypeAlias = Literal["after", "before"]
"""The argument of `page` that a cursor is for."""


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """A slice of a list.

    Attributes:
        items: in order.
        next: the place behind the last item, for `after=`. Of a page that was read forwards `None` where nothing
            followed when it was read; of one that was read backwards never, if it has an item: it came from there.
        previous: the place before the first item, for `before=`. Of a page that was read backwards `None` where
            nothing came before when it was read, and of the first page; of one behind a cursor never, if it has an
            item.
    """

    items: tuple[ItemT, ...]
    next: Cursor | None
    previous: Cursor | None = None


class Slice(NamedTuple):
    """What to ask for one page, from which end, and whether a cursor says where."""

    specification: Specification
    order: tuple[Order, ...]
    is_backwards: bool
    has_cursor: bool


@dataclass(frozen=True)
class PageQuery:
    """What a cursor belongs to: one tenant's query of one kind, in one total order.

    Args:
        scope: whose it is.
        entity: the kind.
        specification: the criteria; its values as they are stored.
        order: the whole of it; no two of what is within reach are equal in it.
        keys: sign the cursors.
    """

    scope: str
    entity: type
    specification: Specification
    order: tuple[Order, ...]
    keys: CursorKeys

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those whose values make a place."""
        return _plan(self.entity, self.order).attributes

    def asked(self, *, after: Cursor | None, before: Cursor | None) -> Slice:
        """Return what to ask for: what is behind the one cursor, or before the other, then nearest first.

        Raises:
            InvalidCursorError: the cursor is damaged, or of another query, order, direction or tenant, or was signed
                with a key that is not among these.
            InvalidSpecificationError: both are given.
        """
        if after is not None and before is not None:
            raise InvalidSpecificationError("a page is after a cursor or before one, not both")
        if before is not None:
            wanted = self.specification & self._beside(before, "before")
            return Slice(wanted, self._plan.reversed, is_backwards=True, has_cursor=True)
        if after is not None:
            wanted = self.specification & self._beside(after, "after")
            return Slice(wanted, self.order, is_backwards=False, has_cursor=True)
        return Slice(self.specification, self.order, is_backwards=False, has_cursor=False)

    def page(
        self,
        asked: Slice,
        rows: Sequence[RowT],
        *,
        size: int,
        place: Callable[[RowT, tuple[str, ...]], Sequence[Any]],
        items: Callable[[Sequence[RowT]], Iterable[ItemT]],
    ) -> Page[ItemT]:
        """Return the page that these rows make.

        Args:
            asked: what was asked for.
            rows: what was answered, at most one more than `size`.
            size: items of the page at most.
            place: returns what these attributes of a row are, as they are stored.
            items: returns what the page has of rows.
        """
        kept = rows[:size]
        if asked.is_backwards:
            kept = kept[::-1]
        goes_on, came_from = len(rows) > size, asked.has_cursor and bool(kept)
        has_next, has_previous = (came_from, goes_on) if asked.is_backwards else (goes_on, came_from)
        return Page(
            tuple(items(kept)),
            self.cursor(place(kept[-1], self.attributes), "after") if has_next else None,
            self.cursor(place(kept[0], self.attributes), "before") if has_previous else None,
        )

    @property
    def _plan(self) -> _Plan:
        return _plan(self.entity, self.order)

    def cursor(self, place: Sequence[Any], way: Way) -> Cursor:
        """Return the cursor that leads on from a place: what is stored of `attributes` there, and which way."""
        return self.keys.signed(self._plan.adapter.dump_json(tuple(place)), context=self._context(way))

    def _beside(self, cursor: Cursor, way: Way) -> Following:
        plan = self._plan
        place = self._place(cursor, way)
        return Following(plan.reversed if way == "before" else self.order, place, plan.nullable)

    def _place(self, cursor: Cursor, way: Way) -> tuple[Any, ...]:
        body = self.keys.body(cursor, context=self._context(way))
        try:
            place: tuple[Any, ...] = self._plan.adapter.validate_json(body)
        except ValidationError as error:
            raise InvalidCursorError("the cursor was made when an attribute was of another type") from error
        return place

    def _context(self, way: Way) -> bytes:
        """Return all that the cursor is bound to."""
        return _BEGINNINGS[way] + self._subject

    @cached_property
    def _subject(self) -> bytes:
        asked = (self.specification.shape, self.specification.values)
        whole = (self.scope, self.entity.__qualname__, asked, self._plan.keys)
        return repr(whole).encode("utf-8", "surrogatepass")


_BEGINNINGS: Final[Mapping[Way, bytes]] = {"after": b"prismicx cursor 1 after ", "before": b"prismicx cursor 1 before "}


class _Plan(NamedTuple):
    attributes: tuple[str, ...]
    keys: tuple[tuple[str, bool, bool], ...]
    nullable: frozenset[str]
    reversed: tuple[Order, ...]
    adapter: TypeAdapter[tuple[Any, ...]]


@lru_cache(maxsize=4096)
def _plan(entity: type, order: tuple[Order, ...]) -> _Plan:
    names = tuple(key.attribute for key in order)
    nullable = frozenset(name for name in names if name != TENANT and _accepts_none(entity, name))
    kinds = tuple(_kind(entity, name) | None if name in nullable else _kind(entity, name) for name in names)
    return _Plan(
        names,
        tuple((key.attribute, key.descending, key.nulls_first) for key in order),
        nullable,
        tuple(key.reversed for key in order),
        TypeAdapter(tuple[kinds], config=ConfigDict(ser_json_inf_nan="constants")),  # type: ignore[valid-type]  # made here
    )


_KINDS: Final = (bool, int, float, Decimal, datetime, date, UUID)  # bool before int, datetime before date


def _kind(entity: type, name: str) -> Any:
    """Return what an attribute's values are when they are stored; what is none of these is stored as a text."""
    scalar = str if name == TENANT else scalar_type(entity, name) or str
    return next((kind for kind in _KINDS if issubclass(scalar, kind)), str)


def _accepts_none(entity: type, name: str) -> bool:
    annotation = entity.__pydantic_fields__[name].annotation  # type: ignore[attr-defined]  # a pydantic model
    try:
        TypeAdapter(annotation).validate_python(None)
    except ValidationError:
        return False
    return True
