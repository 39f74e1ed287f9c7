"""A unit of work on a pool of one connection, interrupted wherever it awaits: the connection comes back clean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on, make_places

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork, raw_sql
from prismicx.adapters.sqlalchemy.pool import Connection, ConnectionPool, Leftover
from prismicx.domain.ports import UnitOfWork
from prismicx.testing.contracts.interruption import cancel_everywhere, long_program, overdue_everywhere
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Widget, Widgets
from prismicx.testing.interruption import Moment

STOPS = 12
"""At how many places each program waits at least, so that nobody interrupts nothing."""


@pytest.fixture
async def lonely(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend that has one connection for all its tenants."""
    async with backend_on(database, connections=1) as backend:
        await make_places(backend)
        yield backend


async def program(uow: UnitOfWork, kept: Widget, new: Widget) -> None:
    """Do what units do, with a savepoint and statements of a session besides."""
    assert isinstance(uow, SqlAlchemyUnitOfWork)
    await long_program(uow, kept, new)
    async with uow.savepoint():
        uow.repository(Widgets).add(Widget(name="inside"))
    await uow.session.execute(raw_sql("SELECT count(*) FROM widgets"))
    async with uow.session.begin_nested():
        await uow.session.execute(raw_sql("SET LOCAL work_mem = '1MB'"))


async def require_clean(backend: SqlAlchemyBackend) -> None:
    """Return if the only connection is back, without tenant, transaction or setting."""
    pool = backend._client.pool
    assert (pool.size, pool.idle, pool.waiting) == (1, 1, 0)
    connection = await pool.acquire()
    try:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_setting('app.current_tenant_id', true)") in (None, "")
        assert await connection.fetchval("SHOW statement_timeout") == "0"
        assert await connection.fetchval("SHOW work_mem") != "1MB"
    finally:
        pool.give_back(connection, Leftover.NOTHING)


async def test_cancelled_at_every_await_it_gives_its_connection_back_clean(lonely: SqlAlchemyBackend) -> None:
    for moment in Moment:
        stops = await cancel_everywhere(lonely, ACME, GLOBEX, moment, program=program)

        assert stops >= STOPS
        await require_clean(lonely)


async def test_out_of_time_at_every_await_it_gives_its_connection_back_clean(lonely: SqlAlchemyBackend) -> None:
    for moment in (Moment.WAITING, Moment.ARRIVED):
        stops = await overdue_everywhere(lonely, ACME, GLOBEX, moment, program=program)

        assert stops >= STOPS
        await require_clean(lonely)


async def test_cancelled_at_every_await_of_connecting_it_leaves_the_place_free(lonely: SqlAlchemyBackend) -> None:
    def lose_the_connection() -> None:
        for connection in lonely._client.pool._idle:
            connection.terminate()

    for moment in Moment:
        stops = await cancel_everywhere(lonely, ACME, GLOBEX, moment, before_each=lose_the_connection)

        assert stops >= STOPS
        await require_clean(lonely)


# --- The twin: a rollback that is not shielded. ---


async def test_a_rollback_that_is_not_shielded(lonely: SqlAlchemyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    async def rolled_back_in_the_open(
        self: ConnectionPool, connection: Connection, leftover: Leftover
    ) -> None:  # what a plain `await` in a `finally` comes to
        await connection.execute("ROLLBACK")
        self._hand_on(connection)

    def give_back(self: ConnectionPool, connection: Connection, leftover: Leftover) -> asyncio.Future[None] | None:
        if connection.is_closed() or (leftover is Leftover.NOTHING and not connection.is_in_transaction()):
            self._hand_on(connection)
            return None
        return asyncio.ensure_future(rolled_back_in_the_open(self, connection, leftover))

    async def not_shielded(awaited: asyncio.Future[None]) -> None:
        await awaited

    monkeypatch.setattr(ConnectionPool, "give_back", give_back)
    monkeypatch.setattr("prismicx.adapters.sqlalchemy.transaction.asyncio.shield", not_shielded)

    with pytest.raises((AssertionError, TimeoutError)):
        async with asyncio.timeout(2):
            await cancel_everywhere(lonely, ACME, GLOBEX, Moment.TWICE, program=program)
    for connection in lonely._client.pool._lent.copy():
        connection.terminate()
        lonely._client.pool._hand_on(connection)
