"""The walls that PostgreSQL keeps: the framework's schema and function, the application's role, policies and rights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Index, MetaData, Table
from sqlalchemy.schema import CreateIndex, CreateTable

from prismicx.adapters.sqlalchemy.fences import FENCE_STATEMENTS
from prismicx.adapters.sqlalchemy.mapping import REGISTRY_SCHEMA, PlacedTable, Tables
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.proof_check import PLAIN_TENANT, PROVEN_TENANT, proof_statements
from prismicx.adapters.sqlalchemy.registry_feed import TABLES as CHANGES_TABLES
from prismicx.domain.errors import DatabaseError, MappingError, UnsafeRoleError
from prismicx.domain.placement import Reference, Shared

POLICY: Final = "prismicx_tenant"
_OWNERS_TABLES: Final = ("prismicx.fences", "prismicx.tenant_changes")
_SETUP_LOCK: Final = 7_707_060_001
_SET_TENANT: Final = """\
CREATE OR REPLACE FUNCTION prismicx.set_tenant(tenant text) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE pg_catalog.format('SET LOCAL app.current_tenant_id = %L', tenant);
END
$body$"""


def current_tenant(*, proven: bool) -> str:
    """Return the expression by which policies know the tenant."""
    return PROVEN_TENANT if proven else PLAIN_TENANT


def setup_statements(
    tables: Tables, *, database: str, application_role: str, dialect: Any, proven: bool
) -> Sequence[str]:
    """Return the SQL that prepares a database, in order; each statement is safe to run again.

    The owner of the database runs it, in one transaction. It holds no password and no key.
    """
    role, here = quoted(application_role), quoted(database)
    statements = [
        f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})",
        f"CREATE SCHEMA IF NOT EXISTS {REGISTRY_SCHEMA}",
        _SET_TENANT,
        role_statement(application_role),
        f"GRANT USAGE ON SCHEMA {REGISTRY_SCHEMA} TO PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"REVOKE TEMPORARY ON DATABASE {here} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {here} TO {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
    ]
    statements += proof_statements(role) if proven else ()
    statements += FENCE_STATEMENTS
    statements += CHANGES_TABLES
    statements += table_statements(tables.placed_as(Reference()), dialect=dialect)
    shared = tables.placed_as(Shared())
    statements += table_statements(shared, dialect=dialect)
    statements.append(nothing_granted([*_OWNERS_TABLES, *map(_name, tables.placed_as(Reference()))], application_role))
    statements.append(nothing_granted(map(_name, shared), application_role))
    for placed in shared:
        assert placed.tenant is not None, "only the registry's tables have no tenant"
        name = _name(placed)
        statements += protecting_statements(name, f"{quoted(placed.tenant.name)} = {current_tenant(proven=proven)}")
        statements.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {role}")
    return statements


def nothing_granted(tables: Iterable[str], role: str) -> str:
    """Return the statement that takes everything back that default privileges may have given a role on these tables.

    TRUNCATE above all, which asks no policy. What everybody was given goes too; an owner keeps its rights.
    """
    taken = f"REVOKE ALL ON {', '.join(tables)} FROM PUBLIC, {quoted(role)}"
    return f"DO $body$ BEGIN IF current_user <> {literal(role)} THEN {taken}; END IF; END $body$"


def table_statements(tables: Sequence[PlacedTable], *, dialect: Any, schema: str | None = None) -> Iterator[str]:
    """Yield the statements that make missing tables and indexes, in their own schema or in this one."""
    metadata = MetaData()
    copies = [placed.table.to_metadata(metadata, schema=schema or placed.schema(None)) for placed in tables]
    for table in copies:
        yield _sql(CreateTable(table, if_not_exists=True), dialect)
        for index in _indexes(table):
            yield _sql(CreateIndex(index, if_not_exists=True), dialect)


def protecting_statements(table: str, condition: str) -> Iterator[str]:
    """Yield the statements that put a table (its quoted name) behind row-level security, for its owner too."""
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    yield f"DROP POLICY IF EXISTS {POLICY} ON {table}"
    yield f"CREATE POLICY {POLICY} ON {table} USING ({condition}) WITH CHECK ({condition})"


async def require_safe_role(connection: Connection) -> None:
    """Return if the role of the connection cannot walk around row-level security.

    Raises:
        UnsafeRoleError: it is a superuser, passes by policies, makes roles, replicates, or owns tables, itself or as a
            member.
        DatabaseError: the database has not been prepared.
    """
    if await connection.fetchval("SELECT to_regprocedure('prismicx.set_tenant(text)')") is None:
        raise DatabaseError("42883", "the database has not been prepared for prismicx: run `prismicx db init`")
    role, superuser, bypasses, makes_roles, replicates, powers, owned = await connection.fetchrow(_ROLE_AUDIT)
    reasons = []
    if superuser:
        reasons.append("it is a superuser")
    if bypasses:
        reasons.append("it has BYPASSRLS")
    if makes_roles:
        reasons.append("it has CREATEROLE, so it could make itself a member of any role")
    if replicates:
        reasons.append("it has REPLICATION, so it could read every change of every tenant")
    if powers and not superuser:
        reasons.append(f"it is a member of {', '.join(powers)}")
    if owned and not superuser:
        reasons.append(f"it owns {', '.join(owned)}, itself or as a member")
    if reasons:
        raise UnsafeRoleError(role, reasons)


async def require_tables(connection: Connection, tables: Sequence[PlacedTable]) -> None:
    """Return if every shared table is there, with its columns and behind row-level security.

    Raises:
        MappingError: with everything that is missing.
    """
    problems = await table_problems(connection, [(placed.schema(None), placed) for placed in tables])
    if problems:
        raise MappingError([f"{problem} (`prismicx db init` makes what is missing)" for problem in problems])


async def table_problems(connection: Connection, tables: Sequence[tuple[str, PlacedTable]]) -> list[str]:
    """Return what the application's role, which asks, finds missing of these tables, each in the schema before it."""
    schemas, names = [schema for schema, _ in tables], [placed.table.name for _, placed in tables]
    rows = await connection.fetch(_TABLE_AUDIT, schemas, names, POLICY)
    return [
        problem for (schema, placed), row in zip(tables, rows, strict=True) for problem in _flaws(schema, placed, row)
    ]


