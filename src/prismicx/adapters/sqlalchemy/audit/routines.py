"""Functions and extensions: code that runs with other rights than the caller's, or before the policies do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue, grantee
from prismicx.adapters.sqlalchemy.mapping import REGISTRY_SCHEMA
from prismicx.adapters.sqlalchemy.tenancy import quoted
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_DANGEROUS_EXTENSIONS: Final = ["adminpack", "dblink", "file_fdw", "postgres_fdw"]


async def routine_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield the functions that pass by the walls; the framework's own, which must, need a fixed search_path."""
    for (
        kind,
        name,
        schema,
        is_definer,
        has_path,
        is_leakproof,
        callers,
        is_extensions,
    ) in await catalogue.connection.fetch(_ROUTINES, catalogue.roles):
        if is_definer and callers and not (schema == REGISTRY_SCHEMA and has_path):
            fixes = (f"REVOKE EXECUTE ON {kind} {name} FROM {grantee(caller)}" for caller in callers)
            yield Finding(Hole.SECDEF_FUNCTION, name, tuple(fixes))
        if is_extensions:  # how it is made is its author's; who may call it is not
            continue
        if is_definer and not has_path:
            fix = f"ALTER {kind} {name} SET search_path = pg_catalog, pg_temp"
            yield Finding(Hole.SECDEF_SEARCH_PATH, name, (fix,))
        if is_leakproof:
            yield Finding(Hole.LEAKPROOF_FUNCTION, name, (f"ALTER {kind} {name} NOT LEAKPROOF",))
    for (extension,) in await catalogue.connection.fetch(_EXTENSIONS, _DANGEROUS_EXTENSIONS):
        yield Finding(Hole.EXTENSION, extension, (f"DROP EXTENSION {quoted(extension)}",))


# Nobody calls a trigger's function: it is looked at with its trigger.
_ROUTINES: Final = """
SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
    format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)), n.nspname::text,
    p.prosecdef,
    EXISTS (SELECT FROM unnest(p.proconfig) AS one(setting) WHERE starts_with(one.setting, 'search_path=')),
    p.proleakproof,
    ARRAY(SELECT COALESCE(r.rolname::text, 'PUBLIC')
          FROM pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) e
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.grantee
          WHERE e.grantee <> p.proowner AND (e.grantee = 0 OR r.rolname = ANY($1))
          AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype) ORDER BY 1),
    EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
            AND d.objid = p.oid AND d.deptype = 'e')
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE (p.prosecdef OR p.proleakproof) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 2"""

_EXTENSIONS: Final = "SELECT extname::text FROM pg_catalog.pg_extension WHERE extname = ANY($1) ORDER BY 1"
"""adminpack reads and writes files up to PostgreSQL 16; dblink and postgres_fdw connect, file_fdw reads files."""
