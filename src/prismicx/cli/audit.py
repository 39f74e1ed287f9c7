"""`prismicx audit`: the walls around tenants, looked at on live databases."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from pydantic import JsonValue
from rich.console import Group
from rich.text import Text

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, ExitCode, printable, table
from prismicx.domain.findings import Auditable, AuditReport, AuditScope, Finding, Severity

if TYPE_CHECKING:
    from rich.console import RenderableType

    from prismicx.domain.ports import Backend

SeverityName = Literal["info", "low", "medium", "high", "critical"]

_DEFAULTS: Final = AuditScope()


@dataclass(frozen=True, slots=True)
class _Audited:
    """One database and its report."""

    address: str
    report: AuditReport


@command
async def audit(
    call: Call,
    *,
    app_role: Annotated[
        str | None,
        typer.Option(help="The role that the service logs in as. Default: the user of --postgres-dsn.", metavar="NAME"),
    ] = None,
    tenant_column: Annotated[
        str, typer.Option(help="The column or key that names the tenant.", metavar="NAME")
    ] = _DEFAULTS.tenant_column,
    tenant_setting: Annotated[
        str, typer.Option(help="The setting by which PostgreSQL's policies know the tenant.", metavar="NAME")
    ] = _DEFAULTS.tenant_setting,
    fail_on: Annotated[
        SeverityName, typer.Option(help="End with exit code 5 on a finding that is this bad, or worse.")
    ] = "low",
    connection: Annotated[
        str | None,
        typer.Option(
            help="The databases of dedicated tenants behind this connection, in place of those that tenants share.",
            metavar="NAME",
        ),
    ] = None,
) -> Answer:
    """Look for holes in the walls around tenants, and print the statement that mends each; nothing is changed.

    Works on any database, by its address; with --mappings, tables that the service does not know are found too. What
    no wall around a shared database stops is listed apart, and never fails.
    """
    scope = AuditScope(app_role, tenant_column, tenant_setting)
    audited = await _audited(call, scope, connection)
    fails = any(one.report.at_least(Severity[fail_on.upper()]) for one in audited)
    data: dict[str, JsonValue] = {
        "passed": not fails,
        "databases": [
            {
                "address": one.address,
                "findings": [finding_data(finding) for finding in one.report.findings],
                "residual": [finding_data(finding) for finding in one.report.residual],
            }
            for one in audited
        ],
    }
    return Answer(data, _view(audited), ExitCode.HOLES if fails else ExitCode.DONE)


def finding_data(finding: Finding) -> dict[str, JsonValue]:
    """Return what `--json` says of a finding."""
    return {
        "code": finding.code,
        "severity": str(finding.severity),
        "object": finding.object,
        "explanation": finding.explanation,
        "fix": list(finding.fix),
    }


async def _audited(call: Call, scope: AuditScope, connection: str | None) -> list[_Audited]:
    container = call.container()
    registry, backends = container.registry(), container.backends()
    places = await registry.registered_places() if isinstance(registry, Auditable) else None
    scope = replace(scope, places=places)
    audited: list[_Audited] = []
    for database in await _databases(backends, connection):
        with call.progress(f"auditing {database.address}"):
            audited.append(_Audited(database.address, await database.audit(scope)))
    return audited


async def _databases(backends: "Iterable[Backend]", connection: str | None) -> "list[Auditable]":
    from prismicx.preparation import dedicated_databases  # noqa: PLC0415  # loads the drivers

    if connection is None:
        return [backend for backend in backends if isinstance(backend, Auditable)]
    return [*await dedicated_databases(backends, connection)]


def _view(audited: Sequence[_Audited]) -> "RenderableType":
    shown: list[RenderableType] = [] if audited else [Text("No database is configured.")]
    for one in audited:
        shown += [
            Text(f"\n{printable(one.address)}", style="bold"),
            _table(one.report.findings, "No holes were found."),
        ]
        shown += [line for finding in one.report.findings for line in _fix(finding)]
        if one.report.residual:
            shown += [Text("\nWhat stays open, whatever is mended:"), _table(one.report.residual, "")]
    return Group(*shown)


def _table(findings: Sequence[Finding], empty: str) -> "RenderableType":
    rows = [(finding.code, str(finding.severity), finding.object, finding.explanation) for finding in findings]
    return table(("code", "severity", "object", "what it means"), rows, empty=empty)


def _fix(finding: Finding) -> Iterator[Text]:
    yield Text(f"\n{finding.code}: {printable(finding.object)}", style="bold")
    for statement in finding.fix:
        yield Text(f"{printable(statement)};")
