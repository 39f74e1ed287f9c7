"""The themes of the audit, and the report that they make together."""

from __future__ import annotations

from collections.abc import Collection

from prismicx.adapters.sqlalchemy.audit.catalogue import read_catalogue
from prismicx.adapters.sqlalchemy.audit.database import database_findings
from prismicx.adapters.sqlalchemy.audit.grants import grant_findings
from prismicx.adapters.sqlalchemy.audit.keys import key_findings
from prismicx.adapters.sqlalchemy.audit.objects import object_findings
from prismicx.adapters.sqlalchemy.audit.policies import policy_findings
from prismicx.adapters.sqlalchemy.audit.residual import residual_findings
from prismicx.adapters.sqlalchemy.audit.roles import role_findings
from prismicx.adapters.sqlalchemy.audit.routines import routine_findings
from prismicx.adapters.sqlalchemy.audit.tables import table_findings
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.findings import AuditReport, AuditScope, Finding

_THEMES = (
    table_findings,
    policy_findings,
    role_findings,
    grant_findings,
    object_findings,
    routine_findings,
    key_findings,
    database_findings,
)


async def audit_connection(
    connection: Connection,
    scope: AuditScope,
    *,
    application: str,
    known: Collection[tuple[str, str]] | None = None,
) -> AuditReport:
    """Return what is wrong with the walls of the connection's database.

    Only the catalogue is read, so any login that may connect sees the same. The connection is in a transaction, whose
    snapshot the report describes; `search_path` is another one until it ends.

    Args:
        application: the role that the service logs in as.
        known: the shared tables of the service's configuration, by schema and name; `None` without one.

    Raises:
        InvalidNameError: there is no such role.
    """
    # Names in what the server prints of expressions are then qualified, whatever the caller's path.
    await connection.execute("SET LOCAL search_path = pg_catalog")
    catalogue = await read_catalogue(connection, scope, application=application, known=known)
    found: list[Finding] = []
    for theme in _THEMES:
        found += [finding async for finding in theme(catalogue)]
    return AuditReport.of(found, [finding async for finding in residual_findings(catalogue)])
