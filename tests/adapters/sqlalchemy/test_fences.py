"""Fencing numbers on PostgreSQL: the overtaken worker waits, and is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import backend_on
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy.fences import require_fence
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.errors import LeaseLostError
from prismicx.testing.databases import PostgresDatabase

SUBJECT = "tenant/acme"


@asynccontextmanager
async def owner(database: PostgresDatabase) -> AsyncIterator[Connection]:
    """Yield a connection of the owner's in a transaction, which is committed at the end."""
    connection: Connection = await asyncpg.connect(database.admin_dsn)
    try:
        await connection.execute("BEGIN")
        yield connection
        await connection.execute("COMMIT")
    finally:
        await connection.close()


async def test_a_number_passes_again_and_so_does_a_greater_one(database: PostgresDatabase) -> None:
    for fence in (0, 1, 1, 3, 3):
        async with owner(database) as connection:
            await require_fence(connection, SUBJECT, fence)

    for outdated in (2, 0):
        async with owner(database) as connection:
            with pytest.raises(LeaseLostError) as refused:
                await require_fence(connection, SUBJECT, outdated)
            assert (refused.value.subject, refused.value.fence) == (SUBJECT, outdated)
    async with owner(database) as connection:
        await require_fence(connection, "tenant/globex", 1)


async def test_a_zombie_waits_for_its_successor_and_is_refused(database: PostgresDatabase) -> None:
    async with owner(database) as successor, owner(database) as zombie:
        await require_fence(successor, SUBJECT, 2)
        waiting = asyncio.create_task(require_fence(zombie, SUBJECT, 1))
        await until_blocked(database, zombie)

        await successor.execute("COMMIT; BEGIN")

        with pytest.raises(LeaseLostError):
            await waiting


async def test_a_successor_waits_until_the_zombie_has_committed(database: PostgresDatabase) -> None:
    async with owner(database) as zombie, owner(database) as successor:
        await require_fence(zombie, SUBJECT, 1)
        waiting = asyncio.create_task(require_fence(successor, SUBJECT, 2))
        await until_blocked(database, successor)

        await zombie.execute("COMMIT; BEGIN")

        await waiting


async def test_a_transaction_that_is_rolled_back_was_never_there(database: PostgresDatabase) -> None:
    async with owner(database) as connection:
        await require_fence(connection, SUBJECT, 7)
        await connection.execute("ROLLBACK; BEGIN")

        await require_fence(connection, SUBJECT, 1)


async def test_the_application_has_no_right_on_the_fences(database: PostgresDatabase) -> None:
    application: Connection = await asyncpg.connect(database.dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await require_fence(application, SUBJECT, 9)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.fetch("SELECT * FROM prismicx.fences")
    finally:
        await application.close()


async def test_preparing_the_database_again_keeps_the_fences(database: PostgresDatabase) -> None:
    async with owner(database) as connection:
        await require_fence(connection, SUBJECT, 5)

    await backend_on(database).initialise_database()

    async with owner(database) as connection:
        with pytest.raises(LeaseLostError):
            await require_fence(connection, SUBJECT, 4)


async def until_blocked(database: PostgresDatabase, connection: Connection) -> None:
    """Return once the server has seen that this connection waits for another."""
    async with superuser(database) as observer:
        while not await observer.fetchval("SELECT cardinality(pg_blocking_pids($1))", connection.get_server_pid()):
            pass


async def until_waiting(database: PostgresDatabase, holder: Connection) -> None:
    """Return once the server has seen that somebody waits for this connection."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
    async with superuser(database) as observer:
        while not await observer.fetchval(waiting, holder.get_server_pid()):
            pass
