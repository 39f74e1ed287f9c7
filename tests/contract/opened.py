"""Every backend, opened on a database of its own and wired as the contracts ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.identifiers import TenantId
from prismicx.testing.contracts.tenants import MakePlace
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases, PostgresServer
from prismicx.testing.examples import EXAMPLE_MAPPINGS, AdmissionByName, deliver, example_tenant

DOORS: dict[str, Any] = {"admission": AdmissionByName(), "on_commit": deliver}


@asynccontextmanager
async def opened_memory() -> AsyncIterator[MemoryBackend]:
    """Yield a running memory backend."""
    async with MemoryBackend(EXAMPLE_MAPPINGS, **DOORS) as backend:
        yield backend


@asynccontextmanager
async def opened_postgres(server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    """Yield a running backend on a fresh database of this server."""
    databases = PostgresDatabases(server)
    try:
        database = await databases("contracts", initialised_by_contracts)
        async with postgres_backend(database) as backend:
            yield backend
    finally:
        await databases.drop()


def postgres_backend(
    database: PostgresDatabase, kind: type[SqlAlchemyBackend] = SqlAlchemyBackend
) -> SqlAlchemyBackend:
    """Return a backend on this database, not yet started."""
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=4)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=4)
    system = DatabaseClient.from_dsn(database.system_dsn, min_pool_size=1, max_pool_size=4)
    return kind(client, EXAMPLE_MAPPINGS, admin=admin, system=system, **DOORS)


async def initialised_by_contracts(database: PostgresDatabase) -> None:
    """Prepare an empty database for the examples."""
    await postgres_backend(database).initialise_database()


@asynccontextmanager
async def opened_mongo(server: MongoServer, name: str) -> AsyncIterator[BeanieBackend]:
    """Yield a running backend on a fresh database of this server; every database that it makes is dropped."""
    async with AsyncMongoClient[dict[str, Any]](server.uri) as driver:
        before = set(await driver.list_database_names())
        client, system = MongoDBClient(server.uri, name), MongoDBClient(server.uri, name)
        backend = BeanieBackend(client, EXAMPLE_MAPPINGS, system=system, **DOORS)
        async with backend:
            await backend.initialise_database()
            yield backend
        for made in set(await driver.list_database_names()) - before:
            await driver.drop_database(made)


def place_maker(backend: SqlAlchemyBackend | BeanieBackend) -> MakePlace:
    """Return what makes the place of a tenant on this backend."""

    async def make_place(tenant: TenantId) -> None:
        for step in backend.steps():
            await step.ensure(example_tenant(tenant))

    return make_place
