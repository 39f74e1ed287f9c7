"""Two tenants in a sound database, one of PostgreSQL 18 and one of 15, in which each test plants what it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.audit.sound import AuditedPostgres, sound_postgres

from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.testing.databases import PostgresServer


@pytest.fixture(scope="module")
async def sound(prismicx_postgres_server: PostgresServer) -> AsyncIterator[AuditedPostgres]:
    async with sound_postgres(prismicx_postgres_server) as audited:
        yield audited


@pytest.fixture(scope="module")
async def sound15(prismicx_postgres15_server: PostgresServer) -> AsyncIterator[AuditedPostgres]:
    async with sound_postgres(prismicx_postgres15_server) as audited:
        yield audited


@pytest.fixture(scope="module")
async def _session(sound: AuditedPostgres) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(sound.database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def _session15(sound15: AuditedPostgres) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(sound15.database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def superuser(_session: Connection) -> AsyncIterator[Connection]:
    """The superuser's connection; whatever is done with it is undone."""
    await _session.execute("BEGIN")
    yield _session
    await _session.execute("ROLLBACK")


@pytest.fixture
async def superuser15(_session15: Connection) -> AsyncIterator[Connection]:
    """The same on PostgreSQL 15."""
    await _session15.execute("BEGIN")
    yield _session15
    await _session15.execute("ROLLBACK")
