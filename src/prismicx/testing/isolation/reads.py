"""What histories read: each question put to the unit, and to its oracle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from prismicx.domain.cursors import Cursor
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidCursorError
from prismicx.domain.pages import Page
from prismicx.domain.specification import Order, Specification
from prismicx.testing.isolation.actor import Actor
from prismicx.testing.isolation.oracle import Key, UnitOracle
from prismicx.testing.isolation.play import OpenUnit, PagedQuery, Play
from prismicx.testing.isolation.recipes import Criterion
from prismicx.testing.isolation.several import listed_smaller, select_smaller, streamed_smaller
from prismicx.testing.isolation.world import Port

Asked = Callable[[Any, Specification, tuple[Order, ...]], Awaitable[Any]]
Expected = Callable[[UnitOracle, type[AggregateRoot], Specification, tuple[Order, ...]], Any]


async def _streamed(repository: Any, criteria: Specification, order: tuple[Order, ...]) -> list[Any]:
    return [found async for found in repository.stream(criteria, order_by=order)]


_QUERIES: Final[Mapping[str, tuple[Asked, Expected]]] = {
    "list into": (
        lambda repository, criteria, order: listed_smaller(repository, repository._kind, criteria, order),
        select_smaller,
    ),
    "stream into": (
        lambda repository, criteria, order: streamed_smaller(repository, repository._kind, criteria, order),
        select_smaller,
    ),
    "list": (
        lambda repository, criteria, order: repository.list(criteria, order_by=order),
        lambda oracle, kind, criteria, order: oracle.select(kind, criteria, order),
    ),
    "list limited": (
        lambda repository, criteria, order: repository.list(criteria, order_by=order, limit=1),
        lambda oracle, kind, criteria, order: oracle.select(kind, criteria, order, limit=1),
    ),
    "list untracked": (
        lambda repository, criteria, order: repository.list(criteria, order_by=order, track=False),
        lambda oracle, kind, criteria, order: oracle.select(kind, criteria, order, track=False),
    ),
    "stream": (_streamed, lambda oracle, kind, criteria, order: oracle.select(kind, criteria, order, track=False)),
    "find_one": (
        lambda repository, criteria, order: repository.find_one(criteria),
        lambda oracle, kind, criteria, order: next(iter(oracle.select(kind, criteria, limit=1)), None),
    ),
    "count": (
        lambda repository, criteria, order: repository.count(criteria),
        lambda oracle, kind, criteria, order: oracle.count(kind, criteria),
    ),
    "exists": (
        lambda repository, criteria, order: repository.exists(criteria),
        lambda oracle, kind, criteria, order: oracle.count(kind, criteria) > 0,
    ),
}

HOW: Final = tuple(_QUERIES)
"""How a query can be put."""


def find(play: Play, unit: OpenUnit, port: Port, identity: UUID, *, get: bool) -> None:
    """Find or get by identity."""
    key = Key(port.subject.kind, identity)

    async def found(actor: Actor) -> Any:
        repository = actor.unit.repository(port.repository)
        return await (repository.get(identity) if get else repository.find(identity))

    expected = (lambda: unit.oracle.get(key)) if get else (lambda: unit.oracle.find(key))
    play.act(unit, f"{port.name}.{'get' if get else 'find'}", found, expected, given=(identity,))


def query(play: Play, unit: OpenUnit, port: Port, criterion: Criterion, order: tuple[Order, ...], *, how: str) -> None:
    """List, find one, stream, count, or ask whether any exists."""
    asked, expected = _QUERIES[how]
    criteria = play.make(criterion, unit.tenant)
    play.act(
        unit,
        f"{port.name}.{how}",
        lambda actor: asked(actor.unit.repository(port.repository), criteria, order),
        lambda: expected(unit.oracle, port.subject.kind, criteria, order),
        given=(criteria, *order),
    )


def page(
    play: Play, unit: OpenUnit, port: Port, criterion: Criterion, order: tuple[Order, ...], *, size: int, lent: int
) -> None:
    """Read a page, the next one and the first again, and lend the cursor to another tenant, who cannot use it."""
    asked = PagedQuery(port, criterion, order, size)
    first = _page(play, unit, asked, after=None)
    if first is None or first.next is None:
        return
    second = _page(play, unit, asked, after=first.next)
    if second is not None:
        _page(play, unit, asked, before=second.previous)
    others = [tenant for tenant in play.world.tenants if tenant != unit.tenant]
    borrower = play.open(others[lent % len(others)], read_only=True)
    _use_cursor(play, borrower, asked, first.next)
    play.close(borrower)


def _use_cursor(play: Play, unit: OpenUnit, asked: PagedQuery, cursor: Cursor) -> None:
    criteria = play.make(asked.criterion, unit.tenant)

    async def used(actor: Actor) -> Any:
        repository = actor.unit.repository(asked.port.repository)
        return (await repository.page(criteria, order_by=asked.order, size=asked.size, after=cursor)).items

    def expected() -> None:
        raise InvalidCursorError

    play.act(unit, f"{asked.port.name}.page", used, expected, given=(criteria, *asked.order, cursor))


def _page(
    play: Play, unit: OpenUnit, asked: PagedQuery, *, after: Cursor | None = None, before: Cursor | None = None
) -> Page[Any] | None:
    port, order, size = asked.port, asked.order, asked.size
    criteria = play.make(asked.criterion, unit.tenant)
    pages: list[Page[Any]] = []

    async def read(actor: Actor) -> Any:
        repository = actor.unit.repository(port.repository)
        found = await repository.page(criteria, order_by=order, size=size, after=after, before=before)
        pages.append(found)
        return found.items, found.next is not None, found.previous is not None

    def expected() -> Any:
        skip = 0 if after is None else size
        rows = unit.oracle.select(port.subject.kind, criteria, order, skip=skip, limit=size)
        beyond = unit.oracle.select(port.subject.kind, criteria, order, skip=skip + size, limit=1, held=False)
        return [rows, bool(beyond), after is not None]

    given = (criteria, *order, size, *(cursor for cursor in (after, before) if cursor is not None))
    play.act(unit, f"{port.name}.page", read, expected, given=given)
    return pages[0] if pages else None
