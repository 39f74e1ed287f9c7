"""Cancelling a piece of work at each of its awaits, one after the other: they are counted while it runs.

A task stops where something that it awaits is not there yet. At each such place it can be cancelled in two ways: while
it waits, and when what it waited for has come but it has not seen it yet (a connection that was just handed to it).
And whoever cancels may do so again, while the task cleans up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from enum import Enum, auto
from typing import Any, Final

_PATIENCE: Final = 60.0


class Moment(Enum):
    """When a task is cancelled at one of its stops."""

    WAITING = auto()
    """While it waits."""

    ARRIVED = auto()
    """When what it waited for has come, and it has not gone on yet."""

    TWICE = auto()
    """While it waits, and again at its next stop, where it cleans up."""


class Stops:
    """Awaits a piece of work, counts its stops, and cancels the task at one of them.

    Args:
        work: what to run.
        at: the number of the stop at which the task is cancelled, from 1 on; 0 for none.
        moment: when, at that stop.
        interrupt: what cancels the task, where it is not its own `cancel`.

    Attributes:
        count: how many stops there were so far.
    """

    def __init__(
        self,
        work: Awaitable[object],
        *,
        at: int = 0,
        moment: Moment = Moment.WAITING,
        interrupt: Callable[[], object] | None = None,
    ) -> None:
        self._work = work
        self._at = at
        self._moment = moment
        self._how = interrupt
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None, "awaited in a task"
        steps = self._work.__await__()
        go_on: Callable[[], Any] = lambda: next(steps)  # noqa: E731  # one of two, chosen at each stop
        while True:
            try:
                awaited = go_on()
            except StopIteration:
                return
            self.count += 1
            self._interrupt(task, awaited)
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  # handed on to the work, which it is for
                go_on = _throwing(steps, error)
            else:
                go_on = lambda: next(steps)  # noqa: E731

    def _interrupt(self, task: asyncio.Task[Any], awaited: Any) -> None:
        interrupt = self._how or task.cancel
        if self.count == self._at and self._moment is Moment.ARRIVED and asyncio.isfuture(awaited):
            awaited.add_done_callback(lambda _: interrupt())  # before the task's own, which wakes it
        elif self.count == self._at:
            asyncio.get_running_loop().call_soon(interrupt)
        elif self._moment is Moment.TWICE and self.count == self._at + 1 > 1:
            asyncio.get_running_loop().call_soon(task.cancel)


def _throwing(steps: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: steps.throw(error)


async def interrupted_at(
    work: Awaitable[object], stop: int, moment: Moment, *, interrupt: Callable[[], object] | None = None
) -> tuple[bool, BaseException | None]:
    """Run the work in a task of its own, cancelled at this stop; return whether it came so far, and how it ended.

    Raises:
        AssertionError: it has not ended after 60 seconds.
    """
    stops = Stops(work, at=stop, moment=moment, interrupt=interrupt)
    ended: list[BaseException | None] = []

    async def run() -> None:
        try:
            await stops
        except BaseException as error:  # noqa: BLE001  # what is asked for
            ended.append(error)
        else:
            ended.append(None)

    task = asyncio.create_task(run())
    await asyncio.wait((task,), timeout=_PATIENCE)
    if not task.done():
        task.cancel()
        raise AssertionError(f"interrupted at stop {stop}, it does not end")
    return stops.count >= stop, ended[0]
