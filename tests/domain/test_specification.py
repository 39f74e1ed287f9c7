"""Criteria are values with one meaning: checked when they are made, combined, and true or not of an entity."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.shop import Address, Colour, Customer, Parcel, Patron, Size

from prismicx.domain.errors import InvalidSpecificationError, UnknownAttributeError
from prismicx.domain.identifiers import Region
from prismicx.domain.specification import (
    EVERYTHING,
    Attribute,
    Comparison,
    Disjunction,
    Order,
    Specification,
    as_specification,
    asc,
    attribute,
    checked_order,
    desc,
)

EMAIL = attribute(Customer.email)
NICKNAME = attribute(Customer.nickname)
AGE = attribute(Customer.age)

customers = st.builds(
    Customer,
    email=st.text("abA ", min_size=3, max_size=4),
    nickname=st.none() | st.text("ab", max_size=3),
    age=st.integers(0, 4),
)
leaves = st.one_of(
    st.sampled_from([NICKNAME.is_null(), EVERYTHING, Disjunction(())]),
    st.builds(lambda value, name: getattr(AGE, name)(value), st.integers(0, 4), st.sampled_from(["__lt__", "__ge__"])),
    st.builds(NICKNAME.__eq__, st.none() | st.text("ab", max_size=2)),
    st.builds(NICKNAME.__ne__, st.none() | st.text("ab", max_size=2)),
    st.builds(NICKNAME.in_, st.lists(st.none() | st.text("ab", max_size=2), max_size=3)),
)
specifications: st.SearchStrategy[Specification] = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(lambda one, other: one & other, parts, parts),
        st.builds(lambda one, other: one | other, parts, parts),
        st.builds(lambda one: ~one, parts),
    ),
    max_leaves=6,
)


@given(specifications, specifications, customers)
def test_criteria_combine_as_two_valued_logic(one: Specification, other: Specification, ada: Customer) -> None:
    left, right = one.is_satisfied_by(ada), other.is_satisfied_by(ada)

    assert (one & other).is_satisfied_by(ada) is (left and right)
    assert (one | other).is_satisfied_by(ada) is (left or right)
    assert (~one).is_satisfied_by(ada) is (not left)


@given(specifications, specifications)
def test_criteria_are_values(one: Specification, other: Specification) -> None:
    assert (one == other) is (repr(one) == repr(other))
    assert hash(one & other) == hash(one & other)
    assert isinstance(one.shape, tuple)


ADA = Customer(email="ada@acme.test", nickname=None, age=36, born=date(1815, 12, 10), score=1.5)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (EMAIL == "ada@acme.test", True),
        (EMAIL == "Ada@acme.test", False),
        (EMAIL != "ada@acme.test", False),
        (AGE < 36, False),
        (AGE <= 36, True),
        (AGE > 35, True),
        (AGE >= 37, False),
        (EMAIL.in_(["x@y.z", "ada@acme.test"]), True),
        (EMAIL.in_([]), False),
        (EMAIL.prefix("ada"), True),
        (EMAIL.prefix("ADA"), False),
        (EMAIL.contains("@acme"), True),
        (EMAIL.contains("%"), False),
        (NICKNAME.is_null(), True),
        (attribute(Customer.motto).prefix("a"), False),
        (NICKNAME == None, True),  # noqa: E711  # an expression
        (NICKNAME != None, False),  # noqa: E711  # an expression
        (NICKNAME == "ada", False),
        (NICKNAME != "ada", True),
        (NICKNAME.in_(["ada"]), False),
        (NICKNAME.in_(["ada", None]), True),
        (~NICKNAME.in_(["ada"]), True),
        (NICKNAME.prefix(""), False),
        (~NICKNAME.prefix(""), True),
        (NICKNAME < "a", False),
        (~(NICKNAME < "a"), True),
        (attribute(Customer.colour) == Colour.RED, True),
        (attribute(Customer.size) == Size.LARGE, False),
        (attribute(Customer.region) == Region("eu-central-1"), True),
        (attribute(Customer.address).is_null(), True),
        (attribute(Customer.vip) == False, True),  # noqa: E712  # an expression
        (attribute(Customer.token) == b"", True),
        (attribute(Customer.balance) == Decimal("0.00"), True),
        (attribute(Customer.referrer) == UUID(int=0), False),
        (attribute(Customer.born) < date(1900, 1, 1), True),
        (attribute(Customer.score) > 1, True),
    ],
)
def test_each_operator_means_one_thing(criteria: Specification, expected: bool) -> None:
    assert criteria.is_satisfied_by(ADA) is expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: EMAIL == 1,
        lambda: AGE == "36",
        lambda: AGE == 1.5,
        lambda: EMAIL == AGE,
        lambda: EMAIL < None,
        lambda: EMAIL.prefix(1),  # type: ignore[arg-type]  # the point of the test
        lambda: AGE.prefix("3"),
        lambda: AGE.contains("3"),
        lambda: EMAIL.in_("ada"),
        lambda: EMAIL.in_(b"ada"),
        lambda: EMAIL.in_([1]),
        lambda: EMAIL == "a\x00b",
        lambda: EMAIL == "\ud800",
        lambda: EMAIL.prefix("\udfff"),
        lambda: attribute(Customer.address) == Address(city="London"),
        lambda: attribute(Customer.tags) == ("a",),
        lambda: attribute(Customer.mixed) == 1,
        lambda: attribute(Customer.either) == 1,
        lambda: attribute(Customer.colour) < Colour.RED,
        lambda: attribute(Customer.size) < Size.LARGE,
        lambda: attribute(Customer.vip) < True,
        lambda: attribute(Customer.token) < b"a",
        lambda: attribute(Customer.region) < Region("eu"),
        lambda: attribute(Customer.status) == "unknown",
        lambda: attribute(Customer.score) == float("nan"),
        lambda: attribute(Customer.score) < float("inf"),
        lambda: attribute(Customer.seen_at) < datetime(2026, 1, 1),  # noqa: DTZ001  # the point of the test
        lambda: attribute(Customer.vip) == 1,
        lambda: attribute("email"),
        lambda: asc(Customer.address),
        lambda: desc(Customer.colour),
        lambda: asc("email"),
    ],
)
def test_a_criterion_that_no_backend_could_answer_is_refused_when_it_is_made(make: Any) -> None:
    with pytest.raises(InvalidSpecificationError):
        make()


def test_a_time_is_compared_as_it_is_stored() -> None:
    moment = datetime(2026, 1, 1, 2, 0, 0, 1_999, timezone(timedelta(hours=2)))

    criteria = attribute(Customer.seen_at) == moment

    assert criteria.values == (datetime(2026, 1, 1, 0, 0, 0, 1_000, UTC),)


def test_looking_for_a_text_shorter_than_any_is_no_mistake() -> None:
    assert not (EMAIL == "a").is_satisfied_by(ADA)


def test_an_unknown_attribute_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownAttributeError, match="Customer has no attribute 'mail'; it has id, email") as caught:
        Attribute(Customer, "mail")

    assert caught.value.known[0] == "id"


def test_the_shape_is_everything_but_the_values() -> None:
    one, other = (EMAIL == "a@b.c") & ~(AGE < 3), (EMAIL == "d@e.f") & ~(AGE < 4)

    assert one.shape == other.shape
    assert one.values == ("a@b.c", 3)
    assert (one | NICKNAME.is_null()).values == ("a@b.c", 3)
    assert one.shape != (EMAIL == "a@b.c").shape


def test_criteria_know_whose_attributes_they_name() -> None:
    mixed = (EMAIL == "a@b.c") | ~(attribute(Parcel.weight) == 1)

    assert mixed.entities == {Customer, Parcel}
    assert (mixed & EVERYTHING).entities == {Customer, Parcel}


@pytest.mark.parametrize("thing", [EMAIL, EMAIL == "a@b.c", EVERYTHING])
def test_an_expression_has_no_truth_value(thing: object) -> None:
    with pytest.raises(InvalidSpecificationError, match="no truth value"):
        bool(thing)


def test_an_attribute_can_be_a_key() -> None:
    assert len({EMAIL: 1, AGE: 2}) == 2
    assert hash(EMAIL) == hash(Attribute(Customer, "email"))


def test_what_was_compared_on_an_instance_is_refused() -> None:
    with pytest.raises(InvalidSpecificationError, match="compare the attribute of the class"):
        as_specification(ADA.email == "ada@acme.test")


def test_criteria_pass_as_they_are_and_none_is_everything() -> None:
    criteria = as_specification(Customer.email == "ada@acme.test")

    assert criteria == Comparison(Customer, "email", "eq", "ada@acme.test")
    assert as_specification(criteria) is criteria
    assert as_specification(None) is EVERYTHING


def test_an_order_is_made_total_by_the_id() -> None:
    by_age = desc(Customer.age)

    assert checked_order(Customer, by_age) == (by_age, Order(Customer, "id"))
    assert checked_order(Customer, ()) == (Order(Customer, "id"),)
    assert checked_order(Customer, [asc(Customer.id)]) == (Order(Customer, "id"),)
    assert checked_order(Patron, [by_age]) == (by_age, Order(Patron, "id"))


@pytest.mark.parametrize(
    "order_by", [[asc(Customer.age), desc(Customer.age)], [asc(Parcel.weight)], ["age"], asc(Patron.since)]
)
def test_an_order_that_makes_no_sense_is_refused(order_by: Any) -> None:
    with pytest.raises(InvalidSpecificationError):
        checked_order(Customer, order_by)


def test_a_loop_may_combine_as_many_criteria_as_it_likes() -> None:
    anyone, everyone = attribute(Customer.age) == 0, attribute(Customer.age) >= 0
    for number in range(5_000):
        anyone |= attribute(Customer.age) == number
        everyone &= attribute(Customer.age) != -number

    assert len(anyone.values) == len(everyone.values) == 5_001
    assert hash(anyone.shape) != hash(everyone.shape)
