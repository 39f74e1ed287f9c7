"""Keeping a lease while something long is done under it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from prismicx.application.cancellation import is_cancelled
from prismicx.domain.errors import LeaseLostError, PrismicxError

ResultT = TypeVar("ResultT")


async def while_renewing(
    work: Coroutine[Any, Any, ResultT], *, renew: Callable[[], Awaitable[object]], every: float
) -> ResultT:
    """Do the work, renew its lease every so many seconds meanwhile, and return what the work returns.

    A renewal that fails otherwise than by `LeaseLostError` is left to the next one: if none gets through, the lease
    ends, another worker takes over, and the databases refuse the smaller fencing number.

    Raises:
        LeaseLostError: another worker has taken over; the work was cancelled.
    """
    working, renewing = asyncio.create_task(work), asyncio.create_task(_renew(renew, every))
    try:
        await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            renewing.result()  # raises: it ends in no other way
        return await working
    finally:
        working.cancel()
        renewing.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)


async def _renew(renew: Callable[[], Awaitable[object]], every: float) -> None:
    while not is_cancelled():
        await asyncio.sleep(every)
        try:
            await renew()
        except LeaseLostError:
            raise
        except PrismicxError:
            continue
