"""What the audit reads of the server's catalogue before any theme: relations, columns, roles, and who may do what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from prismicx.adapters.sqlalchemy.mapping import REGISTRY_SCHEMA
from prismicx.adapters.sqlalchemy.outbox_scope import OUTBOX_TABLES
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.proof_check import PROVEN_TENANT
from prismicx.adapters.sqlalchemy.tenancy import literal, protecting_statements, qualified, quoted
from prismicx.domain.errors import InvalidNameError
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import TenantId, owner_of_place

OWN_PREFIX: Final = "tenant_"
"""What the name of a single tenant's schema begins with."""

PUBLIC: Final = "PUBLIC"
"""The grantee of what is granted to every role."""


class Place(Enum):
    """Whose rows a relation holds, by its schema."""

    SHARED = auto()
    OWN = auto()
    """One tenant's."""
    REGISTRY = auto()


@dataclass(frozen=True, slots=True)
class TenantColumn:
    """The column that names the tenant."""

    name: str
    number: int
    type: str
    is_text: bool
    not_null: bool
    exact: bool
    """Whether it tells apart any two names that differ."""

    @property
    def quoted(self) -> str:
        """The column in a statement."""
        return quoted(self.name)


@dataclass(frozen=True, slots=True)
class Grant:
    """A right of the application's, directly, as a member of a role, or as everybody."""

    grantee: str
    privilege: str
    grantable: bool
    column: str | None = None

    @property
    def to(self) -> str:
        """The grantee in a statement."""
        return grantee(self.grantee)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sequence outside of PostgreSQL's own schemas and of extensions."""

    oid: int
    schema: str
    name: str
    kind: str
    """PostgreSQL's letter: r table, p partitioned, f foreign, v view, m materialized view, S sequence."""
    owner: str
    secured: bool
    forced: bool
    is_child: bool
    is_invoker: bool
    tenant: TenantColumn | None
    grants: tuple[Grant, ...]

    @property
    def sql(self) -> str:
        """The relation in a statement."""
        return qualified(self.schema, self.name)

    @property
    def label(self) -> str:
        """The relation for people."""
        return f"{self.schema}.{self.name}"

    @property
    def place(self) -> Place:
        """Whose rows it holds."""
        if self.is_outbox:
            return Place.SHARED
        if self.schema == REGISTRY_SCHEMA:
            return Place.REGISTRY
        return Place.OWN if self.schema.startswith(OWN_PREFIX) else Place.SHARED

    @property
    def is_outbox(self) -> bool:
        """Whether it is a table of the outbox, which holds rows of tenants beside the registry's."""
        return self.schema == REGISTRY_SCHEMA and self.name in OUTBOX_TABLES

    @property
    def is_table(self) -> bool:
        """Whether it can have row-level security."""
        return self.kind in ("r", "p")

    @property
    def has_tenants(self) -> bool:
        """Whether it is a table of tenants' rows, which need a wall."""
        return self.is_table and (self.place is Place.OWN or (self.place is Place.SHARED and self.tenant is not None))

    @property
    def privileges(self) -> frozenset[str]:
        """The application's rights on the whole relation."""
        return frozenset(grant.privilege for grant in self.grants if grant.column is None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One reading of the catalogue, as one application role is concerned by it."""

    connection: Connection
    scope: AuditScope
    application: str
    roles: tuple[str, ...]
    """The application's role, then every role that it is a member of, through others too."""
    heir: str
    """Who can own what the application must not: the database's owner, or a superuser where that is the application."""
    version: int
    database: str
    relations: tuple[Relation, ...]
    is_proven: bool
    """Whether the database asks for a proof of tenant."""
    known: Collection[tuple[str, str]] | None
    """The shared tables of the configuration, by schema and name; `None` without one."""

    @property
    def tables(self) -> Iterator[Relation]:
        """The tables of tenants' rows."""
        return (relation for relation in self.relations if relation.has_tenants)

    @property
    def context(self) -> str:
        """The expression by which policies should know the tenant."""
        setting = f"NULLIF(current_setting({literal(self.scope.tenant_setting)}, true), '')"
        return PROVEN_TENANT if self.is_proven else setting

    def tenant_of(self, schema: str) -> TenantId | None:
        """Return the tenant that owns a schema, as far as the registry or the schema's name tells."""
        registered = (self.scope.places or {}).get(schema)
        return registered or owner_of_place(schema)

    def condition(self, table: Relation) -> str:
        """Return the condition of the policy that the table should have."""
        if table.tenant is not None:
            context = self.context if table.tenant.is_text else f"({self.context})::{table.tenant.type}"
            return f"{table.tenant.quoted} = {context}"
        tenant = self.tenant_of(table.schema)
        return "false" if tenant is None else f"{self.context} = {literal(tenant.value)}"

    def protection(self, table: Relation) -> tuple[str, ...]:
        """Return the statements that put the table behind the policy that it should have."""
        return tuple(protecting_statements(table.sql, self.condition(table)))

    def is_reachable(self, relation: Relation) -> bool:
        """Whether the application has any right on the relation."""
        return bool(relation.grants) or relation.owner in self.roles

    def revocation(self, relation: Relation) -> tuple[str, ...]:
        """Return the statements that take every right on the relation from the application."""
        kind = "SEQUENCE " if relation.kind == "S" else ""
        grantees = dict.fromkeys(grant.to for grant in relation.grants)
        return tuple(f"REVOKE ALL ON {kind}{relation.sql} FROM {to}" for to in grantees)


async def read_catalogue(
    connection: Connection, scope: AuditScope, *, application: str, known: Collection[tuple[str, str]] | None
) -> Catalogue:
    """Return what the catalogue of the connection's database says of this application role.

    Raises:
        InvalidNameError: there is no such role.
    """
    if await connection.fetchval("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", application) is None:
        raise InvalidNameError("application role", application, "the server has no role of this name")
    roles = [row[0] for row in await connection.fetch(_MEMBERSHIPS, application)]
    version, database, heir, is_proven = await connection.fetchrow(_SERVER, roles)
    grants = await _grants(connection, roles)
    rows = await connection.fetch(_RELATIONS, scope.tenant_column)
    return Catalogue(
        connection=connection,
        scope=scope,
        application=application,
        roles=tuple(roles),
        heir=heir,
        version=version,
        database=database,
        relations=tuple(_relation(row, scope.tenant_column, grants) for row in rows),
        is_proven=is_proven,
        known=known,
    )


def grantee(role: str) -> str:
    """Return a grantee as a statement has it."""
    return PUBLIC if role == PUBLIC else quoted(role)


async def _grants(connection: Connection, roles: Sequence[str]) -> Mapping[int, tuple[Grant, ...]]:
    found: dict[int, tuple[Grant, ...]] = {}
    for oid, to, privilege, grantable, column in await connection.fetch(_GRANTS, roles):
        found[oid] = (*found.get(oid, ()), Grant(to, privilege, grantable, column))
    return found


def _relation(row: Sequence[object], tenant_column: str, grants: Mapping[int, tuple[Grant, ...]]) -> Relation:
    oid, schema, name, kind, owner, secured, forced, is_child, is_invoker, number, type_, is_text, not_null, exact = row
    tenant = None
    if number is not None:
        assert isinstance(number, int)
        tenant = TenantColumn(tenant_column, number, str(type_), bool(is_text), bool(not_null), bool(exact))
    assert isinstance(oid, int)
    flags = bool(secured), bool(forced), bool(is_child), bool(is_invoker)
    return Relation(oid, str(schema), str(name), str(kind), str(owner), *flags, tenant, grants.get(oid, ()))


_MEMBERSHIPS: Final = """
WITH RECURSIVE reached(oid, steps) AS (
    SELECT oid, 0 FROM pg_catalog.pg_roles WHERE rolname = $1
    UNION
    SELECT m.roleid, r.steps + 1 FROM reached r JOIN pg_catalog.pg_auth_members m ON m.member = r.oid
)
SELECT p.rolname::text FROM reached r JOIN pg_catalog.pg_roles p ON p.oid = r.oid
GROUP BY p.rolname ORDER BY min(r.steps), p.rolname"""

_SERVER: Final = """
SELECT current_setting('server_version_num')::int / 10000, current_database()::text,
    CASE WHEN owner.rolname = ANY($1) THEN (SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper
        AND rolname <> ALL($1) ORDER BY oid LIMIT 1) ELSE owner.rolname END::text,
    to_regprocedure('prismicx.current_tenant()') IS NOT NULL
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles owner ON owner.oid = d.datdba
WHERE d.datname = current_database()"""

_RELATIONS: Final = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, o.rolname::text,
    c.relrowsecurity, c.relforcerowsecurity,
    EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
    COALESCE((SELECT option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions)
              WHERE option_name = 'security_invoker'), false),
    a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory = 'S', a.attnotnull,
    COALESCE(l.collisdeterministic, true) AND t.typname <> 'citext'
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $1 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 2, 3"""

_GRANTS: Final = """
WITH granted AS (
    SELECT c.oid, c.relowner AS owner, NULL::text AS attribute, e.*
    FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) e
    UNION ALL
    SELECT c.oid, c.relowner, a.attname::text, e.*
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid, pg_catalog.aclexplode(a.attacl) e
)
SELECT g.oid::int8, COALESCE(r.rolname::text, 'PUBLIC'), g.privilege_type, g.is_grantable, g.attribute
FROM granted g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
WHERE g.grantee <> g.owner AND (g.grantee = 0 OR r.rolname = ANY($1))
ORDER BY 2, 3"""
