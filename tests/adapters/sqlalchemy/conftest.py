"""A prepared PostgreSQL database for each test, with the places of two tenants in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, example_tenant

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


def login(dsn: str) -> tuple[str, str]:
    """Return the user and the password of an address."""
    parts = urlsplit(dsn)
    assert parts.username
    return parts.username, parts.password or ""


async def prepare(database: PostgresDatabase) -> None:
    """Fill the template: what `prismicx db init` makes."""
    await backend_on(database).initialise_database()


def backend_on(database: PostgresDatabase, *, connections: int = 3) -> SqlAlchemyBackend:
    """Return a backend on a database, with few connections."""
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=connections)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin)


async def make_places(backend: SqlAlchemyBackend) -> None:
    """Make the places of both tenants."""
    for tenant in (ACME, GLOBEX):
        for step in backend.steps():
            await step.ensure(example_tenant(tenant))


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    """A prepared database without tenants."""
    return await prismicx_postgres_database("sqlalchemy", prepare)


@pytest.fixture
async def backend(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A running backend with the places of both tenants."""
    backend = backend_on(database)
    await backend.start()
    await make_places(backend)
    yield backend
    await backend.close()


@pytest.fixture
async def backend15(prismicx_postgres15_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    """The same on PostgreSQL 15."""
    backend = backend_on(await prismicx_postgres15_database("sqlalchemy", prepare))
    await backend.start()
    await make_places(backend)
    yield backend
    await backend.close()


@pytest.fixture
async def lonely(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend that has one connection for all its tenants."""
    async with backend_on(database, connections=1) as backend:
        await make_places(backend)
        yield backend
