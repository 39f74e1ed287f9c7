"""`prismicx db …`: what the databases need before they can keep tenants."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import JsonValue

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, table

if TYPE_CHECKING:
    from prismicx.container import Preparation

app: Final = typer.Typer(help="Prepare the databases.", no_args_is_help=True)


@app.command("init")
@command
async def init(
    call: Call,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL instead, and touch nothing.")] = False,
) -> Answer:
    """Make what prismicx and the service need in every database; safe to run again.

    On PostgreSQL, with the login of --postgres-admin-dsn: the framework's schema and function, the role of the
    application's login and its rights, and the registry's and the shared tables with their policies. On MongoDB: the
    registry's and the shared collections with their validators and indexes.
    """
    from prismicx.container import preparations  # noqa: PLC0415  # loads the drivers

    planned = preparations(call.container())
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
