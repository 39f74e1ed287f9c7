"""Keeping a snapshot fresh in the background: every so often, and at once when somebody says that it is old."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from prismicx.application.cancellation import is_cancelled

_BASE: Final = 0.2
_CAP: Final = 30.0


class RefreshObserver(Protocol):
    """Who hears what goes wrong in the background."""

    def not_refreshed(self, error: Exception) -> None:
        """The registry could not be read; it is asked again after the next interval."""

    def not_listening(self, error: Exception, *, wait: float) -> None:
        """Nobody pushes changes; it is tried again after so many seconds."""


class UnobservedRefresh:
    """Hears nothing."""

    def not_refreshed(self, error: Exception) -> None: ...
    def not_listening(self, error: Exception, *, wait: float) -> None: ...


class Refresher:
    """Two tasks: one refreshes, one listens for pushes and wakes it.

    Args:
        refresh: reads anew; begun only after the push that asked for it.
        listen: calls its argument when something may have changed; returns where nothing ever pushes.
        interval: seconds between two refreshes that nobody asked for.
        patience: seconds that one may last.
        observer: hears of failures.
        uniform: the source of chance for waits: a number between the two it is given ("full jitter").
    """

    def __init__(
        self,
        refresh: Callable[[], Awaitable[None]],
        listen: Callable[[Callable[[], None]], Awaitable[None]],
        *,
        interval: float,
        patience: float,
        observer: RefreshObserver,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._refresh = refresh
        self._listen = listen
        self._interval = interval
        self._patience = patience
        self._observer = observer
        self._uniform = uniform
        self._woken = asyncio.Event()
        self._failures = 0
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Begin; without effect on one that runs."""
        if not self._tasks:
            coroutines = (self._refresh_again_and_again(), self._listen_again_and_again())
            self._tasks = tuple(asyncio.create_task(each) for each in coroutines)

    async def stop(self) -> None:
        """End; no task is left. Stopping twice does nothing."""
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _refresh_again_and_again(self) -> None:
        while not is_cancelled():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._woken.wait()
            self._woken.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._refresh()
            except Exception as error:  # noqa: BLE001  # whatever it was, the next try must come
                self._observer.not_refreshed(error)

    async def _listen_again_and_again(self) -> None:
        while not is_cancelled():
            try:
                await self._listen(self._wake)
            except Exception as error:  # noqa: BLE001  # whatever it was, the next try must come
                wait = self._uniform(0.0, min(_CAP, _BASE * 2.0 ** min(self._failures, 20)))
                self._failures += 1
                self._observer.not_listening(error, wait=wait)
                await asyncio.sleep(wait)
            else:
                return

    def _wake(self) -> None:
        self._failures = 0
        self._woken.set()
