"""What the tests of the proof of tenant share: a database that asks for it, and SQL that tries to get past it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, make_places

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyUnitOfWork, TenantProof
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import SchemaMigration
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Gadget, Gadgets, Gizmo, Gizmos, Widget, Widgets

KEY, OLD_KEY = "a-key-for-tests-1234567890123456", "o" * 70
CANARY = "canary"
NOTES = SchemaMigration(
    version_to=Version("1.0.0"),
    script=f"""
        CREATE TABLE ${{schema}}.notes (id int PRIMARY KEY, body text NOT NULL);
        CREATE TABLE ${{schema}}.items (tenant_id text NOT NULL, id int, body text, PRIMARY KEY (tenant_id, id));
        DO $$ BEGIN IF strpos('${{schema}}', 'globex') > 0 THEN
            INSERT INTO ${{schema}}.notes VALUES (1, '{CANARY}');
            INSERT INTO ${{schema}}.items VALUES ('globex', 1, '{CANARY}');
        END IF; END $$;
    """,
)
DESK = PluginType("desk")
TABLES = (
    "widgets",
    "tenant_globex_crm.gadgets",
    "tenant_globex_db.gizmos",
    "tenant_globex_desk.notes",
    "tenant_globex_desk.items",
)
"""Where the other tenant's canaries are."""


def backend_with(database: PostgresDatabase, *keys: str, connections: int = 1) -> SqlAlchemyBackend:
    """Return a backend that proves its tenants with these keys; with none it proves nothing."""
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=connections)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    proof = TenantProof(*keys) if keys else None
    return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, tenant_proof=proof)


async def fill(backend: SqlAlchemyBackend) -> None:
    """Make the places of both tenants, a plugin's tables, and in each table of the other tenant a canary."""
    await make_places(backend)
    for tenant in (ACME, GLOBEX):
        await backend.plugin_schemas.migrate(tenant, DESK, "desk", [NOTES], fence=0)
    async with backend.unit_of_work(GLOBEX) as uow:
        uow.repository(Widgets).add(Widget(code=CANARY))
        uow.repository(Gadgets).add(Gadget(code=CANARY))
        uow.repository(Gizmos).add(Gizmo(code=CANARY))
        await uow.commit()


async def canaries(backend: SqlAlchemyBackend, tenant: TenantId = GLOBEX) -> int:
    """Return how many of the tables show their canary to a tenant."""
    async with connected(backend, tenant) as connection:
        return sum([CANARY in str(await connection.fetch(f"SELECT * FROM {table}")) for table in TABLES])


@asynccontextmanager
async def connected(backend: SqlAlchemyBackend, tenant: TenantId = ACME) -> AsyncIterator[Connection]:
    """Lend the application's own connection, inside a unit of work of a tenant, past every guard of the adapter."""
    unit = backend.unit_of_work(tenant)
    assert isinstance(unit, SqlAlchemyUnitOfWork)
    async with unit:
        yield unit.transaction.connection


async def seen(connection: Connection, *statements: str) -> tuple[Sequence[Any], str]:
    """Return every row that the statements show, one after the other up to the first that fails, and its SQLSTATE."""
    rows: list[Any] = []
    for statement in statements:
        try:
            rows += await connection.fetch(statement)
        except asyncpg.PostgresError as error:
            return [*rows, str(error), str(vars(error))], str(getattr(error, "sqlstate", ""))
    return rows, ""