def _flaws(schema: str, placed: PlacedTable, row: Sequence[Any]) -> list[str]:
    name = f"{schema}.{placed.table.name}"
    exists, columns, protected, policies, proven, permitted = row
    if not exists:
        return [f"there is no table {name}"]
    problems = [f"{name} has no column {column.name}" for column in placed.table.columns if column.name not in columns]
    if not protected:
        problems.append(f"{name} is not behind row-level security, enabled and forced")
    if not policies:
        problems.append(f"{name} has no policy {POLICY}")
    elif not proven:
        problems.append(f"policy {POLICY} of {name} does not rest on the proof of tenant, which the database asks for")
    if not permitted:
        problems.append(f"the application's role may not read and write {name}")
    return problems


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """Return a quoted name in a quoted schema."""
    return f"{quoted(schema)}.{quoted(name)}"


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _name(placed: PlacedTable) -> str:
    return qualified(placed.schema(None), placed.table.name)


def role_statement(role: str) -> str:
    """Return the statement that makes a login that can do nothing yet, where there is none of this name."""
    return (
        f"DO $body$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role)}) THEN "
        f"CREATE ROLE {quoted(role)} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION; "
        "END IF; END $body$"
    )


def _indexes(table: Table) -> Sequence[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _sql(element: Any, dialect: Any) -> str:
    return " ".join(str(element.compile(dialect=dialect)).split())


_ROLE_AUDIT: Final = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication,
    ARRAY(SELECT p.rolname::text FROM pg_catalog.pg_roles p
          WHERE p.oid <> r.oid AND (p.rolsuper OR p.rolbypassrls OR p.rolcreaterole OR p.rolreplication)
          AND pg_has_role(r.oid, p.oid, 'MEMBER') ORDER BY 1),
    ARRAY(SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
          WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND pg_has_role(r.oid, c.relowner, 'MEMBER')
          ORDER BY 1 LIMIT 5)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"""

_TABLE_AUDIT: Final = """
SELECT c.oid IS NOT NULL,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    c.relrowsecurity AND c.relforcerowsecurity,
    (SELECT count(*) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = $3),
    to_regprocedure('prismicx.current_tenant()') IS NULL OR EXISTS (
        SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = $3
        AND strpos(pg_get_expr(p.polqual, c.oid), 'current_tenant()') > 0),
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
    AND has_table_privilege(c.oid, 'DELETE')
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(schema, name, place)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind IN ('r', 'p')
ORDER BY wanted.place"""
