"""Roles: what the application's is, what it can become, what it owns; and the roles that own tenants' schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import OWN_PREFIX, Catalogue
from prismicx.adapters.sqlalchemy.outbox_scope import OUTBOX_POLICY
from prismicx.adapters.sqlalchemy.system import SYSTEM_POLICY
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_ATTRIBUTES: Final = {
    "SUPERUSER": Hole.ROLE_SUPERUSER,
    "BYPASSRLS": Hole.ROLE_BYPASSRLS,
    "CREATEROLE": Hole.ROLE_CREATEROLE,
    "CREATEDB": Hole.ROLE_CREATEDB,
    "REPLICATION": Hole.ROLE_REPLICATION,
}

# By kind of object: the hole, the statement's word, and what the application keeps of it, if anything.
_OWNED: Final = {
    "r": (Hole.ROLE_OWNS_TABLE, "TABLE", "SELECT, INSERT, UPDATE, DELETE"),
    "v": (Hole.ROLE_OWNS_VIEW, "VIEW", "SELECT"),
    "m": (Hole.ROLE_OWNS_VIEW, "MATERIALIZED VIEW", ""),
    "routine": (Hole.ROLE_OWNS_FUNCTION, "ROUTINE", "EXECUTE"),
    "schema": (Hole.ROLE_OWNS_SCHEMA, "SCHEMA", "USAGE"),
    "database": (Hole.ROLE_OWNS_DATABASE, "DATABASE", "CONNECT"),
}


async def role_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what makes roles stronger than they may be."""
    for attribute in await _powers(catalogue, catalogue.application):
        fix = f"ALTER ROLE {quoted(catalogue.application)} NO{attribute}"
        yield Finding(_ATTRIBUTES[attribute], catalogue.application, (fix,))
    async for finding in _memberships(catalogue):
        yield finding
    for kind, sql in await catalogue.connection.fetch(_OWNED_OBJECTS, catalogue.application):
        hole, word, kept = _OWNED[kind]
        fixes = [f"ALTER {word} {sql} OWNER TO {quoted(catalogue.heir)}"]
        if kept:
            target = sql if word in ("TABLE", "VIEW") else f"{word} {sql}"
            fixes.append(f"GRANT {kept} ON {target} TO {quoted(catalogue.application)}")
        yield Finding(hole, sql, tuple(fixes))
    async for finding in _schema_roles(catalogue):
        yield finding


async def _memberships(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what is wrong with each role that the application's is a member of, inheriting or by SET ROLE."""
    me = quoted(catalogue.application)
    for role in catalogue.roles[1:]:
        direct = await catalogue.connection.fetch(_WAYS, catalogue.application, role)
        fix = tuple(f"REVOKE {quoted(way)} FROM {me}" for (way,) in direct)
        if await catalogue.connection.fetchval("SELECT $1::text ~ '^pg_'", role):
            yield Finding(Hole.ROLE_PREDEFINED, f"{catalogue.application} in {role}", fix)
            continue
        reasons = [attribute.lower() for attribute in await _powers(catalogue, role)]
        owned = await catalogue.connection.fetch(_OWNED_OBJECTS, role)
        reasons += [f"owns {sql}" for _, sql in owned[:3]]
        let_in = await catalogue.connection.fetchval(_IS_LET_IN, role, [SYSTEM_POLICY, OUTBOX_POLICY])
        reasons += ["sees all tenants"] if let_in or role == catalogue.scope.system_role else []
        if reasons:
            yield Finding(Hole.ROLE_MEMBER, f"{catalogue.application} in {role}", fix, f"{role}: {', '.join(reasons)}")


async def _schema_roles(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what is wrong with the roles as which plugins' scripts run; the heir is none of them."""
    rows = await catalogue.connection.fetch(_SCHEMA_OWNERS, OWN_PREFIX, [*catalogue.roles, catalogue.heir])
    for role, can_login, memberships, *has in rows:
        if can_login:
            yield Finding(Hole.SCHEMA_ROLE_LOGIN, role, (f"ALTER ROLE {quoted(role)} NOLOGIN PASSWORD NULL",))
        powers = _named(has)
        fixes = [f"ALTER ROLE {quoted(role)} NO{attribute}" for attribute in powers]
        fixes += [f"REVOKE {quoted(other)} FROM {quoted(role)}" for other in memberships]
        if fixes:
            yield Finding(Hole.SCHEMA_ROLE_POWER, role, tuple(fixes), ", ".join([*powers, *memberships]))


async def _powers(catalogue: Catalogue, role: str) -> list[str]:
    return _named(await catalogue.connection.fetchrow(_POWERS, role))


def _named(has: Sequence[bool]) -> list[str]:
    return [attribute for attribute, is_set in zip(_ATTRIBUTES, has, strict=True) if is_set]


_POWERS: Final = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication
FROM pg_catalog.pg_roles WHERE rolname = $1"""

# The memberships of the application's own through which it reaches a role.
_WAYS: Final = """
WITH RECURSIVE above(oid) AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2
    UNION
    SELECT m.member FROM above a JOIN pg_catalog.pg_auth_members m ON m.roleid = a.oid
)
SELECT DISTINCT way.rolname::text
FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles way ON way.oid = m.roleid
JOIN pg_catalog.pg_roles me ON me.oid = m.member
WHERE me.rolname = $1 AND m.roleid IN (SELECT oid FROM above) ORDER BY 1"""

_IS_LET_IN: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_roles r ON r.oid = ANY(p.polroles)
               WHERE r.rolname = $1 AND p.polname = ANY($2))"""

_OWNED_OBJECTS: Final = """
SELECT CASE c.relkind WHEN 'v' THEN 'v' WHEN 'm' THEN 'm' ELSE 'r' END, format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1)
AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'routine', format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.proowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'schema', quote_ident(nspname) FROM pg_catalog.pg_namespace
WHERE nspowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND nspname !~ '^pg_'
UNION ALL
SELECT 'database', quote_ident(datname) FROM pg_catalog.pg_database
WHERE datdba = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AND datname = current_database()
ORDER BY 1, 2"""

_SCHEMA_OWNERS: Final = """
SELECT DISTINCT r.rolname::text, r.rolcanlogin,
    ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
          WHERE m.member = r.oid ORDER BY 1),
    r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
WHERE starts_with(n.nspname, $1) AND r.rolname <> ALL($2)
AND (NOT r.rolsuper OR starts_with(r.rolname, $1)) ORDER BY 1"""
