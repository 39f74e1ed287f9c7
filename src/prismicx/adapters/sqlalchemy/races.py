"""Statements that define things, run by several at once: PostgreSQL refuses some of them for reasons that pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from prismicx.domain.errors import PrismicxError

AnswerT = TypeVar("AnswerT")

_TRIES: Final = 5

_RACES: Final = frozenset(
    (
        "23505",  # of the catalogue: IF NOT EXISTS has looked, and somebody else has committed since
        "42P06",  # the schema exists by now
        "42P07",  # the table or index does
        "42710",  # the role or policy does
        "3F000",  # the schema is gone by now
        "42704",  # the role is
        "XX000",  # "tuple concurrently updated", by GRANT, ALTER and COMMENT
        "40001",
        "40P01",
    )
)


async def despite_races(work: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Return what the work returns; run it again, up to five times in all, where a race may have made it fail.

    Nothing waits between two tries: by the time of such an error the other side has ended its transaction.

    Args:
        work: a transaction of its own that looks before it acts, so that what somebody else has made meanwhile is
            looked at as everything else that is there already.
    """
    for _ in range(_TRIES - 1):
        try:
            return await work()
        except PrismicxError as error:
            if not is_race(error):
                raise
    return await work()


def is_race(error: PrismicxError) -> bool:
    """Tell whether the database refused something that it may not refuse a moment later."""
    return getattr(error.__cause__, "sqlstate", None) in _RACES
