"""What the walls of a shared database do not stop, said so that nobody takes it for stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from prismicx.adapters.sqlalchemy.audit.catalogue import Catalogue, Place
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_OPEN_TO_ALL: Final = (
    (Hole.STAT_ACTIVITY, ("pg_stat_get_activity", "pg_stat_get_backend_activity")),
    (Hole.CANCEL_BACKEND, ("pg_cancel_backend", "pg_terminate_backend")),
    (Hole.LARGE_OBJECTS, ("lo_creat", "lo_create", "lo_from_bytea")),
)


async def residual_findings(catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Yield what stays open; the fixes, where there are some, are for a superuser, who owns these functions."""
    if any(table.place is Place.SHARED for table in catalogue.tables):
        yield Finding(Hole.PLANNER_STATISTICS, catalogue.database, ())
    if not catalogue.is_proven:
        yield Finding(Hole.SETTING_CONTEXT, catalogue.database, ())
    for hole, names in _OPEN_TO_ALL:
        functions = [row[0] for row in await catalogue.connection.fetch(_CALLABLE, list(names))]
        if functions:
            fix = tuple(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC" for function in functions)
            yield Finding(hole, catalogue.database, fix)


_CALLABLE: Final = """
SELECT format('pg_catalog.%I(%s)', p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
FROM pg_catalog.pg_proc p
CROSS JOIN pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) e
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY($1)
AND e.grantee = 0 AND e.privilege_type = 'EXECUTE' ORDER BY 1"""
