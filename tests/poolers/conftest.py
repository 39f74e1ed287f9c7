"""PgBouncer in transaction mode before the run's PostgreSQL; without the program the tests are skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.poolers.bouncer import PgBouncer, bouncing, program

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases, PostgresServer
from prismicx.testing.examples import EXAMPLE_MAPPINGS


@pytest.fixture(scope="session")
def pgbouncer_program() -> str:
    found = program()
    if found is None:
        pytest.skip("PgBouncer is not installed (Debian's package pgbouncer)")
    return found


@pytest.fixture(scope="session")
def pgbouncer(pgbouncer_program: str, prismicx_postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """One for the run, as strict as PgBouncer is without further settings."""
    with bouncing(prismicx_postgres_server, pgbouncer_program) as running:
        yield running


@pytest.fixture
def lenient_pgbouncer(pgbouncer_program: str, prismicx_postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """One that lets in clients that do not know of it."""
    with bouncing(prismicx_postgres_server, pgbouncer_program, lenient=True) as running:
        yield running


async def prepare(database: PostgresDatabase) -> None:
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    await SqlAlchemyBackend(DatabaseClient.from_dsn(database.dsn), EXAMPLE_MAPPINGS, admin=admin).initialise_database()


@pytest.fixture
async def database(pgbouncer_program: str, prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("poolers", prepare)


@pytest.fixture
async def backend(pgbouncer: PgBouncer, database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend through the pooler, with the owner's connections past it."""
    client = DatabaseClient.from_dsn(
        pgbouncer.before(database.dsn), min_pool_size=1, max_pool_size=4, pooler="transaction"
    )
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin) as backend:
        yield backend
