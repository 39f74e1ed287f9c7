"""Pages in both directions: joined they are the list, whichever way they are read and whatever is added meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from prismicx.domain.errors import InvalidCursorError, InvalidSpecificationError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.pages import Page
from prismicx.domain.ports import Backend
from prismicx.domain.specification import EVERYTHING, Order, Specification, asc, desc
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets
from prismicx.testing.strategies import collections, orders, specifications


@dataclass(frozen=True)
class _Walk:
    widgets: Sequence[Widget]
    criteria: Specification
    order: tuple[Order, ...]
    size: int


@st.composite
def _walks(draw: st.DrawFn) -> _Walk:
    widgets = draw(collections(EXAMPLE_MAPPINGS[0]))
    criteria = draw(st.one_of(st.just(EVERYTHING), specifications(Widget, among=widgets)))
    return _Walk(widgets, criteria, draw(orders(Widget)), draw(st.integers(1, 3)))


class PagingContract(TwoTenants):
    """Pages before a cursor, pages behind one, and pages while others write."""

    walks: int = 15
    """How many random collections are read page by page."""

    shrink: bool = True
    """Whether a property test that fails looks for its smallest example, which can take minutes."""

    async def test_any_pages_joined_are_the_whole_list_both_ways(self, backend: Backend) -> None:
        async def joined(walk: _Walk) -> None:
            async with backend.unit_of_work(TenantId.new()) as uow:
                widgets = uow.repository(Widgets)
                widgets.add_many(walk.widgets)
                whole = await widgets.list(walk.criteria, order_by=walk.order)
                forwards = await _forwards(widgets, walk)
                backwards = await _backwards(widgets, walk, forwards[-1])
                await uow.commit()

            assert [each.id for page in forwards for each in page.items] == [each.id for each in whole]
            assert [each.id for page in backwards for each in page.items] == [each.id for each in whole]

        await for_all(_walks(), joined, examples=self.walks, shrink=self.shrink)

    async def test_a_page_says_where_it_goes_on_both_ways(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget() for _ in range(5)]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            first = await widgets.page(size=2)
            second = await widgets.page(size=2, after=first.next)
            last = await widgets.page(size=2, after=second.next)
            second_again = await widgets.page(size=2, before=last.previous)
            first_again = await widgets.page(size=2, before=second_again.previous)

        assert [page.items for page in (first, second, last)] == [tuple(many[:2]), tuple(many[2:4]), tuple(many[4:])]
        assert (first.previous, last.next, first_again.previous) == (None, None, None)
        assert (first_again.items, second_again.items) == (first.items, second.items)
        assert (first_again.next, second_again.next) == (first.next, second.next)

    async def test_an_empty_page_leads_nowhere(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(), Widget())

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            first = await widgets.page(size=1)
            second = await widgets.page(size=1, after=first.next)
            for widget in await widgets.list():
                widgets.remove(widget)

            for page in (
                await widgets.page(),
                await widgets.page(after=first.next),
                await widgets.page(before=second.previous),
            ):
                assert page == Page((), None, None)

    async def test_what_is_added_meanwhile_moves_nothing(self, backend: Backend, acme: TenantId) -> None:
        there = [Widget(order=number if number < 6 else None, note=f"{number}") for number in range(9)]
        await store(backend, acme, *there)
        met: list[str | None] = []
        asked: dict[str, Any] = {"order_by": (desc(Widget.order), asc(Widget.note)), "size": 2}

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            page = await widgets.page(**asked)
            while page.next is not None:
                met += [each.note for each in page.items]
                assert len(met) < 50, "the pages have no end"
                widgets.add_many((Widget(order=100, note=f"before {len(met)}"), Widget(note=f"{len(met)} between")))
                page = await widgets.page(**asked, after=page.next)
            met += [each.note for each in page.items]

        notes = [each.note for each in there]
        assert [note for note in met if note in notes] == [*reversed(notes[:6]), *notes[6:]]
        assert not any(note is not None and note.startswith("before") for note in met)

    async def test_a_place_is_what_is_stored_there(self, backend: Backend, acme: TenantId) -> None:
        many = [Widget(name=name) for name in ("a", "b", "c")]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.get(many[0].id)).name = "z"  # which a unit that only reads does not write
            first = await widgets.page(order_by=asc(Widget.name), size=1)
            second = await widgets.page(order_by=asc(Widget.name), size=1, after=first.next)

        assert second.items == (many[1],)

    async def test_a_cursor_leads_one_way(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(), Widget(), Widget())

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            first = await widgets.page(size=1)
            second = await widgets.page(size=1, after=first.next)
            with pytest.raises(InvalidCursorError):
                await widgets.page(size=1, before=second.next)
            with pytest.raises(InvalidCursorError):
                await widgets.page(size=1, after=second.previous)
            with pytest.raises(InvalidSpecificationError):
                await widgets.page(size=1, after=second.next, before=second.previous)


async def _forwards(widgets: Widgets, walk: _Walk) -> list[Page[Widget]]:
    pages = [await widgets.page(walk.criteria, order_by=walk.order, size=walk.size)]
    while pages[-1].next is not None:
        pages.append(await widgets.page(walk.criteria, order_by=walk.order, size=walk.size, after=pages[-1].next))
        assert len(pages) <= len(walk.widgets) + 1, "the pages go round in circles"
    return pages


async def _backwards(widgets: Widgets, walk: _Walk, last: Page[Widget]) -> list[Page[Widget]]:
    pages = [last]
    while pages[0].previous is not None:
        page = await widgets.page(walk.criteria, order_by=walk.order, size=walk.size, before=pages[0].previous)
        pages.insert(0, page)
        assert len(pages) <= len(walk.widgets) + 1, "the pages go round in circles"
    return pages
