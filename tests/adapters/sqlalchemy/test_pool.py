"""The pool: fair, safe against cancellation, and clean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from prismicx.adapters.sqlalchemy.clearing import CLEAR_AND_LOOK
from prismicx.adapters.sqlalchemy.pool import ConnectionPool, Leftover
from prismicx.domain.errors import BackendNotStartedError, DatabaseUnavailableError, PrismicxError


class Line:
    """What a pool sees of a driver's connection, without a server behind it."""

    def __init__(self) -> None:
        self.closed = False
        self.in_transaction = False
        self.statements: list[str] = []
        self.failure: BaseException | None = None
        self.answer: asyncio.Event | None = None
        self.status = "SELECT 0"

    async def execute(self, query: str, *args: object) -> str:
        self.statements.append(query)
        if self.answer is not None:
            await self.answer.wait()
        if self.failure is not None:
            raise self.failure
        self.in_transaction = False
        return self.status

    async def reset(self) -> None:
        await self.execute("RESET ALL")

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    def terminate(self) -> None:
        self.closed = True


class Server:
    """Makes lines, or fails to, as often as it is asked."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.refusals: list[BaseException] = []
        self.gate: asyncio.Event | None = None

    async def connect(self) -> Line:
        if self.gate is not None:
            await self.gate.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        self.lines.append(Line())
        return self.lines[-1]


Make = Callable[..., ConnectionPool]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def make(server: Server) -> Make:
    def pool(min_size: int = 1, max_size: int = 1, wait_limit: float = 30) -> ConnectionPool:
        return ConnectionPool(
            server.connect,  # type: ignore[arg-type]  # a line has what the pool uses
            min_size=min_size,
            max_size=max_size,
            address="test",
            wait_limit=wait_limit,
        )

    return pool


async def asked(pool: ConnectionPool, count: int) -> list[asyncio.Task[Any]]:
    """Return tasks that wait for a connection, in order."""
    tasks: list[asyncio.Task[Any]] = []
    for _ in range(count):
        tasks.append(asyncio.create_task(pool.acquire()))
        await asyncio.sleep(0)  # it runs up to its first wait
    assert pool.waiting == count
    return tasks


async def test_who_waits_longest_is_served_first(make: Make) -> None:
    pool = make()
    await pool.open()
    lent = await pool.acquire()
    order: list[int] = []

    async def work(number: int) -> None:
        connection = await pool.acquire()
        order.append(number)
        pool.give_back(connection, Leftover.NOTHING)

    tasks = []
    for number in range(10):
        tasks.append(asyncio.create_task(work(number)))
        await asyncio.sleep(0)
    pool.give_back(lent, Leftover.NOTHING)
    await asyncio.gather(*tasks)

    assert order == list(range(10))


async def test_a_newcomer_does_not_overtake(make: Make) -> None:
    pool = make()
    lent = await pool.acquire()
    first, second = await asked(pool, 2)
    pool.give_back(lent, Leftover.NOTHING)
    newcomer = asyncio.create_task(pool.acquire())

    assert await first is lent
    assert not newcomer.done()
    pool.give_back(lent, Leftover.NOTHING)
    assert await second is lent
    pool.give_back(lent, Leftover.NOTHING)
    assert await newcomer is lent


async def test_a_waiter_that_is_cancelled_is_passed_over(make: Make) -> None:
    pool = make()
    lent = await pool.acquire()
    first, second = await asked(pool, 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    pool.give_back(lent, Leftover.NOTHING)

    assert await second is lent


async def test_a_waiter_that_is_cancelled_while_it_is_served_passes_the_connection_on(make: Make) -> None:
    pool = make()
    lent = await pool.acquire()
    first, second = await asked(pool, 2)
    pool.give_back(lent, Leftover.NOTHING)
    first.cancel()

    assert await second is lent
    assert first.cancelled()
    pool.give_back(lent, Leftover.NOTHING)
    assert (pool.size, pool.idle) == (1, 1)


async def test_a_waiter_that_is_cancelled_with_a_free_place_in_hand_passes_it_on(make: Make, server: Server) -> None:
    pool = make()
    lent = await pool.acquire()
    first, second = await asked(pool, 2)
    lent.terminate()
    pool.give_back(lent, Leftover.NOTHING)
    first.cancel()

    assert await second is server.lines[1]
    assert pool.size == 1


async def test_a_broken_connection_is_replaced(make: Make, server: Server) -> None:
    pool = make()
    await pool.open()
    server.lines[0].closed = True
    replacement: Any = await pool.acquire()

    assert replacement is server.lines[1]
    assert pool.size == 1


async def test_a_connection_that_cannot_be_made_leaves_its_place_to_the_next(make: Make, server: Server) -> None:
    pool = make()
    lent = await pool.acquire()
    first, second = await asked(pool, 2)
    server.refusals.append(DatabaseUnavailableError("test", "it is down"))
    lent.terminate()
    pool.give_back(lent, Leftover.NOTHING)

    with pytest.raises(DatabaseUnavailableError):
        await first
    assert await second is server.lines[1]


async def test_nothing_is_asked_of_a_connection_with_nothing_left_over(make: Make, server: Server) -> None:
    pool = make()
    cleaner = pool.give_back(await pool.acquire(), Leftover.NOTHING)

    assert cleaner is None
    assert server.lines[0].statements == []


@pytest.mark.parametrize("leftover", [Leftover.NOTHING, Leftover.TRANSACTION])
async def test_a_connection_in_a_transaction_is_rolled_back_first(
    make: Make, server: Server, leftover: Leftover
) -> None:
    pool = make()
    lent = await pool.acquire()
    server.lines[0].in_transaction = True
    cleaner = pool.give_back(lent, leftover)
    assert cleaner
    await cleaner

    assert server.lines[0].statements == ["ROLLBACK"]
    assert pool.idle == 1


async def test_what_a_session_left_is_cleared_away(make: Make, server: Server) -> None:
    pool = make()
    cleaner = pool.give_back(await pool.acquire(), Leftover.SESSION)
    assert cleaner
    await cleaner

    assert server.lines[0].statements == [CLEAR_AND_LOOK.after_rollback]
    assert pool.idle == 1


async def test_what_the_drivers_user_left_is_cleared_away_in_the_driver_too(make: Make, server: Server) -> None:
    pool = make()
    cleaner = pool.give_back(await pool.acquire(), Leftover.ANYTHING)
    assert cleaner
    await cleaner

    assert server.lines[0].statements == ["RESET ALL", CLEAR_AND_LOOK.after_rollback]
    assert pool.idle == 1


async def test_a_connection_with_a_statement_that_sql_prepared_is_closed(make: Make, server: Server) -> None:
    pool = make()
    lent = await pool.acquire()
    server.lines[0].status = "SELECT 1"
    cleaner = pool.give_back(lent, Leftover.SESSION)
    assert cleaner
    await cleaner

    assert lent.is_closed()
    assert pool.idle == 0


async def test_a_connection_that_cannot_be_cleaned_is_closed(make: Make, server: Server) -> None:
    pool = make()
    lent = await pool.acquire()
    server.lines[0].failure = asyncpg.InterfaceError("connection is closed")
    cleaner = pool.give_back(lent, Leftover.TRANSACTION)
    assert cleaner
    await cleaner

    assert server.lines[0].closed
    assert pool.size == 0


async def test_a_cleaner_that_is_cancelled_closes_the_connection(make: Make, server: Server) -> None:
    pool = make()
    lent = await pool.acquire()
    server.lines[0].answer = asyncio.Event()
    cleaner = pool.give_back(lent, Leftover.TRANSACTION)
    assert cleaner
    await asyncio.sleep(0)
    cleaner.cancel()
    await asyncio.gather(cleaner, return_exceptions=True)

    assert server.lines[0].closed
    assert pool.size == 0


async def test_waiting_has_an_end(make: Make) -> None:
    pool = make(wait_limit=0.01)
    await pool.acquire()

    with pytest.raises(DatabaseUnavailableError, match="all 1 connections were in use"):
        await pool.acquire()


async def test_a_pool_that_cannot_open_leaves_nothing_open(make: Make, server: Server) -> None:
    pool = make(min_size=3, max_size=3)
    server.gate = asyncio.Event()
    opening = asyncio.create_task(pool.open())
    server.gate.set()
    server.refusals = []
    await opening
    assert pool.idle == 3

    failing = make(min_size=1)
    server.refusals.append(DatabaseUnavailableError("test", "it is down"))
    with pytest.raises(DatabaseUnavailableError):
        await failing.open()
    assert failing.size == 0


async def test_closing_turns_everybody_away(make: Make, server: Server) -> None:
    pool = make()
    await pool.acquire()
    waiter, gone = await asked(pool, 2)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await pool.close(grace=0)

    with pytest.raises(BackendNotStartedError):
        await waiter
    with pytest.raises(BackendNotStartedError):
        await pool.acquire()
    assert server.lines[0].closed


async def test_closing_waits_for_who_comes_back_in_time(make: Make, server: Server) -> None:
    pool = make(max_size=2)
    lent = await pool.acquire()
    closing = asyncio.create_task(pool.close(grace=30))
    await asyncio.sleep(0)
    assert not closing.done()
    pool.give_back(lent, Leftover.NOTHING)
    await closing

    assert server.lines[0].closed
    assert pool.size == 0


async def test_a_connection_made_while_the_pool_closes_is_closed(make: Make, server: Server) -> None:
    pool = make()
    server.gate = asyncio.Event()
    asking = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    await pool.close(grace=0)
    server.gate.set()

    with pytest.raises(PrismicxError):
        await asking
    assert server.lines[0].closed
    assert pool.size == 0
