"""Rows of one tenant, counted: what a deletion is about to remove, and has removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.tenancy import literal, qualified, quoted

_PREFIX: Final = "postgresql:"


async def tables_in(connection: Connection, schema: str) -> Mapping[str, str]:
    """Return the tables of a schema: by full name, as statements have them."""
    found = await connection.fetch(_TABLES, schema)
    return {f"{_PREFIX}{schema}.{name}": qualified(schema, name) for (name,) in found}


async def rows_of(connection: Connection, tables: Mapping[str, str]) -> Mapping[str, int]:
    """Return how many rows each of these tables has, as far as the transaction's tenant sees them."""
    if not tables:
        return {}
    queries = [f"SELECT {literal(full)}, count(*) FROM {name}" for full, name in tables.items()]  # noqa: S608 -- quoted names
    return dict(await connection.fetch(" UNION ALL ".join(queries)))


def of_tenant(placed: PlacedTable) -> str:
    """Return a shared table and the condition on the tenant, its only parameter, as they stand behind FROM."""
    assert placed.tenant is not None, "only the registry's tables have no tenant"
    return f"{qualified(placed.schema(None), placed.table.name)} WHERE {quoted(placed.tenant.name)} = $1"


def full_name(placed: PlacedTable) -> str:
    """Return the name of a shared table in a receipt."""
    return f"{_PREFIX}{placed.schema(None)}.{placed.table.name}"


async def outbox_in(connection: Connection) -> Mapping[str, str]:
    """Return the outbox by its full name, as `of_tenant` returns a shared table; nothing where there is none."""
    found = await connection.fetchval("SELECT to_regclass('prismicx.outbox') IS NOT NULL")
    return {f"{_PREFIX}prismicx.outbox": "prismicx.outbox WHERE tenant_id = $1"} if found else {}


_TABLES: Final = """
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""
