"""The `prismicx` program: its groups of commands and what holds for all of them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from prismicx import __version__
from prismicx.cli import audit, database, demo, health, outbox, plugin, plugin_recovery, tenant, tenant_operations

_EPILOG: Final = (
    "Exit codes: 0 done; 1 refused or failed, the reason is on standard error; 2 wrong usage or settings; "
    "3 a database is unavailable, nothing was done; 4 the connection broke during commit: look whether it was done; "
    "5 the audit found holes; 6 a rollout has paused; 7 a tenant's schema is not what the registry says; "
    "8 a database answers and is not well. "
    'With --json, standard output is one JSON object: the result, or {"error": {"code", "message"}}.'
)

app = typer.Typer(
    name="prismicx",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it would print local variables, and with them addresses and passwords
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(database.app, name="db")
tenant.app.command("delete")(tenant_operations.delete)
tenant.app.command("plan")(tenant_operations.plan)
tenant.app.command("reconcile")(tenant_operations.reconcile)
tenant.app.command("renew-logins")(tenant_operations.renew_logins)
tenant.app.command("retry")(tenant_operations.retry)
tenant.app.command("abort")(tenant_operations.abort)
app.add_typer(tenant.app, name="tenant")
plugin.app.command("retry")(plugin_recovery.retry)
plugin.app.command("abandon")(plugin_recovery.abandon)
plugin.app.command("verify")(plugin_recovery.verify)
app.add_typer(plugin.app, name="plugin")
app.add_typer(outbox.app, name="outbox")
app.command("demo")(demo.demo)
app.command("audit")(audit.audit)
app.command("health")(health.health)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer's signature of a callback
    if wanted:
        typer.echo(f"prismicx {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tenants, plugins and databases of a prismicx platform."""
