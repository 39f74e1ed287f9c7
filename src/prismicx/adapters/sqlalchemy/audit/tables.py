"""Tables: row-level security, the tenant's column, and tables that nobody expects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue, Place, Relation, TenantColumn
from prismicx.adapters.sqlalchemy.audit.conditions import conjuncts
from prismicx.adapters.sqlalchemy.mapping import constraint_name
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole


async def table_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what is wrong with tables themselves."""
    have_policies = {row[0] for row in await catalogue.connection.fetch(_WITH_POLICIES)}
    checks = await catalogue.connection.fetch(_CHECK_CONDITIONS)
    have_checks = {oid for oid, condition in checks if _refuses_empty(condition, catalogue.scope.tenant_column)}
    for relation in catalogue.relations:
        if relation.has_tenants:
            for finding in _wall(catalogue, relation, has_policy=relation.oid in have_policies):
                yield finding
        if relation.has_tenants and relation.place is Place.SHARED and relation.tenant is not None:
            for finding in _column(relation, relation.tenant, has_check=relation.oid in have_checks):
                yield finding
            if not relation.tenant.exact:
                yield await _inexact(catalogue, relation, relation.tenant)
        for finding in _stranger(catalogue, relation):
            yield finding


def _wall(catalogue: Catalogue, table: Relation, *, has_policy: bool) -> Iterator[Finding]:
    force = f"ALTER TABLE {table.sql} FORCE ROW LEVEL SECURITY"
    if not table.secured:
        hole = Hole.CHILD_RLS_OFF if table.is_child else Hole.RLS_OFF
        enable = f"ALTER TABLE {table.sql} ENABLE ROW LEVEL SECURITY"
        yield Finding(hole, table.label, (enable, force) if has_policy else catalogue.protection(table))
    elif not table.forced:
        yield Finding(Hole.RLS_NOT_FORCED, table.label, (force,))


def _column(table: Relation, tenant: TenantColumn, *, has_check: bool) -> Iterator[Finding]:
    alter, name = f"ALTER TABLE {table.sql}", f"{table.label}.{tenant.name}"
    if not tenant.not_null:
        yield Finding(Hole.TENANT_NULLABLE, name, (f"{alter} ALTER COLUMN {tenant.quoted} SET NOT NULL",))
    if tenant.is_text and tenant.exact and not has_check:
        yield Finding(Hole.TENANT_EMPTY_ALLOWED, name, (f"{alter} ADD {_named(table, tenant)}",))


async def _inexact(catalogue: Catalogue, table: Relation, tenant: TenantColumn) -> Finding:
    """Return the finding for a column of a loose type or collation, which policies and checks keep from changing."""
    policies = await catalogue.connection.fetch(_POLICIES, table.oid)
    checks = await catalogue.connection.fetch(_CHECKS, table.oid, tenant.number)
    alter = f"ALTER TABLE {table.sql}"
    fix = [f"DROP POLICY {quoted(policy)} ON {table.sql}" for (policy,) in policies]
    fix += [f"{alter} DROP CONSTRAINT {quoted(check)}" for (check,) in checks]
    fix.append(f'{alter} ALTER COLUMN {tenant.quoted} TYPE text COLLATE "C"')
    fix.append(f"{alter} ADD {_named(table, tenant)}")
    fix += catalogue.protection(replace(table, tenant=replace(tenant, type="text")))
    return Finding(Hole.TENANT_COLLATION, f"{table.label}.{tenant.name}", tuple(fix), f"type {tenant.type}")


def _refuses_empty(condition: str, column: str) -> bool:
    """Whether a check, as the server prints it, holds for no empty tenant."""
    names = (column, quoted(column))
    refusals = {form for name in names for form in (f"{name} <> ''::text", f"({name})::text <> ''::text")}
    return not refusals.isdisjoint(conjuncts(condition))


def _named(table: Relation, tenant: TenantColumn) -> str:
    name = constraint_name("ck", table.name, "tenant_named")
    return f"CONSTRAINT {quoted(name)} CHECK ({tenant.quoted} <> '')"


def _stranger(catalogue: Catalogue, relation: Relation) -> Iterator[Finding]:
    if relation.kind in ("v", "m", "S") or not catalogue.is_reachable(relation) or relation.owner in catalogue.roles:
        return
    hole = None
    if relation.place is Place.REGISTRY:
        hole = Hole.REGISTRY_REACHABLE
    elif relation.kind == "f":
        hole = Hole.FOREIGN_TABLE
    elif relation.place is Place.SHARED and relation.tenant is None:
        hole = Hole.TABLE_NO_TENANT
    elif relation.place is Place.SHARED and not relation.is_child and _is_unknown(catalogue, relation):
        hole = Hole.TABLE_UNKNOWN
    if hole is not None:
        yield Finding(hole, relation.label, catalogue.revocation(relation))


def _is_unknown(catalogue: Catalogue, table: Relation) -> bool:
    if table.is_outbox:
        return False
    return catalogue.known is not None and (table.schema, table.name) not in catalogue.known


_WITH_POLICIES: Final = "SELECT DISTINCT polrelid::int8 FROM pg_catalog.pg_policy WHERE polpermissive"

_POLICIES: Final = "SELECT polname::text FROM pg_catalog.pg_policy WHERE polrelid = $1::oid ORDER BY 1"

_CHECKS: Final = """
SELECT conname::text FROM pg_catalog.pg_constraint
WHERE contype = 'c' AND conrelid = $1::oid AND conkey = ARRAY[$2::int2] ORDER BY 1"""

_CHECK_CONDITIONS: Final = """
SELECT conrelid::int8, pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint
WHERE contype = 'c' AND convalidated"""
