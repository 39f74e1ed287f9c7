"""A lease says who may act and until when; its number grows with every change of hands."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from prismicx.domain.leases import Lease

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_the_number_follows_the_last_one() -> None:
    first = Lease.taken("ada", after=0, until=NOW)

    assert (first.fence, Lease.taken("bob", after=first.fence, until=NOW).fence) == (1, 2)


@pytest.mark.parametrize(
    ("holder", "now", "free"),
    [
        ("ada", NOW, True),
        ("bob", NOW, False),
        ("bob", NOW + MINUTE - timedelta(milliseconds=1), False),
        ("bob", NOW + MINUTE, True),
    ],
)
def test_it_is_free_for_its_holder_and_for_others_when_its_time_is_over(holder: str, now: datetime, free: bool) -> None:
    assert Lease.taken("ada", after=0, until=NOW + MINUTE).is_free_for(holder, now) is free


def test_a_renewal_keeps_the_number_and_never_shortens() -> None:
    lease = Lease.taken("ada", after=6, until=NOW + MINUTE)

    assert lease.renewed(NOW + 2 * MINUTE) == Lease(holder="ada", fence=7, expires_at=NOW + 2 * MINUTE)
    assert lease.renewed(NOW) == lease


def test_it_is_the_same_after_it_was_stored() -> None:
    odd = datetime(2026, 5, 6, 7, 8, 9, 123_456, tzinfo=UTC)

    for lease in (Lease.taken("ada", after=0, until=odd), Lease.taken("ada", after=0, until=NOW).renewed(odd)):
        assert lease.expires_at.microsecond == 123_000
        assert Lease.model_validate_json(lease.model_dump_json()) == lease


@pytest.mark.parametrize(
    "wrong",
    [{"holder": ""}, {"holder": "a" * 201}, {"fence": 0}, {"expires_at": datetime(2026, 5, 6)}],  # noqa: DTZ001  # the point
)
def test_what_cannot_be_a_lease_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Lease.model_validate({"holder": "ada", "fence": 1, "expires_at": NOW} | wrong)
