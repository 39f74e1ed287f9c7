"""Grants: rights that no policy limits, and rights for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import PUBLIC, Catalogue, Place, Relation, grantee
from prismicx.adapters.sqlalchemy.mapping import REGISTRY_SCHEMA
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_DANGEROUS: Final = {
    "TRUNCATE": Hole.GRANT_TRUNCATE,
    "REFERENCES": Hole.GRANT_REFERENCES,
    "TRIGGER": Hole.GRANT_TRIGGER,
    "MAINTAIN": Hole.GRANT_MAINTAIN,
}


async def grant_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield the rights that the application, or everybody, must not have."""
    for relation in catalogue.relations:
        grants = _of_table(relation) if relation.has_tenants else _of_sequence(catalogue, relation)
        for finding in grants:
            yield finding
    for query, describe in (
        (_SCHEMAS, _of_schema),
        (_DATABASE, _of_database),
        (_DEFAULTS, _of_default),
        (_PARAMETERS, _of_parameter),
        (_FOREIGN, _of_foreign),
        (_LARGE_OBJECTS, _of_large_object),
    ):
        for row in await catalogue.connection.fetch(query, catalogue.roles):
            described = describe(catalogue, *row)
            if described is not None:
                yield described


def _of_table(table: Relation) -> Iterator[Finding]:
    for grant in table.grants:
        right = f"{grant.privilege} of {grant.grantee}"
        revoke = f"REVOKE {grant.privilege} ON {table.sql} FROM {grant.to}"
        if grant.column is not None:
            revoke = f"REVOKE {grant.privilege} ({quoted(grant.column)}) ON {table.sql} FROM {grant.to}"
            yield Finding(Hole.GRANT_COLUMN, f"{table.label}.{grant.column}", (revoke,), right)
        elif grant.privilege in _DANGEROUS:
            yield Finding(_DANGEROUS[grant.privilege], table.label, (revoke,), f"granted to {grant.grantee}")
        elif grant.grantee == PUBLIC:
            yield Finding(Hole.GRANT_PUBLIC, table.label, (revoke,), grant.privilege)
        elif grant.grantable:
            fix = f"REVOKE GRANT OPTION FOR {grant.privilege} ON {table.sql} FROM {grant.to} CASCADE"
            yield Finding(Hole.GRANT_OPTION, table.label, (fix,), right)


def _of_sequence(catalogue: Catalogue, relation: Relation) -> Iterator[Finding]:
    if relation.kind != "S" or not relation.grants:
        return
    if relation.place is not Place.OWN:
        yield Finding(Hole.SEQUENCE_SHARED, relation.label, catalogue.revocation(relation))
        return
    for grant in relation.grants:
        if grant.privilege == "UPDATE":
            fix = f"REVOKE UPDATE ON SEQUENCE {relation.sql} FROM {grant.to}"
            yield Finding(Hole.SEQUENCE_UPDATE, relation.label, (fix,))


def _of_schema(_: Catalogue, schema: str, is_own: bool, to: str, privilege: str) -> Finding | None:  # noqa: FBT001 -- a row
    fix = (f"REVOKE {privilege} ON SCHEMA {quoted(schema)} FROM {grantee(to)}",)
    if privilege == "CREATE":
        return Finding(Hole.SCHEMA_CREATE, schema, fix, f"granted to {to}")
    if to == PUBLIC and is_own and schema != REGISTRY_SCHEMA:
        return Finding(Hole.SCHEMA_PUBLIC, schema, fix)
    return None


def _of_database(catalogue: Catalogue, to: str, privilege: str) -> Finding:
    hole = Hole.DATABASE_TEMP if privilege == "TEMPORARY" else Hole.DATABASE_CREATE
    fix = f"REVOKE {privilege} ON DATABASE {quoted(catalogue.database)} FROM {grantee(to)}"
    return Finding(hole, catalogue.database, (fix,), f"granted to {to}")


def _of_default(_: Catalogue, owner: str, schema: str | None, to: str) -> Finding:
    where = "" if schema is None else f" IN SCHEMA {quoted(schema)}"
    fix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)}{where} REVOKE ALL ON TABLES FROM {grantee(to)}"
    return Finding(Hole.GRANT_DEFAULT, f"tables of {owner}{'' if schema is None else f' in {schema}'}", (fix,))


