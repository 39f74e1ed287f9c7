"""The server that all contenders share: prismicx's own tables and policies, filled, and a role that they bind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from benchmarks.units.customers import LARGE, MAPPINGS, Amounts, customer

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.embedded import EmbeddedPostgres

DATABASE = "benchmark"
ROLE = "benchmark_app"
COLUMNS = ("tenant_id", "id", "version", "email", "name", "status", "score", "created_at")


@asynccontextmanager
async def filled_database(amounts: Amounts) -> AsyncIterator[str]:
    """Run a server with the customers of all tenants, and give the address for the application's role."""
    with EmbeddedPostgres() as server:
        owner = await asyncpg.connect(server.dsn())
        await owner.execute(f"CREATE DATABASE {DATABASE}")
        await owner.close()
        dsn = server.dsn(DATABASE, ROLE)
        admin = DatabaseClient.from_dsn(server.dsn(DATABASE))
        await SqlAlchemyBackend(DatabaseClient.from_dsn(dsn), MAPPINGS, admin=admin).initialise_database()
        filling = await asyncpg.connect(server.dsn(DATABASE))
        for tenant, rows in [*((name, amounts.rows) for name in amounts.names), (LARGE, amounts.large)]:
            records = [
                (tenant.value, each.id, 1, each.email, each.name, each.status, each.score, each.created_at)
                for each in (customer(tenant, number) for number in range(rows))
            ]
            await filling.copy_records_to_table("customers", records=records, columns=COLUMNS)
        await filling.execute("VACUUM ANALYZE")
        await filling.close()
        yield dsn
