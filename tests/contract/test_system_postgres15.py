"""Work over all tenants, on PostgreSQL 15."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_postgres

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.testing.contracts import SystemScopeContract
from prismicx.testing.databases import PostgresServer


@pytest.fixture(scope="module")
async def backend(prismicx_postgres15_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres15_server) as backend:
        yield backend


class TestPostgres15(SystemScopeContract):
    """PostgreSQL 15 opens the door to a login of its own."""
