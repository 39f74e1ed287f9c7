"""Times are UTC and cut to milliseconds wherever a model holds them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from prismicx.domain.entity import Entity
from prismicx.domain.moments import utc_milliseconds

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1000, 1, 3), datetime(9990, 1, 1), timezones=offsets)  # noqa: DTZ001  # Hypothesis adds them


@given(moments)
def test_a_moment_stays_the_same_up_to_a_millisecond(moment: datetime) -> None:
    stored = utc_milliseconds(moment)

    assert stored.tzinfo is UTC
    assert stored.microsecond % 1000 == 0
    assert timedelta(0) <= moment - stored < timedelta(milliseconds=1)
    assert utc_milliseconds(stored) == stored


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        utc_milliseconds(datetime(2026, 1, 1))  # noqa: DTZ001  # the point of the test


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_a_time_that_utc_cannot_name_is_refused(moment: datetime) -> None:
    with pytest.raises(ValueError, match="before the year 1 or after the year 9999"):
        utc_milliseconds(moment)


class Note(BaseModel):
    written_at: datetime


class Diary(Entity):
    opened_at: datetime = Field(default_factory=lambda: datetime(2026, 1, 1, 1, 1, 1, 999_999, UTC))
    closed_at: datetime | None = None
    notes: tuple[Note, ...] = ()
    marks: dict[str, list[datetime]] = Field(default_factory=dict)


ODD = datetime(2026, 5, 17, 12, 30, 15, 123_999, timezone(timedelta(hours=2)))
EVEN = datetime(2026, 5, 17, 10, 30, 15, 123_000, UTC)


def test_an_entity_holds_utc_milliseconds_at_every_depth() -> None:
    diary = Diary(closed_at=ODD, notes=(Note.model_validate({"written_at": ODD}),), marks={"read": [ODD]})

    assert diary.opened_at == datetime(2026, 1, 1, 1, 1, 1, 999_000, UTC)
    assert diary.closed_at == EVEN
    assert diary.marks == {"read": [EVEN]}


def test_a_time_that_is_set_later_is_cut_too() -> None:
    diary = Diary()

    diary.closed_at = ODD

    assert diary.closed_at == EVEN


def test_a_time_that_is_a_default_is_cut_too() -> None:
    assert Diary().opened_at.microsecond == 999_000


def test_an_entity_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValidationError, match="needs a time zone"):
        Diary(closed_at=datetime(2026, 1, 1))  # noqa: DTZ001  # the point of the test
