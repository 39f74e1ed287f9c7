"""Rows that become aggregates by position: the same aggregates that pydantic makes of the same values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from prismicx.adapters import by_position
from prismicx.adapters.by_position import row_reader
from prismicx.adapters.fields import entity_from
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import MappingError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.testing.examples import Widget, full_widget

ACME = TenantId("acme")


class Mood(StrEnum):
    FINE = "fine"
    BAD = "bad"


class Place(BaseModel):
    street: str
    since: datetime | None = None


class Plain(AggregateRoot):
    text: str
    whole: int
    number: float
    truth: bool
    raw: bytes
    amount: Decimal
    moment: datetime
    day: date
    reference: UUID
    maybe: str | None = "given"
    later: datetime | None = None


class Constrained(AggregateRoot):
    short: Annotated[str, Field(min_length=2)]
    positive: Annotated[int, Field(gt=0)] = 1
    mood: Mood = Mood.FINE
    choice: Literal["a", "b"] = "a"
    either: int | str = 1
    owner: TenantId | None = None
    places: list[Place] = Field(default_factory=list)
    upper: Annotated[str, AfterValidator(str.upper)] = "X"
    aliased: str = Field(default="", alias="anders")


class Stripped(AggregateRoot):
    model_config = ConfigDict(str_strip_whitespace=True)

    text: str
    whole: int = 0


class Open(AggregateRoot):
    model_config = ConfigDict(extra="allow")

    text: str


class Lenient(AggregateRoot):
    model_config = ConfigDict(allow_inf_nan=True)

    number: float


class Checked(AggregateRoot):
    low: int
    high: int

    @model_validator(mode="after")
    def require_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Informed(AggregateRoot):
    low: int
    high: int

    @field_validator("high")
    @classmethod
    def require_order(cls, high: int, info: ValidationInfo) -> int:
        return max(high, int(info.data.get("low", high)))


class Secretive(AggregateRoot):
    text: str
    _seen: int = PrivateAttr(default=7)


class Eager(AggregateRoot):
    text: str

    def model_post_init(self, context: Any) -> None:
        self.text += "!"


class Nested(AggregateRoot):
    inner: Nested | None = None


KINDS = (Plain, Constrained, Stripped, Open, Lenient, Checked, Informed, Secretive, Eager, Nested, Widget)

FIRST = datetime(1, 1, 3)  # noqa: DTZ001 -- the strategies add the zone, or leave it out on purpose
MOMENTS = st.one_of(
    st.datetimes(FIRST, timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))])),
    st.datetimes(FIRST),
)
VALUES = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.decimals(),
    MOMENTS,
    st.dates(),
    st.uuids(),
    st.sampled_from(
        ["fine", "a", " spaced ", "acme", [{"street": "Low Road", "since": "2026-01-01T00:00:00.000123Z"}]]
    ),
)
FITTING: dict[type[Any], st.SearchStrategy[Any]] = {
    str: st.text(min_size=2, max_size=5),
    int: st.integers(min_value=1),
    float: st.floats(),
    bool: st.booleans(),
    bytes: st.binary(max_size=5),
    Decimal: st.decimals(),
    datetime: MOMENTS,
    date: st.dates(),
    UUID: st.uuids(),
    Mood: st.sampled_from(list(Mood)),
}


def rows_of(kind: type[AggregateRoot]) -> st.SearchStrategy[list[Any]]:
    """Return rows of a kind, of which many fit and many nearly do."""
    fields = kind.model_fields.values()
    columns = [st.one_of(FITTING.get(field.annotation, VALUES), VALUES) for field in fields]  # type: ignore[arg-type]  # any annotation
    return st.tuples(st.uuids(), *columns[1:], st.integers(min_value=1, max_value=99)).map(list)


def whole(kind: type[AggregateRoot]) -> Callable[[Any], Any]:
    """Return what asks pydantic about all of a row."""
    names = tuple(kind.model_fields)
    return lambda row: entity_from(kind, dict(zip(names, row, strict=False)), version=row[-1], tenant=ACME)


def outcome(make: Callable[[], Any]) -> Any:
    """Return all that can be seen of what was made, or why it was not."""
    try:
        made = make()
    except MappingError as error:
        return error.problems
    held = made.__dict__
    return (
        type(made),
        [(name, type(value), repr(value)) for name, value in held.items()],
        made.model_fields_set,
        made.__pydantic_extra__,
        made.__pydantic_private__,
        (made.version, made.tenant, made.recorded_events),
    )


def assert_same(kind: type[AggregateRoot], row: list[Any]) -> None:
    """Compare what both ways make of a row."""
    expected = outcome(lambda: whole(kind)(copy.deepcopy(row)))
    found = outcome(lambda: next(row_reader(kind)(iter([copy.deepcopy(row)]), ACME, whole(kind))))

    assert found == expected


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), rows_of(kind))))
def test_any_row_becomes_what_pydantic_makes_of_it(case: tuple[type[AggregateRoot], list[Any]]) -> None:
    assert_same(*case)


def test_a_reader_that_overlooks_a_constraint_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_its_type(schema: Any, value: str) -> str | None:
        known = by_position._EXACT.get(schema["type"])
        return of_its_type(schema["schema"], value) if "schema" in schema else known and known.format(value)

    careless = row_reader.__wrapped__  # type: ignore[attr-defined]  # of lru_cache
    monkeypatch.setattr(by_position, "_exactly", of_its_type)
    monkeypatch.setitem(globals(), "row_reader", careless)

    with pytest.raises(AssertionError):
        assert_same(Constrained, [new_id(), "s", 1, "fine", "a", 1, None, [], "X", "", 3])


@pytest.mark.parametrize("kind", [Plain, Constrained, Stripped, Lenient, Widget])
def test_what_has_no_hand_in_its_making_is_made_by_position(kind: type[AggregateRoot]) -> None:
    assert getattr(row_reader(kind), "__name__", "") == "read"


def test_what_was_made_by_position_is_an_aggregate_like_any_other() -> None:
    widget = full_widget()
    row = [*widget.__dict__.values(), 3]
    made = next(row_reader(Widget)(iter([row]), ACME, whole(Widget)))

    twin = copy.deepcopy(made)
    made.name = "another"

    assert (twin, twin.version, twin.tenant) == (widget, 3, ACME)
    assert made != twin
    assert made.model_copy(update={"name": widget.name}) == twin
    assert made.model_fields_set == set(Widget.model_fields)
    with pytest.raises(ValidationError):
        made.amount = "many"
    assert twin.model_dump() == widget.model_dump()


def test_the_given_attributes_are_each_aggregates_own() -> None:
    rows = [[new_id(), "text", 0, 1] for _ in range(2)]
    first, second = row_reader(Stripped)(iter(rows), None, whole(Stripped))

    first.model_fields_set.clear()

    assert second.model_fields_set == {"id", "text", "whole"}
