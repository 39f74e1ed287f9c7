"""Working again after a conflict or a lost connection: the whole unit of work, from the start, after a random wait."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from prismicx.domain.errors import (
    ConcurrencyError,
    ConnectionLostError,
    DatabaseUnavailableError,
    PrismicxError,
    TransactionConflictError,
)
from prismicx.domain.ports import UnitOfWork

ResultT = TypeVar("ResultT")

RETRIED: Final[tuple[type[PrismicxError], ...]] = (
    ConcurrencyError,
    ConnectionLostError,
    DatabaseUnavailableError,
    TransactionConflictError,
)
"""The errors that leave nothing behind and may not come again. `CommitOutcomeUnknownError` is none of them."""


def retry_delays(
    attempts: int, *, base: float, cap: float, uniform: Callable[[float, float], float] = random.uniform
) -> Iterator[float]:
    """Yield the wait before each retry, in seconds: uniform on [0, min(cap, base * 2**n)].

    Args:
        attempts: retries after the first try; zero yields nothing.
        base: upper bound of the first wait, seconds, positive.
        cap: upper bound of every wait, seconds, at least `base`, finite.
        uniform: the source of chance: returns a number between the two that it is given.

    Raises:
        ValueError: an argument is out of range; at once, not at the first wait.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """
    if attempts < 0:
        raise ValueError(f"attempts must not be negative, and is {attempts}")
    if not 0 < base <= cap < math.inf:
        raise ValueError(f"0 < base <= cap < infinity must hold; base is {base}, cap is {cap}")
    return _full_jitter(attempts, base, cap, uniform)


def _full_jitter(attempts: int, bound: float, cap: float, uniform: Callable[[float, float], float]) -> Iterator[float]:
    for _ in range(attempts):
        yield uniform(0.0, bound)
        bound = min(cap, bound * 2)


async def run_unit_with_retry(
    open_unit: Callable[[], UnitOfWork],
    work: Callable[[UnitOfWork], Awaitable[ResultT]],
    *,
    retries: int = 3,
    base: float = 0.05,
    cap: float = 2.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    uniform: Callable[[float, float], float] = random.uniform,
) -> ResultT:
    """Run the work in a unit of work, commit it, and return its result; run it again where that can help.

    Each try has a fresh unit and calls `work` from its start, so it reads anew what it decides on. Whatever `work`
    does outside of its unit happens once for each try; it leaves the commit to this function.

    Args:
        open_unit: returns a new unit: `lambda: backend.unit_of_work(tenant)`.
        work: what to do in it.
        retries: tries after the first one.
        base: upper bound of the first wait, seconds.
        cap: upper bound of every wait, seconds.
        sleep: waits that many seconds.
        uniform: the source of chance for the waits.

    Raises:
        ConcurrencyError, ConnectionLostError, DatabaseUnavailableError, TransactionConflictError: of the last try.
        CommitOutcomeUnknownError: the connection broke during commit; never tried again, because it may have happened.
        ValueError: `retries`, `base` or `cap` is out of range.
    """
    for delay in retry_delays(retries, base=base, cap=cap, uniform=uniform):
        try:
            return await _run_once(open_unit, work)
        except RETRIED:
            await sleep(delay)
    return await _run_once(open_unit, work)


async def _run_once(open_unit: Callable[[], UnitOfWork], work: Callable[[UnitOfWork], Awaitable[ResultT]]) -> ResultT:
    async with open_unit() as unit:
        result = await work(unit)
        await unit.commit()
    return result
