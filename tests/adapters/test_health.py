"""One look at each backend: never an exception, and the truth about what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import MongoDatabases, MongoServer, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME = TenantId("acme")


def backend_on(database: PostgresDatabase, dsn: str | None = None) -> SqlAlchemyBackend:
    client = DatabaseClient.from_dsn(dsn or database.dsn, min_pool_size=1, max_pool_size=3)
    return SqlAlchemyBackend(
        client, EXAMPLE_MAPPINGS, admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    )


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database()


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A port that takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_postgresql_that_is_well(database: PostgresDatabase) -> None:
    backend = backend_on(database)
    await backend.initialise_database()
    before = await backend.health()
    async with backend, backend.unit_of_work(ACME):
        during = await backend.health()

    assert before.is_good
    assert before.pool is None
    assert during.is_good
    assert (during.reachable, during.role_safe, during.prepared, during.transactions) == (True, True, True, True)
    assert during.latency is not None
    assert 0 < during.latency < 5
    assert during.pool is not None
    assert (during.pool.in_use, during.pool.limit, during.pool.waiting) == (1, 3, 0)
    assert during.problems == ()


async def test_postgresql_that_is_not_prepared(database: PostgresDatabase) -> None:
    found = await backend_on(database).health()

    assert found.reachable
    assert found.prepared is False
    assert not found.is_good
    assert "prismicx db init" in found.problems[0]


async def test_postgresql_with_a_role_that_walks_through_walls(database: PostgresDatabase) -> None:
    await backend_on(database).initialise_database()
    found = await backend_on(database, database.superuser_dsn).health()

    assert found.role_safe is False
    assert not found.is_good
    assert "superuser" in found.problems[0]


async def test_postgresql_that_is_not_there_or_says_nothing(database: PostgresDatabase, silent_port: int) -> None:
    refused = await backend_on(database, "postgresql://ada:secret@127.0.0.1:1/shop").health()
    silent = await backend_on(database, f"postgresql://ada:secret@127.0.0.1:{silent_port}/shop").health(patience=0.1)

    for found in (refused, silent):
        assert not found.reachable
        assert not found.is_good
        assert found.latency is found.role_safe is found.prepared is None
        assert "secret" not in str(found)
    assert silent.problems == ("no answer within 0.1 s",)


async def test_postgresql_that_ends_the_connection_is_looked_at_with_another(database: PostgresDatabase) -> None:
    backend = backend_on(database)
    await backend.initialise_database()
    async with backend:
        administrator = await asyncpg.connect(database.superuser_dsn)
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
        await administrator.execute(ended, database.name)
        await administrator.close()
        found = [await backend.health() for _ in range(2)]

    assert found[1].is_good


async def test_mongodb_that_is_well(prismicx_mongo_database: MongoDatabases) -> None:
    database = prismicx_mongo_database()
    backend = BeanieBackend(MongoDBClient(database.uri, database.name), EXAMPLE_MAPPINGS)
    unprepared = await backend.health()
    await backend.initialise_database()
    async with backend:
        found = await backend.health()

    assert unprepared.reachable
    assert unprepared.prepared is False
    assert "prismicx db init" in unprepared.problems[0]
    assert found.is_good
    assert (found.prepared, found.transactions, found.role_safe, found.pool) == (True, True, None, None)
    assert found.latency is not None


async def test_mongodb_without_transactions(prismicx_mongo_standalone_server: MongoServer) -> None:
    client = MongoDBClient(prismicx_mongo_standalone_server.uri, "health")
    found = await BeanieBackend(client, ()).health()

    assert found.reachable
    assert found.transactions is False
    assert not found.is_good


async def test_mongodb_that_is_not_there_or_says_nothing(silent_port: int) -> None:
    for port in (1, silent_port):
        client = MongoDBClient(f"mongodb://ada:secret@127.0.0.1:{port}/", "shop", server_selection_seconds=0.2)
        found = await BeanieBackend(client, ()).health(patience=1)
        assert not found.reachable
        assert "secret" not in str(found)


async def test_mongodb_that_is_too_slow(prismicx_mongo_database: MongoDatabases, silent_port: int) -> None:
    client = MongoDBClient(f"mongodb://127.0.0.1:{silent_port}/", "shop", server_selection_seconds=30)
    found = await BeanieBackend(client, ()).health(patience=0.1)

    assert found.problems == ("no answer within 0.1 s",)


async def test_mongodb_that_fails_when_it_is_asked(
    prismicx_mongo_database: MongoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = prismicx_mongo_database()
    client = MongoDBClient(database.uri, database.name)
    async with BeanieBackend(client, ()) as backend:
        point = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
        failing = {"failCommands": ["listCollections"], "errorCode": 8000}
        await client.client.admin.command({**point, "data": failing})
        found = await backend.health()

    assert not found.reachable


async def test_memory_is_well_from_its_start_on() -> None:
    backend = MemoryBackend(EXAMPLE_MAPPINGS)
    before = await backend.health()
    async with backend:
        found = await backend.health()

    assert not before.reachable
    assert found.is_good
