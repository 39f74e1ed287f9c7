"""A cursor is an opaque, signed place in one query of one tenant, and the pages joined are the whole list."""

from __future__ import annotations

from datetime import UTC
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.shop import Customer

from prismicx.domain.cursors import Cursor, CursorKeys
from prismicx.domain.errors import InvalidCursorError
from prismicx.domain.pages import Page, PageQuery
from prismicx.domain.specification import EVERYTHING, Order, attribute, checked_order

KEYS = CursorKeys.random()
ORDERS = st.lists(st.sampled_from(["nickname", "age", "born", "seen_at", "balance"]), unique=True, max_size=3).flatmap(
    lambda names: st.tuples(*[st.builds(Order, st.just(Customer), st.just(name), st.booleans()) for name in names])
)
customers = st.builds(
    Customer,
    nickname=st.none() | st.text("ab\u00e9\U0001f600", max_size=2),
    age=st.integers(0, 3),
    born=st.none() | st.dates(),
    seen_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    balance=st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-5, max_value=5),
)


def _sorted(items: list[Customer], order: tuple[Order, ...]) -> list[Customer]:
    def compare(one: Customer, other: Customer) -> int:
        for key in order:
            left, right = getattr(one, key.attribute), getattr(other, key.attribute)
            if left == right:
                continue
            if left is None or right is None:
                return 1 if (left is None) is not key.nulls_first else -1
            return (1 if left > right else -1) * (-1 if key.descending else 1)
        return 0

    return sorted(items, key=cmp_to_key(compare))


def _page(
    query: PageQuery,
    items: list[Customer],
    *,
    size: int = 1,
    after: Cursor | None = None,
    before: Cursor | None = None,
) -> Page[Customer]:
    """Return the page that a database with these items would answer."""
    asked = query.asked(after=after, before=before)
    rows = _sorted([item for item in items if asked.specification.is_satisfied_by(item)], asked.order)[: size + 1]
    return query.page(
        asked,
        rows,
        size=size,
        place=lambda item, names: [getattr(item, name) for name in names],
        items=lambda items: items,
    )


@given(st.lists(customers, max_size=8, unique_by=lambda customer: customer.id), ORDERS, st.integers(1, 4))
def test_pages_joined_are_the_whole_list_in_both_directions(
    items: list[Customer], orders: tuple[Order, ...], size: int
) -> None:
    order = checked_order(Customer, orders)
    query = PageQuery("acme", Customer, EVERYTHING, order, KEYS)
    page = _page(query, items, size=size)
    forwards = [page]
    while page.next is not None:
        page = _page(query, items, size=size, after=Cursor(str(page.next)))
        forwards.append(page)
    backwards = [page]
    while page.previous is not None:
        page = _page(query, items, size=size, before=page.previous)
        backwards.insert(0, page)

    whole = [item.id for item in _sorted(items, order)]
    assert [item.id for each in forwards for item in each.items] == whole
    assert [item.id for each in backwards for item in each.items] == whole
    assert [each.previous is None for each in forwards] == [True, *[False] * (len(forwards) - 1)]
    assert all(each.next is not None for each in backwards[:-1])


@given(st.lists(customers, max_size=5, unique_by=lambda customer: customer.id), ORDERS, st.data())
def test_comparisons_of_one_attribute_each_say_the_same(
    items: list[Customer], orders: tuple[Order, ...], data: st.DataObject
) -> None:
    query = PageQuery("acme", Customer, EVERYTHING, checked_order(Customer, orders), KEYS)
    page = _page(query, items)
    cursor = page.next if data.draw(st.booleans()) else None
    before = _page(query, items, after=cursor).previous if cursor else None

    for given_cursors in ({"after": cursor, "before": None}, {"after": None, "before": before}):
        asked = query.asked(**given_cursors)
        if asked.has_cursor:
            following = asked.specification.parts[-1]  # type: ignore[attr-defined]  # of a conjunction
            expected = [item.id for item in items if following.is_satisfied_by(item)]
            assert [item.id for item in items if following.spelled_out().is_satisfied_by(item)] == expected


QUERY = PageQuery(
    "acme",
    Customer,
    attribute(Customer.age) > 3,
    checked_order(Customer, Order(Customer, "email", descending=True)),
    KEYS,
)
CURSOR = _page(QUERY, [Customer(age=4), Customer(age=5)]).next
assert CURSOR is not None


@pytest.mark.parametrize(
    "other",
    [
        PageQuery("globex", Customer, QUERY.specification, QUERY.order, KEYS),
        PageQuery("acme", Customer, attribute(Customer.age) > 4, QUERY.order, KEYS),
        PageQuery("acme", Customer, attribute(Customer.age) >= 3, QUERY.order, KEYS),
        PageQuery("acme", Customer, QUERY.specification, checked_order(Customer, Order(Customer, "email")), KEYS),
        PageQuery("acme", Customer, QUERY.specification, checked_order(Customer, Order(Customer, "nickname")), KEYS),
    ],
    ids=["tenant", "value", "criteria", "direction", "order"],
)
def test_a_cursor_of_another_query_is_refused(other: PageQuery) -> None:
    with pytest.raises(InvalidCursorError, match="another query, order or tenant"):
        other.asked(after=CURSOR, before=None)


def test_a_cursor_leads_one_way() -> None:
    with pytest.raises(InvalidCursorError, match="goes the other way"):
        QUERY.asked(after=None, before=CURSOR)


def test_a_cursor_of_an_attribute_that_was_of_another_type_is_refused() -> None:
    body = QUERY.keys.signed(b'["a@b.c","no id"]', context=QUERY._context("after"))

    with pytest.raises(InvalidCursorError, match="another type"):
        QUERY.asked(after=body, before=None)


@given(st.text(max_size=60))
def test_no_text_from_outside_makes_anything_but_a_cursor_error(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        QUERY.asked(after=Cursor(text), before=None)
