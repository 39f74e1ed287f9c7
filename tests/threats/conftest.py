"""Real servers, one database for each module, with two tenants in it whose rows each test stores anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from pymongo import AsyncMongoClient, MongoClient
from tests.threats.service import ACME, GLOBEX, MAPPINGS, TABLES, Bare, Item, Items, Note, Notes, tenant_record

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.databases import (
    APPLICATION_ROLE,
    MongoServer,
    PostgresDatabase,
    PostgresDatabases,
    PostgresServer,
)


def backend_on(database: PostgresDatabase, *, connections: int = 2) -> SqlAlchemyBackend:
    """Return the service's backend on a database."""
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=connections)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    return SqlAlchemyBackend(client, MAPPINGS, admin=admin, tables=TABLES)


async def prepare(database: PostgresDatabase) -> None:
    """Make what `prismicx db init` makes, the places of two tenants, and the schema of those who do without."""
    backend = backend_on(database)
    await backend.initialise_database()
    async with backend:
        await make_places(backend)
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(f"CREATE SCHEMA bare; GRANT USAGE ON SCHEMA bare TO {APPLICATION_ROLE}")
    await connection.close()


async def make_places(backend: SqlAlchemyBackend | BeanieBackend) -> None:
    """Make the places of both tenants."""
    for step in backend.steps():
        for tenant in (ACME, GLOBEX):
            await step.ensure(tenant_record(tenant))


@pytest.fixture(scope="module")
async def database(prismicx_postgres_server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    databases = PostgresDatabases(prismicx_postgres_server)
    yield await databases("empty-threats", None)
    await databases.drop()


@pytest.fixture(scope="module")
async def opened(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    await prepare(database)
    async with backend_on(database) as backend:
        yield backend


@pytest.fixture(scope="module")
async def superuser(opened: SqlAlchemyBackend, database: PostgresDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection that passes by every wall: it sees what is really there."""
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def bare(superuser: asyncpg.Connection) -> Bare:
    return Bare(superuser)


@pytest.fixture
async def postgres(opened: SqlAlchemyBackend, superuser: asyncpg.Connection) -> SqlAlchemyBackend:
    """The running backend; each tenant has an item and a note with its name in it, and nothing else."""
    await superuser.execute("TRUNCATE public.items, public.notes")
    await store(opened)
    return opened


async def store(backend: Backend) -> dict[TenantId, Item]:
    """Store an item and a note for each tenant."""
    stored = {}
    for tenant, amount in ((ACME, 1), (GLOBEX, 7)):
        async with backend.unit_of_work(tenant) as uow:
            item = stored[tenant] = Item(name=f"{tenant}'s", amount=amount)
            uow.repository(Items).add(item)
            await uow.flush()
            uow.repository(Notes).add(Note(text=f"{tenant}'s", item_id=item.id))
            await uow.commit()
    return stored


@pytest.fixture
async def open_database(postgres: SqlAlchemyBackend, superuser: asyncpg.Connection) -> AsyncIterator[SqlAlchemyBackend]:
    """The backend on a database whose policies are off: what holds now is the session."""
    for name in ("items", "notes"):
        await superuser.execute(f"ALTER TABLE public.{name} DISABLE ROW LEVEL SECURITY")
    yield postgres
    for name in ("items", "notes"):
        await superuser.execute(f"ALTER TABLE public.{name} ENABLE ROW LEVEL SECURITY")


@pytest.fixture(scope="module")
async def mongo_backend(prismicx_mongo_server: MongoServer) -> AsyncIterator[tuple[BeanieBackend, str]]:
    async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
        before = set(await driver.list_database_names())
        name = f"threats_{prismicx_mongo_server.run}"
        async with BeanieBackend(MongoDBClient(prismicx_mongo_server.uri, name), MAPPINGS) as backend:
            await backend.initialise_database()
            await make_places(backend)
            yield backend, name
        for made in set(await driver.list_database_names()) - before:
            await driver.drop_database(made)


@pytest.fixture
async def mongo(mongo_backend: tuple[BeanieBackend, str], raw: Any) -> BeanieBackend:
    """The running backend; each tenant has an item and a note with its name in it, and nothing else."""
    raw.items.delete_many({})
    raw.notes.delete_many({})
    await store(mongo_backend[0])
    return mongo_backend[0]


@pytest.fixture
def raw(prismicx_mongo_server: MongoServer, mongo_backend: tuple[BeanieBackend, str]) -> Iterator[Any]:
    """The shared database as the driver has it, which knows no tenant; `bare` is the collection of a team without."""
    with MongoClient[dict[str, Any]](prismicx_mongo_server.uri, uuidRepresentation="standard", tz_aware=True) as client:
        stored = client[mongo_backend[1]]
        stored.bare.drop()
        stored.bare.insert_many(
            [{"_id": 1, "tenant_id": "acme", "name": "acme's"}, {"_id": 2, "tenant_id": "globex", "name": "globex's"}]
        )
        yield stored