def _of_parameter(_: Catalogue, parameter: str, to: str) -> Finding:
    fix = f"REVOKE ALL ON PARAMETER {parameter} FROM {grantee(to)}"
    return Finding(Hole.PARAMETER_SET, parameter, (fix,))


def _of_foreign(_: Catalogue, kind: str, name: str, to: str) -> Finding:
    fix = f"REVOKE USAGE ON {kind} {quoted(name)} FROM {grantee(to)}"
    return Finding(Hole.FOREIGN_SERVER, name, (fix,), kind.lower())


def _of_large_object(catalogue: Catalogue, oid: int, to: str | None) -> Finding:
    fix = (
        f"ALTER LARGE OBJECT {oid} OWNER TO {quoted(catalogue.heir)}"
        if to is None
        else f"REVOKE ALL ON LARGE OBJECT {oid} FROM {grantee(to)}"
    )
    return Finding(Hole.LARGE_OBJECT, f"large object {oid}", (fix,))


# Each asks for what is granted to everybody or to one of the application's roles ($1), and not by ownership.
_TO: Final = "COALESCE(g.rolname::text, 'PUBLIC')"
_CONCERNS: Final = "LEFT JOIN pg_catalog.pg_roles g ON g.oid = e.grantee WHERE (e.grantee = 0 OR g.rolname = ANY($1))"

_SCHEMAS: Final = f"""
SELECT n.nspname::text, starts_with(n.nspname, 'tenant_'), {_TO}, e.privilege_type
FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) e {_CONCERNS}
AND e.grantee <> n.nspowner AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 3, 4"""  # noqa: S608 -- fragments of ours

_DATABASE: Final = f"""
SELECT {_TO}, e.privilege_type
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) e
{_CONCERNS} AND e.grantee <> d.datdba AND d.datname = current_database()
AND e.privilege_type IN ('CREATE', 'TEMPORARY') ORDER BY 1, 2"""  # noqa: S608 -- fragments of ours

_DEFAULTS: Final = f"""
SELECT DISTINCT o.rolname::text, n.nspname::text, {_TO}
FROM pg_catalog.pg_default_acl d CROSS JOIN pg_catalog.aclexplode(d.defaclacl) e
JOIN pg_catalog.pg_roles o ON o.oid = d.defaclrole
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
{_CONCERNS} AND e.grantee <> d.defaclrole AND d.defaclobjtype = 'r' ORDER BY 1, 2, 3"""  # noqa: S608 -- fragments of ours

_PARAMETERS: Final = f"""
SELECT DISTINCT p.parname, {_TO}
FROM pg_catalog.pg_parameter_acl p, pg_catalog.aclexplode(p.paracl) e {_CONCERNS} ORDER BY 1, 2"""  # noqa: S608 -- fragments of ours

_FOREIGN: Final = f"""
SELECT 'FOREIGN SERVER', s.srvname::text, {_TO}
FROM pg_catalog.pg_foreign_server s, pg_catalog.aclexplode(s.srvacl) e {_CONCERNS} AND e.grantee <> s.srvowner
UNION ALL
SELECT 'FOREIGN DATA WRAPPER', w.fdwname::text, {_TO}
FROM pg_catalog.pg_foreign_data_wrapper w, pg_catalog.aclexplode(w.fdwacl) e {_CONCERNS} AND e.grantee <> w.fdwowner
ORDER BY 1, 2, 3"""  # noqa: S608 -- fragments of ours

_LARGE_OBJECTS: Final = f"""
SELECT DISTINCT l.oid::int8, {_TO}
FROM pg_catalog.pg_largeobject_metadata l, pg_catalog.aclexplode(l.lomacl) e {_CONCERNS} AND e.grantee <> l.lomowner
UNION ALL
SELECT l.oid::int8, NULL FROM pg_catalog.pg_largeobject_metadata l JOIN pg_catalog.pg_roles o ON o.oid = l.lomowner
WHERE o.rolname = ANY($1)
ORDER BY 1, 2"""  # noqa: S608 -- fragments of ours
