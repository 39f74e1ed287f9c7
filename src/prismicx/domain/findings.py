"""What an audit finds: holes in the walls around tenants, how bad each is, and the statements that mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from prismicx.domain.holes import Hole
    from prismicx.domain.identifiers import TenantId


class Severity(IntEnum):
    """How bad a hole is, in order; `str()` gives the word."""

    INFO = 0
    """It tells something about other tenants, but none of their data."""
    LOW = 1
    """No way in by itself, but a wall less."""
    MEDIUM = 2
    """A way in together with something else, or an oracle that betrays what others have."""
    HIGH = 3
    """A way in for somebody who can run SQL as the application, or for a query that was written carelessly."""
    CRITICAL = 4
    """Ordinary work of one tenant reaches another's data, or the application passes by every wall."""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One hole in one object.

    Attributes:
        hole: the kind, whose code never changes.
        object: what is concerned, as the database calls it.
        fix: the statements that mend it, in order; none where the database has none.
        detail: what exactly was found; empty where the hole says it all.
    """

    hole: Hole
    object: str
    fix: tuple[str, ...]
    detail: str = ""

    @property
    def code(self) -> str:
        """The stable name of the hole."""
        return self.hole.name

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.hole.severity

    @property
    def explanation(self) -> str:
        """What it means, and what exactly was found."""
        return f"{self.hole.meaning} ({self.detail})" if self.detail else self.hole.meaning


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit of one database says.

    Attributes:
        findings: the worst first, then by code and object.
        residual: what no wall around a shared database stops, or what only the server's administrator can mend. It is
            said so that nobody takes it for mended; it is no finding.
    """

    findings: tuple[Finding, ...]
    residual: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, found: Iterable[Finding], residual: Iterable[Finding] = ()) -> AuditReport:
        """Return the report of these findings, each once, in order."""
        return cls(_in_order(found), _in_order(residual))

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings that are this bad or worse."""
        return tuple(finding for finding in self.findings if finding.severity >= severity)


def _in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: (-finding.severity, finding.code, finding.object)))


@dataclass(frozen=True, slots=True)
class AuditScope:
    """What an audit takes for granted.

    Attributes:
        application_role: what the service logs in as on PostgreSQL; `None` for the user of its address.
        tenant_column: the column, or the key of a document, that names the tenant.
        tenant_setting: the setting by which PostgreSQL's policies know the tenant.
        places: by the names of tenants' schemas and databases, the registered tenants that own them; `None` where the
            registry cannot be read.
        system_role: what work over all tenants logs in as on PostgreSQL: the one role that policies may let see them.
    """

    application_role: str | None = None
    tenant_column: str = "tenant_id"
    tenant_setting: str = "app.current_tenant_id"
    places: Mapping[str, TenantId] | None = None
    system_role: str | None = None


@runtime_checkable
class Auditable(Protocol):
    """A backend whose database can be audited. It need not be started, and stays as it is."""

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        ...

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        """Return the places of the tenants that are registered here, or `None` if this is no registry one can read.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        ...

    async def audit(self, scope: AuditScope) -> AuditReport:
        """Return what is wrong with the walls of this database; nothing is changed.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            InvalidNameError: there is no such role.
            PermissionDeniedError: the login may not look.
        """
        ...
