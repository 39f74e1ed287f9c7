"""The deadline of a unit of work: one clock for all that it waits for."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from prismicx.domain.causes import Cause
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    PrismicxError,
    StatementTimeoutError,
)

_PERHAPS_OURS = (StatementTimeoutError, ConnectionLostError, DatabaseUnavailableError)


class Deadline:
    """Interrupts the task of a unit of work when its time is over, as `asyncio.timeout` does.

    The servers are told the same moment, so that they stop too. Whichever acts first, one error says so.

    Args:
        seconds: from `start` on; positive and finite.

    Attributes:
        place: what is waited for, in words; empty where the unit itself knows.

    Raises:
        ValueError: `seconds` is out of range.
    """

    __slots__ = ("_asked", "_before", "_ends", "_seconds", "_task", "_timer", "place")

    def __init__(self, seconds: float) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"a deadline is a positive number of seconds, not {seconds!r:.40}")
        self._seconds = seconds
        self._ends = math.inf
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._before = 0
        self._asked = False
        self.place = ""

    @property
    def remaining(self) -> float:
        """Seconds that are left; not positive when the time is over."""
        return self._ends - asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.remaining <= 0

    def start(self) -> None:
        """Begin to count, for the task that calls."""
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        assert self._task is not None, "units of work run in tasks"
        self._before = self._task.cancelling()
        self._ends = loop.time() + self._seconds
        self._timer = loop.call_at(self._ends, self.interrupt)

    def stop(self) -> None:
        """Interrupt no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_ours()

    def verdict(self, error: BaseException, *, place: str, commit_sent: bool) -> PrismicxError | None:
        """Return the error to raise instead of this one, if the deadline is what it comes from.

        Args:
            error: what ended the work.
            place: where, in words.
            commit_sent: whether the work may be committed by now.
        """
        if isinstance(error, asyncio.CancelledError):
            if not self._is_ours():
                return None
        elif not isinstance(error, _PERHAPS_OURS) or not self.is_over:
            return None
        elif isinstance(error, ConnectionLostError | StatementTimeoutError):
            commit_sent = False  # these are known to have left nothing
        if commit_sent:
            return CommitOutcomeUnknownError(
                f"the deadline of {self._seconds:g} s passed while the database was committing",
                cause=Cause.DEADLINE_IN_COMMIT,
            )
        return DeadlineExceededError(self.place or place, self._seconds)

    def interrupt(self) -> None:
        """End the work now, as if its time were over; without effect once it has stopped."""
        if self._timer is None or self._task is None:
            return
        self._timer.cancel()
        self._timer = None
        self._asked = True
        self._task.cancel()

    def _is_ours(self) -> bool:
        """Take back the cancellation that was asked for; tell whether there is no other one."""
        asked, self._asked = self._asked, False
        return asked and self._task is not None and self._task.uncancel() <= self._before
