"""A PostgreSQL server that goes away, is slow or full: the right error, and work again without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.faults.history import TENANTS
from tests.faults.line import Line
from tests.faults.postgres import PostgresWorld, prepare, through

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, raw_sql
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.errors import (
    ConnectionLostError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    PrismicxError,
)
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.embedded import EmbeddedPostgres
from prismicx.testing.databases import PostgresDatabases, PostgresServer
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME, GLOBEX = TENANTS


@pytest.fixture
async def world(postgres: PostgresWorld) -> AsyncIterator[PostgresWorld]:
    yield postgres
    await postgres.recover()
    await postgres.stored()


async def add(uow: UnitOfWork) -> None:
    uow.repository(Widgets).add(Widget())


async def sleep(uow: UnitOfWork) -> None:
    assert isinstance(uow, SqlAlchemyUnitOfWork)
    await uow.session.execute(raw_sql("SELECT pg_sleep(30)"))


async def count(backend: SqlAlchemyBackend) -> int:
    async with backend.unit_of_work(ACME) as uow:
        return await uow.repository(Widgets).count()


async def test_a_connection_that_is_terminated_between_units_is_not_noticed(world: PostgresWorld) -> None:
    await world.backend.run(ACME, add)
    await world.terminate()
    # Its commit may have been on its way: the key lets it be asked for.
    await world.backend.run(ACME, add, idempotency_key="second")

    assert await count(world.backend) == 2


async def test_a_connection_that_is_terminated_in_a_unit_is_lost_and_nothing_is_written(world: PostgresWorld) -> None:
    async with world.backend.unit_of_work(ACME) as uow:
        await add(uow)
        await uow.flush()
        await world.terminate()
        with pytest.raises(ConnectionLostError):
            await uow.repository(Widgets).count()

    await world.backend.run(ACME, add)
    assert await count(world.backend) == 1


async def test_a_unit_that_is_run_survives_a_failover(world: PostgresWorld) -> None:
    tries = 0

    async def work(uow: UnitOfWork) -> None:
        nonlocal tries
        tries += 1
        await add(uow)
        await uow.flush()
        if tries == 1:
            await world.terminate()
            await uow.repository(Widgets).count()

    await world.backend.run(ACME, work)

    assert tries == 2
    assert await count(world.backend) == 1


async def test_a_server_that_crashes_is_waited_for_by_a_unit_that_is_run(world: PostgresWorld) -> None:
    await world.backend.run(ACME, add)
    await world.crash()
    # Refused at first, or told 57P03 for as long as it recovers.
    await world.backend.run(ACME, add, idempotency_key="third", retry=Retry(tries=60, base=0.05, cap=0.2))

    assert await count(world.backend) == 2


async def test_a_server_that_refuses_connections_is_unavailable_until_it_takes_them(world: PostgresWorld) -> None:
    world.line.close_the_door()
    for _ in range(2):
        with pytest.raises((DatabaseUnavailableError, ConnectionLostError)):
            await world.backend.run(ACME, add, retry=Retry(tries=1))
    world.line.heal()
    await world.backend.run(ACME, add)

    assert await count(world.backend) == 1


async def test_a_pool_without_a_free_connection_says_how_long_it_waited(world: PostgresWorld) -> None:
    client = DatabaseClient.from_dsn(world.database.dsn, min_pool_size=1, max_pool_size=1, acquire_timeout=0.05)
    async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin_of(world)) as backend:
        async with backend.unit_of_work(ACME):
            with pytest.raises(DatabaseUnavailableError, match=r"all 1 connections were in use for 0\.05 s"):
                await asyncio.create_task(backend.run(GLOBEX, add, retry=Retry(tries=1)))

        await backend.run(ACME, add)
        assert await count(backend) == 1


async def test_a_slow_server_is_told_to_stop_and_the_connection_is_used_again(world: PostgresWorld) -> None:
    client = DatabaseClient.from_dsn(world.database.dsn, min_pool_size=1, max_pool_size=1)
    async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin_of(world)) as backend:
        with pytest.raises(DeadlineExceededError):
            await backend.run(ACME, sleep, deadline=0.1)

        await backend.run(ACME, add)
        assert await count(backend) == 1
    async with world.administrator() as connection:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
        assert await connection.fetchval(f"{sleeping} AND pid <> pg_backend_pid()") == 0


async def test_a_server_that_takes_a_connection_and_says_nothing_is_not_waited_for_without_end(
    world: PostgresWorld,
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    client = DatabaseClient("127.0.0.1", port, "ada", "secret", "shop", 1, connect_timeout=0.05)
    with pytest.raises(DatabaseUnavailableError):
        await client.initialize()
    silent.close()


async def test_a_server_that_is_restarted_elsewhere_is_found_again_and_has_everything() -> None:
    with TemporaryDirectory(prefix="prismicx-restart-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "data"
        place.mkdir(mode=0o777)
        place.chmod(0o777)
        first = EmbeddedPostgres(place / "cluster")
        with first:
            database = await PostgresDatabases(PostgresServer(first.dsn(), "restart"))("restart", prepare)
            async with Line("127.0.0.1", first.port) as line:
                client = DatabaseClient.from_dsn(through(line, database.dsn), min_pool_size=1, max_pool_size=2)
                admin = DatabaseClient.from_dsn(through(line, database.admin_dsn), min_pool_size=1)
                async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin) as backend:
                    await backend.run(ACME, add)
                    first.__exit__()
                    with pytest.raises(PrismicxError):
                        await backend.run(ACME, add, retry=Retry(tries=2, base=0.001, cap=0.001))
                    with EmbeddedPostgres(place / "cluster") as second:
                        line.lead_to("127.0.0.1", second.port)
                        await backend.run(ACME, add)

                        assert await count(backend) == 2


def admin_of(world: PostgresWorld) -> DatabaseClient:
    return DatabaseClient.from_dsn(world.database.admin_dsn, min_pool_size=1)
