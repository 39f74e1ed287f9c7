"""A cursor is an opaque place in one query of one tenant, and the pages joined are the whole list."""

import base64
import json
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.shop import Customer

from prismicx.domain.errors import InvalidCursorError
from prismicx.domain.pages import Cursor, PageQuery
from prismicx.domain.specification import EVERYTHING, Order, attribute, checked_order

ORDERS = st.lists(st.sampled_from(["nickname", "age", "born", "seen_at", "balance"]), unique=True, max_size=3).flatmap(
    lambda names: st.tuples(*[st.builds(Order, st.just(Customer), st.just(name), st.booleans()) for name in names])
)
customers = st.builds(
    Customer,
    nickname=st.none() | st.text("ab\u00e9\U0001f600", max_size=2),
    age=st.integers(0, 3),
    born=st.none() | st.dates(),
    seen_at=st.none() | st.datetimes(timezones=st.just(__import__("datetime").UTC)),
    balance=st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-5, max_value=5),
)


def _sorted(items: list[Customer], order: tuple[Order, ...]) -> list[Customer]:
    def compare(one: Customer, other: Customer) -> int:
        for key in order:
            left, right = getattr(one, key.attribute), getattr(other, key.attribute)
            if left == right:
                continue
            if left is None or right is None:
                return 1 if left is None else -1
            return (1 if left > right else -1) * (-1 if key.descending else 1)
        return 0

    return sorted(items, key=cmp_to_key(compare))


@given(st.lists(customers, max_size=8, unique_by=lambda customer: customer.id), ORDERS, st.data())
def test_behind_each_item_lies_exactly_what_follows_it(
    items: list[Customer], orders: tuple[Order, ...], data: st.DataObject
) -> None:
    order = checked_order(Customer, orders)
    query = PageQuery("acme", Customer, EVERYTHING, order)
    ordered = _sorted(items, order)
    place = data.draw(st.integers(0, len(ordered))) - 1

    behind = ordered if place < 0 else _behind(query, ordered, place)

    assert [item.id for item in behind] == [item.id for item in ordered[place + 1 :]]


def _behind(query: PageQuery, ordered: list[Customer], place: int) -> list[Customer]:
    cursor = Cursor(str(query.cursor_after(ordered[place])))
    following = query.following(cursor)
    return [item for item in ordered if following.is_satisfied_by(item)]


QUERY = PageQuery(
    "acme", Customer, attribute(Customer.age) > 3, checked_order(Customer, Order(Customer, "email", descending=True))
)
CURSOR = QUERY.cursor_after(Customer())


@pytest.mark.parametrize(
    "other",
    [
        PageQuery("globex", Customer, QUERY.specification, QUERY.order),
        PageQuery("acme", Customer, attribute(Customer.age) > 4, QUERY.order),
        PageQuery("acme", Customer, attribute(Customer.age) >= 3, QUERY.order),
        PageQuery("acme", Customer, QUERY.specification, checked_order(Customer, Order(Customer, "email"))),
        PageQuery("acme", Customer, QUERY.specification, checked_order(Customer, Order(Customer, "nickname"))),
    ],
    ids=["tenant", "value", "criteria", "direction", "order"],
)
def test_a_cursor_of_another_query_is_refused(other: PageQuery) -> None:
    with pytest.raises(InvalidCursorError, match="another query, order or tenant"):
        other.following(CURSOR)


def _encoded(body: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        "é",
        CURSOR.text[:-3],
        CURSOR.text[3:],
        CURSOR.text + "AAAA",
        _encoded(None),
        _encoded([]),
        _encoded({}),
        _encoded(["x", None]),
        _encoded(["x", ["a@b.c"]]),
        _encoded(["x", ["a@b.c", "no id"]]),
        _encoded(["x", ["a@b.c", {"$gt": ""}]]),
        None,
        1,
    ],
)
def test_a_damaged_cursor_is_refused(text: Any) -> None:
    with pytest.raises(InvalidCursorError):
        QUERY.following(Cursor(text))


def test_a_cursor_with_a_value_that_no_attribute_has_is_refused() -> None:
    fingerprint, keys = json.loads(base64.urlsafe_b64decode(CURSOR.text + "=" * (-len(CURSOR.text) % 4)))

    with pytest.raises(InvalidCursorError, match="no attribute has"):
        QUERY.following(Cursor(_encoded([fingerprint, ["a\x00b", keys[1]]])))


@given(st.text(max_size=60))
def test_no_text_from_outside_makes_anything_but_a_cursor_error(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        QUERY.following(Cursor(text))
