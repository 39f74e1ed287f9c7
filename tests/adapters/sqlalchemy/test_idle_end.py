"""A connection that the server ends while it is idle: asyncpg has read why, and the socket is still open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import select
from tests.adapters.sqlalchemy.conftest import ACME, make_places
from tests.adapters.sqlalchemy.wire import Wire

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.domain.errors import CommitOutcomeUnknownError, ConnectionLostError, UnitOfWorkClosedError
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets


class Ending:
    """A backend with one connection, and the wire that the server's last words come over."""

    def __init__(self, backend: SqlAlchemyBackend, wire: Wire) -> None:
        self.backend = backend
        self.client = backend._client
        self.wire = wire

    async def end(self, connection: Any) -> None:
        """Return once the driver has read that the server ends the connection."""
        heard = asyncio.Event()
        connection.add_log_listener(lambda *_: heard.set())
        self.wire.say_goodbye()
        async with asyncio.timeout(10):
            await heard.wait()
        assert not connection.is_closed()

    async def end_unit(self, uow: SqlAlchemyUnitOfWork) -> None:
        """The same for the connection of a unit of work."""
        await self.end(uow.transaction.connection)

    def unit(self) -> SqlAlchemyUnitOfWork:
        """Return a unit of work, not yet entered."""
        return cast("SqlAlchemyUnitOfWork", self.backend.unit_of_work(ACME))  # the port's method tells less

    async def require_recovery(self) -> None:
        """Check that the next unit of work has a sound connection, and finds nothing of the one before."""
        async with self.unit() as uow:
            assert await uow.repository(Widgets).count() == 0
        assert (self.client.pool.size, self.client.pool.idle) == (1, 1)


@pytest.fixture
async def ending(database: PostgresDatabase) -> AsyncIterator[Ending]:
    parts = urlsplit(database.dsn)
    assert parts.hostname
    assert parts.port
    async with Wire(parts.hostname, parts.port) as wire:
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"
        client = DatabaseClient.from_dsn(urlunsplit(parts._replace(netloc=netloc)), min_pool_size=1, max_pool_size=1)
        admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
        async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin) as backend:
            await make_places(backend)
            yield Ending(backend, wire)


async def count(uow: SqlAlchemyUnitOfWork) -> None:
    await uow.repository(Widgets).count()


async def stream(uow: SqlAlchemyUnitOfWork) -> None:
    async with aclosing(uow.repository(Widgets).stream()) as widgets:  # type: ignore[type-var]  # a generator at run time
        await anext(widgets)


async def write(uow: SqlAlchemyUnitOfWork) -> None:
    uow.repository(Widgets).add(Widget())
    await uow.flush()


async def open_savepoint(uow: SqlAlchemyUnitOfWork) -> None:
    async with uow.savepoint():
        pytest.fail("the block was entered")


async def select_as_the_team(uow: SqlAlchemyUnitOfWork) -> None:
    await uow.select(select(uow.tables[Widget].table))


@pytest.mark.parametrize("use", [count, stream, write, open_savepoint, select_as_the_team])
async def test_the_next_statement_finds_its_connection_lost(
    ending: Ending, use: Callable[[SqlAlchemyUnitOfWork], Awaitable[None]]
) -> None:
    async with ending.unit() as uow:
        await write(uow)
        await ending.end_unit(uow)
        with pytest.raises(ConnectionLostError):
            await use(uow)

    await ending.require_recovery()


async def test_a_commit_that_was_not_sent_is_known_to_be_not_done(ending: Ending) -> None:
    async with ending.unit() as uow:
        await write(uow)
        await ending.end_unit(uow)
        with pytest.raises(ConnectionLostError):
            await uow.commit()

    await ending.require_recovery()


async def test_so_is_one_over_a_connection_that_has_closed_before(ending: Ending) -> None:
    async with ending.unit() as uow:
        await write(uow)
        uow.transaction.connection.terminate()
        with pytest.raises(ConnectionLostError):
            await uow.commit()

    await ending.require_recovery()


async def test_one_that_was_sent_is_unknown(ending: Ending) -> None:
    async with ending.unit() as uow:
        await write(uow)
        ending.wire.cut_before = b"COMMIT"
        with pytest.raises(CommitOutcomeUnknownError):
            await uow.commit()
    ending.wire.cut_before = None

    await ending.require_recovery()


async def test_a_savepoint_that_is_open_dooms_its_unit(ending: Ending) -> None:
    async with ending.unit() as uow:
        with pytest.raises(ConnectionLostError):  # noqa: PT012 -- the block is what is tested
            async with uow.savepoint():
                await ending.end_unit(uow)
                await count(uow)
        with pytest.raises(UnitOfWorkClosedError):
            await uow.commit()

    await ending.require_recovery()


async def test_a_unit_that_is_left_without_commit_ends_quietly(ending: Ending) -> None:
    async with ending.unit() as uow:
        await write(uow)
        await ending.end_unit(uow)

    await ending.require_recovery()


async def test_a_unit_with_a_session_ends_quietly_too(ending: Ending) -> None:
    async with ending.unit() as uow:
        await select_as_the_team(uow)
        await ending.end_unit(uow)

    await ending.require_recovery()


async def test_a_session_finds_it_lost_and_its_unit_cannot_commit(ending: Ending) -> None:
    async with ending.unit() as uow:
        await select_as_the_team(uow)
        await ending.end_unit(uow)
        with pytest.raises(ConnectionLostError):
            await uow.session.execute(select(uow.tables[Widget].table))
        with pytest.raises(ConnectionLostError):
            await uow.commit()

    await ending.require_recovery()


async def test_a_lent_connection_is_lost_too(ending: Ending) -> None:
    with pytest.raises(ConnectionLostError):  # noqa: PT012 -- the block is what is tested
        async with ending.client.connection() as connection:
            await ending.end(connection)
            await connection.execute("SELECT")

    await ending.require_recovery()


async def test_a_lent_connection_that_is_given_back_unused_is_thrown_away(ending: Ending) -> None:
    async with ending.client.connection() as connection:
        await ending.end(connection)

    await ending.require_recovery()
    assert connection.is_closed()


async def test_one_that_ends_in_the_pool_fails_the_next_unit_only(ending: Ending) -> None:
    async with ending.client.connection() as connection:
        pass
    await ending.require_recovery()
    await ending.end(connection)
    with pytest.raises(ConnectionLostError):
        async with ending.unit():
            pytest.fail("the unit was begun")

    await ending.require_recovery()
