"""`prismicx db …`: what the databases need before they can keep tenants."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer
from pydantic import JsonValue

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, table

if TYPE_CHECKING:
    from prismicx.preparation import Preparation

DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Print the SQL instead, and touch nothing.")]

Connection: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="The databases of dedicated tenants behind this connection, in place of those that tenants share.",
        metavar="NAME",
    ),
]

app: Final = typer.Typer(help="Prepare the databases.", no_args_is_help=True)


@app.command("init")
@command
async def init(
    call: Call,
    *,
    dry_run: DryRun = False,
    without_tenant_proof: Annotated[
        bool,
        typer.Option(
            "--without-tenant-proof",
            help="Let PostgreSQL believe tenants' names without proof again; its keys are deleted.",
        ),
    ] = False,
    connection: Connection = None,
) -> Answer:
    """Make what prismicx and the service need in every database; safe to run again.

    On PostgreSQL, with the login of --postgres-admin-dsn: the framework's schema and function, the role of the
    application's login and its rights, and the registry's and the shared tables with their policies. On MongoDB: the
    registry's and the shared collections with their validators and indexes.

    With PRISMICX_TENANT_PROOF_KEYS every policy comes to rest on the proof of tenant, in tenants' own schemas too.
    """
    from prismicx.preparation import dedicated_preparations, shared_preparations  # noqa: PLC0415  # loads the drivers

    backends = call.container().backends()
    if connection is None:
        planned = shared_preparations(backends, without_tenant_proof=without_tenant_proof)
    else:
        planned = await dedicated_preparations(backends, connection, without_tenant_proof=without_tenant_proof)
    return await _carried_out(call, planned, dry_run=dry_run)


@app.command("rotate-key")
@command
async def rotate_key(call: Call, *, dry_run: DryRun = False, connection: Connection = None) -> Answer:
    """Make PostgreSQL accept the keys of PRISMICX_TENANT_PROOF_KEYS, and no others; safe to run again.

    To change the key: run it with the old key and the new one, give the services the new one and the old one, and run
    it again with the new one alone.
    """
    from prismicx.preparation import key_rotations  # noqa: PLC0415  # loads the drivers

    planned = await key_rotations(call.container().postgres(), connection)
    return await _carried_out(call, planned, dry_run=dry_run)


async def _carried_out(call: Call, planned: "Sequence[Preparation]", *, dry_run: bool) -> Answer:
    if not dry_run:
        for preparation in planned:
            with call.progress(f"preparing {preparation.address}"):
                await preparation.carry_out()
    data: dict[str, JsonValue] = {
        "done": not dry_run,
        "databases": [
            {
                "database": preparation.database,
                "address": preparation.address,
                "statements": list(preparation.statements),
                "collections": list(preparation.collections),
            }
            for preparation in planned
        ],
    }
    if dry_run:
        return Answer(data, _script(planned))
    rows = [(preparation.database, preparation.address, "ready") for preparation in planned]
    return Answer(data, table(("database", "address", "state"), rows, empty="No database is configured."))


def _script(planned: "Sequence[Preparation]") -> str:
    lines: list[str] = []
    for preparation in planned:
        lines.append(f"-- {preparation.database} at {preparation.address}")
        lines += [
            f"--   collection {collection}, with its validator and indexes" for collection in preparation.collections
        ]
        if preparation.statements:
            lines += ["BEGIN;", *(f"{statement.strip()};" for statement in preparation.statements), "COMMIT;"]
    return "\n".join(lines)
