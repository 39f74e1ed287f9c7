"""Waits between tries are random, bounded, and as many as there are tries besides the first."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prismicx.domain.causes import Cause, Response
from prismicx.domain.retry import Retry


def bounds(retry: Retry) -> list[float]:
    """Return the upper bounds of the waits."""
    return list(retry.waits(lambda low, high: high))


def test_waits_grow_up_to_the_cap() -> None:
    assert bounds(Retry(tries=6, base=0.5, cap=3.0)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_many_waits_stay_at_the_cap() -> None:
    assert bounds(Retry(tries=5000, base=0.5, cap=3.0))[-1] == 3.0


def test_one_try_has_no_wait() -> None:
    assert list(Retry(tries=1).waits()) == []


@given(st.integers(1, 30), st.floats(1e-6, 1e3), st.floats(1, 1e6))
def test_each_wait_lies_between_nothing_and_its_bound(tries: int, base: float, factor: float) -> None:
    retry = Retry(tries=tries, base=base, cap=base * factor)
    waits = list(retry.waits())

    assert len(waits) == tries - 1
    assert all(0 <= wait <= min(retry.cap, base * 2**number) for number, wait in enumerate(waits))


def test_the_bounds_never_shrink() -> None:
    assert all(one <= other for one, other in pairwise(bounds(Retry(tries=20, base=0.1, cap=7.0))))


@pytest.mark.parametrize(
    ("tries", "base", "cap"),
    [
        (0, 1, 1),
        (1, 0, 1),
        (1, -1, 1),
        (1, 2, 1),
        (1, 1, float("inf")),
        (1, float("nan"), 1),
        (1, 1, float("nan")),
    ],
)
def test_an_argument_out_of_range_is_refused_at_once(tries: int, base: float, cap: float) -> None:
    with pytest.raises(ValueError, match=r"must"):
        Retry(tries=tries, base=base, cap=cap)


def test_only_what_left_nothing_behind_is_run_again_without_asking() -> None:
    again = {Response.RUN_AGAIN, Response.RUN_AGAIN_IF_ASKED, Response.RUN_AGAIN_ONCE}

    assert all(cause.left == "nothing" for cause in Cause if cause.response in again)
    assert len({cause.seen for cause in Cause}) == len(Cause)
