"""Every backend with an outbox, opened on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.handled import HANDLED_EVENTS
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases, PostgresServer
from prismicx.testing.examples import EXAMPLE_MAPPINGS

MAPPINGS = (*EXAMPLE_MAPPINGS, HANDLED_EVENTS)


def postgres_with_outbox(database: PostgresDatabase, *, relay: bool = False) -> SqlAlchemyBackend:
    """Return a backend on this database, not yet started, that delivers by the system role's login or the owner's."""
    client, admin, system = (
        DatabaseClient.from_dsn(dsn, min_pool_size=1, max_pool_size=4)
        for dsn in (database.dsn, database.admin_dsn, database.system_dsn)
    )
    logins: dict[str, Any] = {"relay" if relay else "system": system}
    return SqlAlchemyBackend(client, MAPPINGS, admin=admin, outbox=True, **logins)


async def initialised_with_outbox(database: PostgresDatabase) -> None:
    """Prepare an empty database whose system login delivers."""
    await postgres_with_outbox(database, relay=True).initialise_database()


@asynccontextmanager
async def opened_postgres(server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    """Yield a running backend on a fresh database."""
    databases = PostgresDatabases(server)
    try:
        database = await databases("outbox", initialised_with_outbox)
        async with postgres_with_outbox(database, relay=True) as backend:
            yield backend
    finally:
        await databases.drop()


@asynccontextmanager
async def opened_mongo(server: MongoServer, name: str = "outbox") -> AsyncIterator[BeanieBackend]:
    """Yield a running backend on a fresh database."""
    async with AsyncMongoClient[dict[str, Any]](server.uri) as driver:
        async with BeanieBackend(MongoDBClient(server.uri, name), MAPPINGS, outbox=True) as backend:
            await backend.initialise_database()
            yield backend
        await driver.drop_database(name)


@asynccontextmanager
async def opened_memory() -> AsyncIterator[MemoryBackend]:
    """Yield a running memory backend."""
    async with MemoryBackend(MAPPINGS, outbox=True) as backend:
        yield backend
