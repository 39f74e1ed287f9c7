"""The probe: as the application's role and in a tenant's name, find out by trying that the walls stand.

Everything is tried in transactions that are rolled back. A handful of statements does it, whatever the number of
tables.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.tenancy import POLICY, qualified, quoted, table_problems
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.domain.identifiers import TenantId

PlacedIn = tuple[str, PlacedTable]
"""A table, and before it the schema in which it is this tenant's."""


async def probe_problems(client: DatabaseClient, tenant: TenantId, tables: Sequence[PlacedIn]) -> list[str]:
    """Return what is missing or open, as a unit of work of this tenant would find it.

    Every table is there and the tenant reads it. The policy lets in a row of this tenant and refuses another's, tried
    with rows that hold the tenant and nothing else: policies are asked before constraints. It shows the same rows that
    it lets in, for both conditions read the same, and no further policy opens more. Under the name of a tenant that
    nobody has, nothing is shown and no row of this tenant is let in.
    """
    stranger = TenantId.new()
    async with in_the_name_of(client, tenant) as transaction:
        with Translation(transaction.connection, {}):
            problems = await table_problems(transaction.connection, tables)
        if problems:
            return problems
        problems, ordinary = await _policy_problems(transaction, tables)
        problems += await _tried(transaction, tables, ordinary, {tenant: True, stranger: False}, hidden=False)
    async with in_the_name_of(client, stranger) as transaction:
        return problems + await _tried(transaction, tables, ordinary, {tenant: False}, hidden=True)


@asynccontextmanager
async def in_the_name_of(client: DatabaseClient, tenant: TenantId) -> AsyncIterator[Transaction]:
    """Open a transaction of the tenant's, which is rolled back at the end."""
    async with client.opened():
        transaction = Transaction(client, tenant, read_only=False, keys={})
        await transaction.begin()
        try:
            yield transaction
        finally:
            await transaction.rollback()


async def _policy_problems(transaction: Transaction, tables: Sequence[PlacedIn]) -> tuple[list[str], list[bool]]:
    """Return the tables whose policies show more than they let in, and which tables are no partitioned ones."""
    names = [qualified(schema, placed.table.name) for schema, placed in tables]
    rows = await transaction.fetch(_POLICIES, [names, POLICY])
    open_ = [(place, policy) for place, _, policy in rows if policy is not None]
    problems = [f"{_label(tables[place])} shows more by policy {policy} than it lets in" for place, policy in open_]
    ordinary = {place: is_ordinary for place, is_ordinary, _ in rows}
    return problems, [ordinary[place] for place in range(len(tables))]


async def _tried(
    transaction: Transaction,
    tables: Sequence[PlacedIn],
    ordinary: Sequence[bool],
    rows: Mapping[TenantId, bool],
    *,
    hidden: bool,
) -> list[str]:
    """Return what went otherwise than expected.

    Args:
        ordinary: of which tables a row can be tried; a partitioned one looks for the partition first.
        rows: whether a row of this tenant is let in.
        hidden: whether no row at all may be shown.
    """
    asked = {
        "hidden": hidden,
        "rows": [{"tenant": tenant.value, "passes": passes} for tenant, passes in rows.items()],
        "tables": [_asked_of(each, takes_rows=takes_rows) for each, takes_rows in zip(tables, ordinary, strict=True)],
    }
    await transaction.fetch("SELECT set_config('prismicx.probe', $1, true)", [json.dumps(asked)])
    await transaction.execute(_PROBE)
    found = await transaction.fetch("SELECT current_setting('prismicx.probe')", [])
    problems: list[str] = json.loads(found[0][0])
    return problems


def _asked_of(table: PlacedIn, *, takes_rows: bool) -> dict[str, Any]:
    schema, placed = table
    assert placed.tenant is not None, "only the registry's tables have no tenant"
    named = {"table": qualified(schema, placed.table.name), "column": quoted(placed.tenant.name)}
    return {**named, "label": _label(table), "takes_rows": takes_rows}


def _label(table: PlacedIn) -> str:
    schema, placed = table
    return f"{schema}.{placed.table.name}"


# Every permissive policy that concerns the role that asks and shows other rows than the tenant's policy lets in.
_POLICIES: Final = """
SELECT wanted.place::int - 1, c.relkind = 'r', p.polname::text
FROM unnest($1::text[]) WITH ORDINALITY AS wanted(name, place)
JOIN pg_catalog.pg_class c ON c.oid = wanted.name::regclass
JOIN pg_catalog.pg_policy own ON own.polrelid = c.oid AND own.polname = $2
LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid AND p.polpermissive AND p.polqual IS NOT NULL
    AND pg_get_expr(p.polqual, c.oid) IS DISTINCT FROM pg_get_expr(own.polwithcheck, c.oid)
    AND EXISTS (SELECT FROM unnest(p.polroles) AS role(oid)
                WHERE CASE WHEN role.oid = 0 THEN true ELSE pg_has_role(role.oid, 'MEMBER') END)"""

_PROBE: Final = """\
DO $body$
DECLARE
    asked jsonb := current_setting('prismicx.probe');
    probed jsonb;
    tried jsonb;
    has_rows boolean;
    passed boolean;
    problems jsonb := '[]';
BEGIN
    FOR probed IN SELECT jsonb_array_elements(asked->'tables') LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', probed->>'table') INTO has_rows;
        IF has_rows AND (asked->>'hidden')::boolean THEN
            problems := problems || to_jsonb((probed->>'label') || ' shows rows to a tenant that nobody is');
        END IF;
        CONTINUE WHEN NOT (probed->>'takes_rows')::boolean;
        FOR tried IN SELECT jsonb_array_elements(asked->'rows') LOOP
            BEGIN
                EXECUTE format('INSERT INTO %s (%s) VALUES (%L)',
                    probed->>'table', probed->>'column', tried->>'tenant');
                passed := true;
            EXCEPTION
                WHEN insufficient_privilege THEN passed := false;
                WHEN integrity_constraint_violation THEN passed := true;
            END;
            IF passed <> (tried->>'passes')::boolean THEN
                problems := problems || to_jsonb((probed->>'label') || CASE WHEN passed
                    THEN ' takes a row of another tenant' ELSE ' refuses the tenant''s own row' END);
            END IF;
        END LOOP;
    END LOOP;
    PERFORM set_config('prismicx.probe', problems::text, true);
END
$body$"""
