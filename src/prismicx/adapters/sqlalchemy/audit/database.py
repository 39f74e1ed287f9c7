"""The database as a whole: the settings that sessions start with, and what leaves it by publication."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import OWN_PREFIX, Catalogue
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_WEAKENING: Final = frozenset(("role", "session_replication_role", "lo_compat_privileges", "session_authorization"))


async def database_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what is wrong for every session, or for every table."""
    for role, database, setting, value in await catalogue.connection.fetch(_DEFAULTS, catalogue.application):
        hole = _default_hole(catalogue, setting, value)
        if hole is not None:
            of_role = f"ROLE {quoted(role)}" if role else ""
            of_database = f"DATABASE {quoted(database)}" if database else ""
            place = f"{of_role} IN {of_database}" if role and database else of_role or of_database
            parameter = ".".join(quoted(part) for part in setting.split("."))
            fix = f"ALTER {place or 'ROLE ALL'} RESET {parameter}"
            yield Finding(hole, f"{role or database or 'all roles'} {setting}", (fix,), value)
    relations = {relation.oid: relation for relation in catalogue.relations}
    for publication, is_everything, whole_schemas, tables in await catalogue.connection.fetch(_PUBLICATIONS):
        label, name = f"publication {publication}", quoted(publication)
        if is_everything:
            yield Finding(Hole.PUBLICATION_ALL_TABLES, label, (f"DROP PUBLICATION {name}",))
        for schema in whole_schemas:
            if any(table.schema == schema for table in catalogue.tables):
                fix = f"ALTER PUBLICATION {name} DROP TABLES IN SCHEMA {quoted(schema)}"
                yield Finding(Hole.PUBLICATION_TABLE, label, (fix,), f"schema {schema}")
        for table in (relations[oid] for oid in tables if oid in relations):
            if table.has_tenants:
                fix = f"ALTER PUBLICATION {name} DROP TABLE {table.sql}"
                yield Finding(Hole.PUBLICATION_TABLE, label, (fix,), table.label)


def _default_hole(catalogue: Catalogue, setting: str, value: str) -> Hole | None:
    if setting == catalogue.scope.tenant_setting:
        return Hole.DEFAULT_CONTEXT
    if setting == "search_path" and OWN_PREFIX in value:
        return Hole.DEFAULT_SEARCH_PATH
    return Hole.DEFAULT_SETTING if setting in _WEAKENING else None


# For the application's role or for all roles, in this database or in all.
_DEFAULTS: Final = """
SELECT r.rolname::text, d.datname::text, lower(split_part(one.setting, '=', 1)),
    substr(one.setting, strpos(one.setting, '=') + 1)
FROM pg_catalog.pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS one(setting)
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
WHERE (s.setrole = 0 OR r.rolname = $1) AND (s.setdatabase = 0 OR d.datname = current_database())
ORDER BY 1, 2, 3"""

_PUBLICATIONS: Final = """
SELECT p.pubname::text, p.puballtables,
    ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_publication_namespace s
          JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid ORDER BY 1),
    ARRAY(SELECT t.prrelid::int8 FROM pg_catalog.pg_publication_rel t WHERE t.prpubid = p.oid ORDER BY 1)
FROM pg_catalog.pg_publication p ORDER BY 1"""
