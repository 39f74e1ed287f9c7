"""Running a unit of work again: whole, from the start and afresh, for the causes that left nothing behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.causes import Cause, Response
from prismicx.domain.errors import AlreadyAppliedError, CommitOutcomeUnknownError, PrismicxError
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.retry import Retry

ResultT = TypeVar("ResultT")

_log = structlog.get_logger(__name__)


class Run(Generic[ResultT]):
    """One call of `Backend.run`: its tries, and what is known of them.

    Args:
        open_unit: returns a new unit for the seconds that are left, or for as long as it takes (`None`).
        work: what to do in it.
        retry: how often and how patiently to try.
        deadline: seconds for all tries and the waits between them.
        sleep: waits that many seconds.
        uniform: the source of chance for the waits.
    """

    def __init__(
        self,
        open_unit: Callable[[float | None], TrackedUnitOfWork],
        work: Callable[[UnitOfWork], Awaitable[ResultT]],
        *,
        retry: Retry,
        deadline: float | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._open_unit = open_unit
        self._work = work
        self._retry = retry
        self._deadline = deadline
        self._sleep = sleep
        self._waits = retry.waits(uniform)
        self._seen: set[Cause] = set()
        self._results: dict[UUID, ResultT] = {}
        self._unanswered: CommitOutcomeUnknownError | None = None
        self._is_final = False

    async def result(self) -> ResultT:
        """Return what the work returned in the try that was committed; see `Backend.run`."""
        now = asyncio.get_running_loop().time
        end = None if self._deadline is None else now() + self._deadline
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(None if end is None else end - now(), number=tries)
            except AlreadyAppliedError as error:
                if error.unit not in self._results:
                    raise
                return self._results[error.unit]
            except PrismicxError as error:
                wait = self._wait_after(error)
                too_long = wait is not None and end is not None and now() + wait >= end
                if wait is None or too_long:
                    if self._unanswered is None or self._unanswered is error:
                        raise
                    raise self._unanswered from error
                _log.warning(
                    "unit_of_work.run_again",
                    tries=tries,
                    cause=error.cause and error.cause.name,
                    error=str(error),
                    wait=round(wait, 3),
                )
            await self._sleep(wait)

    async def _try(self, seconds: float | None, *, number: int) -> ResultT:
        unit = self._open_unit(seconds)
        unit.tries = number
        async with unit:
            # Its record was written, so no unit before it has left one: none was committed.
            self._results, self._unanswered = {}, None
            try:
                result = await self._work(unit)
            except BaseException:
                self._is_final = unit.is_committed
                raise
            if not unit.has_ended:
                await self._commit(unit, result)
        return result

    async def _commit(self, unit: TrackedUnitOfWork, result: ResultT) -> None:
        try:
            await unit.commit()
        except CommitOutcomeUnknownError as error:
            if unit.record is not None:
                self._results, self._unanswered = {unit.record.unit: result}, error
            raise

    def _wait_after(self, error: PrismicxError) -> float | None:
        """Return how long to wait before the next try, or `None` where there is to be none."""
        cause = error.cause
        if cause is None or self._is_final or not self._is_repeated(cause, error):
            return None
        self._seen.add(cause)
        return next(self._waits, None)

    def _is_repeated(self, cause: Cause, error: PrismicxError) -> bool:
        match cause.response:
            case Response.RUN_AGAIN:
                return True
            case Response.RUN_AGAIN_IF_ASKED:
                return self._retry.stale
            case Response.RUN_AGAIN_ONCE:
                return cause not in self._seen
            case Response.ASK_RECORD:
                return error is self._unanswered
            case Response.RAISE:
                return False
