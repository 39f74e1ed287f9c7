"""A fair pool of connections: whoever has waited longest gets the next one.

It asks nothing of a connection that was given back with nothing left over: no ping before, no reset after.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Final, Protocol

import asyncpg

from prismicx.adapters.sqlalchemy.clearing import CLEAR_ALL, CLEAR_AND_LOOK
from prismicx.domain.errors import BackendNotStartedError, DatabaseUnavailableError

_CLEANING_SECONDS: Final = 5.0

DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that asyncpg raises over a connection. Internal errors are among them: the end of an idle connection is one."""


class Connection(Protocol):
    """What is used of an asyncpg connection, which has no types of its own."""

    adapted: Any

    async def execute(self, query: str, *args: Any) -> str: ...
    async def fetch(self, query: str, *args: Any) -> Sequence[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    def cursor(self, query: str, *args: Any) -> Any: ...
    def get_server_pid(self) -> int: ...
    def get_server_version(self) -> Any: ...
    def is_closed(self) -> bool: ...
    def is_in_transaction(self) -> bool: ...
    async def reset(self) -> None: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


class Leftover(Enum):
    """What its user may have left on a connection that is given back."""

    NOTHING = auto()
    TRANSACTION = auto()
    SESSION = auto()
    """Settings, temporary tables, locks: whatever SQL can leave behind, and perhaps a transaction."""
    ANYTHING = auto()
    """The same, and what can be left in the driver: listeners."""


class ConnectionPool:
    """Between `min_size` and `max_size` connections of one address, lent in the order of asking.

    Args:
        connect: makes a connection, or raises a `PrismicxError`.
        min_size: connections made by `open`, at least one.
        max_size: connections at most.
        address: what errors call the database.
        wait_limit: seconds that `acquire` waits while all connections are lent.
        pooled: whether a transaction pooler stands before the server, so that clearing up takes one message.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        min_size: int,
        max_size: int,
        address: str,
        wait_limit: float,
        pooled: bool = False,
    ) -> None:
        self._connect = connect
        self._min_size = min_size
        self._max_size = max_size
        self._address = address
        self._wait_limit = wait_limit
        self._pooled = pooled
        self._size = 0
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._cleaning: set[asyncio.Task[None]] = set()
        self._closing = False
        self._came_back = asyncio.Event()

    @property
    def size(self) -> int:
        """How many connections are open or being opened."""
        return self._size

    @property
    def limit(self) -> int:
        """How many connections it opens at most."""
        return self._max_size

    @property
    def idle(self) -> int:
        """How many connections are lent to nobody."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many tasks wait for a connection."""
        return sum(not waiter.done() for waiter in self._waiting)

    async def open(self) -> None:
        """Make the first connections.

        Raises:
            DatabaseUnavailableError: one could not be made; none is left open.
        """
        try:
            while self._size < self._min_size:
                self._size += 1
                connection = await self._fill_place()
                self._lent.discard(connection)
                self._idle.append(connection)
        except BaseException:
            await self.close(grace=0)
            raise

    async def acquire(self) -> Connection:
        """Borrow a connection, after everybody who asked before.

        Raises:
            BackendNotStartedError: the pool is closed, or closes while this task waits.
            DatabaseUnavailableError: none could be made, or none came back in time.
        """
        if self._closing:
            raise BackendNotStartedError(self._address)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                self._lent.add(connection)
                return connection
            self._size -= 1
        if self._size < self._max_size:
            self._size += 1
            return await self._fill_place()
        return await self._wait()

    def give_back(self, connection: Connection, leftover: Leftover) -> asyncio.Task[None] | None:
        """Take a connection back and hand it to the first who waits.

        What was left over is cleared away first, in a task of its own, which goes on where its caller is cancelled;
        it is returned for whoever wants to await it (shielded). A connection that cannot be cleaned is closed.
        """
        if connection.is_closed() or (leftover is Leftover.NOTHING and not connection.is_in_transaction()):
            self._hand_on(connection)
            return None
        cleaner = asyncio.create_task(self._clean(connection, leftover))
        self._cleaning.add(cleaner)
        cleaner.add_done_callback(self._cleaning.discard)
        return cleaner

    async def close(self, *, grace: float = 10.0) -> None:
        """Close every connection; lent ones get `grace` seconds to come back, then they are cut off."""
        self._closing = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(BackendNotStartedError(self._address))
        self._waiting.clear()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    while self._lent:
                        self._came_back.clear()
                        await self._came_back.wait()
        finally:
            for connection in self._lent:
                connection.terminate()
            for connection in self._idle:
                connection.terminate()
            self._size -= len(self._idle)
            self._idle.clear()

    async def _wait(self) -> Connection:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiting.append(waiter)
        alarm = loop.call_later(self._wait_limit, _end_wait, waiter)
        try:
            handed = await waiter
        except BaseException as error:
            # It may have been handed something in the very moment it stopped waiting.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            if isinstance(error, TimeoutError):
                advice = f"all {self._max_size} connections were in use for {self._wait_limit:g} s: raise max_pool_size"
                raise DatabaseUnavailableError(self._address, advice) from error
            raise
        finally:
            alarm.cancel()
        return await self._fill_place() if handed is None else handed

    async def _fill_place(self) -> Connection:
        """Make a connection for a place that has been counted already."""
        try:
            connection = await self._connect()
        except BaseException:
            self._vacate()
            raise
        if self._closing:
            connection.terminate()
            self._vacate()
            raise BackendNotStartedError(self._address)
        self._lent.add(connection)
        return connection

    async def _clean(self, connection: Connection, leftover: Leftover) -> None:
        try:
            async with asyncio.timeout(_CLEANING_SECONDS):
                if leftover in (Leftover.NOTHING, Leftover.TRANSACTION):
                    await connection.execute("ROLLBACK")
                    return
                if leftover is Leftover.ANYTHING and not self._pooled:
                    await connection.reset()
                clearing = CLEAR_ALL if self._pooled else CLEAR_AND_LOOK
                if not clearing.is_done(await connection.execute(clearing.after_rollback)):
                    connection.terminate()
        except DRIVER_ERRORS:
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise
        finally:
            self._hand_on(connection)

    def _hand_on(self, connection: Connection) -> None:
        self._lent.discard(connection)
        self._came_back.set()
        if connection.is_closed():
            self._vacate()
        else:
            self._pass_on(connection)

    def _pass_on(self, handed: Connection | None) -> None:
        if handed is None:
            self._vacate()
            return
        self._lent.discard(handed)
        if self._closing:
            handed.terminate()
            self._vacate()
            return
        waiter = self._first_waiting()
        if waiter is None:
            self._idle.append(handed)
        else:
            self._lent.add(handed)
            waiter.set_result(handed)

    def _vacate(self) -> None:
        """Give up a place, or leave it to the first who waits."""
        waiter = self._first_waiting()
        if waiter is None:
            self._size -= 1
        else:
            waiter.set_result(None)

    def _first_waiting(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None


def _end_wait(waiter: asyncio.Future[Connection | None]) -> None:
    # Not `asyncio.timeout`, which cancels the task and takes it back: many units wait, and none of them for long.
    if not waiter.done():
        waiter.set_exception(TimeoutError())
