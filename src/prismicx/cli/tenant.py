"""`prismicx tenant …`: the life of tenants."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import JsonValue
from rich.console import Group

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, record, table
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.operations import Operation, Receipt
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES, Tenant, TenantStatus

if TYPE_CHECKING:
    from rich.console import RenderableType

app: Final = typer.Typer(help="Create tenants, look at them, suspend, resume and delete them.", no_args_is_help=True)

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]


@app.command("create")
@command
async def create(
    call: Call,
    name: Annotated[str, typer.Argument(help="What people call the tenant.")],
    *,
    tenant_id: Annotated[str | None, typer.Option("--id", help="Its id; without it a new one is made.")] = None,
    region: Annotated[str, typer.Option(help="Where its data lives.")] = "default",
    tier: Annotated[str, typer.Option(help="What it has bought.")] = "standard",
    plugin_type: Annotated[
        list[str] | None,
        typer.Option(help="A plugin type to make a schema for; may be repeated. Default: crm, sales and marketing."),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(help="Databases of its own, by their connection: PRISMICX_CONNECTION_<NAME>_….", metavar="NAME"),
    ] = None,
) -> Answer:
    """Register a tenant and make its place in every database.

    After a failure the tenant stays in `provisioning` and the reason is recorded: `tenant retry` goes on at once,
    `tenant reconcile` when it is due, and `tenant abort` takes it back.
    """
    wanted_id = None if tenant_id is None else TenantId(tenant_id)
    wanted_region, wanted_tier = Region(region), Tier(tier)
    plugin_types = DEFAULT_PLUGIN_TYPES if plugin_type is None else tuple(map(PluginType, plugin_type))
    async with call.services() as services:
        with call.progress(f"making the place of {name}"):
            tenant = await services.tenants().create(
                name,
                region=wanted_region,
                tier=wanted_tier,
                tenant_id=wanted_id,
                plugin_types=plugin_types,
                dedicated_connection=connection,
            )
    return tenant_answer(tenant)


@app.command("list")
@command
async def list_tenants(
    call: Call,
    *,
    status: Annotated[
        list[TenantStatus] | None, typer.Option(help="Only those in this state; may be repeated.")
    ] = None,
) -> Answer:
    """List the tenants, oldest first."""
    async with call.services() as services:
        tenants = await services.tenants().list(*(status or ()))
    rows = [
        (str(tenant.tenant_id), tenant.name, tenant.status.value, str(tenant.region), str(tenant.tier), _moment(tenant))
        for tenant in tenants
    ]
    columns = ("id", "name", "status", "region", "tier", "created")
    return Answer(
        {"tenants": [tenant_data(tenant) for tenant in tenants]}, table(columns, rows, empty="There are no tenants.")
    )


@app.command("show")
@command
async def show(call: Call, tenant: TenantArgument) -> Answer:
    """Show one tenant: its state, its place, who is at work on it, and how each step went."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        return tenant_answer(await services.tenants().get(tenant_id))


@app.command("suspend")
@command
async def suspend(call: Call, tenant: TenantArgument) -> Answer:
    """Let nobody into a tenant until it is resumed; its data stays."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        return tenant_answer(await services.tenants().suspend(tenant_id))


@app.command("resume")
@command
async def resume(call: Call, tenant: TenantArgument) -> Answer:
    """Let everybody into a suspended tenant again."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        return tenant_answer(await services.tenants().resume(tenant_id))


def tenant_data(tenant: Tenant) -> dict[str, JsonValue]:
    """Return what `--json` says of a tenant."""
    return {
        "id": str(tenant.tenant_id),
        "name": tenant.name,
        "status": tenant.status.value,
        "region": str(tenant.region),
        "tier": str(tenant.tier),
        "created_at": tenant.created_at.isoformat(),
        "plugin_types": [str(plugin_type) for plugin_type in tenant.plugin_types],
        "database": {
            "type": tenant.database_config.type,
            "connection": tenant.database_config.connection,
            "name": tenant.database_config.database_name,
        },
        "steps": [
            {"name": step.name, "status": step.status.value, "attempts": step.attempts, "error": step.error}
            for step in (() if tenant.operation is None else tenant.operation.steps)
        ],
        "operation": None if tenant.operation is None else _operation_data(tenant, tenant.operation),
        "receipt": None if tenant.receipt is None else _receipt_data(tenant.receipt),
        "failure": tenant.failure,
    }


def _operation_data(tenant: Tenant, operation: Operation) -> dict[str, JsonValue]:
    held = tenant.lease
    return {
        "id": str(operation.id),
        "kind": operation.kind,
        "begun_at": operation.begun_at.isoformat(),
        "ended_at": _isoformat(operation.ended_at),
        "failures": operation.failures,
        "due_at": _isoformat(operation.due_at),
        "lease": None if held is None else {"holder": held.holder, "expires_at": held.expires_at.isoformat()},
        "fence": tenant.fence,
    }


def _receipt_data(receipt: Receipt) -> dict[str, JsonValue]:
    return {
        "operation": str(receipt.operation),
        "finished_at": receipt.finished_at.isoformat(),
        "removed": dict(receipt.removed),
    }


def _isoformat(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def tenant_answer(tenant: Tenant) -> Answer:
    """Return a tenant as an answer: its state, its operation, and what was removed of a deleted one."""
    database, operation = tenant.database_config, tenant.operation
    facts = {
        "id": str(tenant.tenant_id),
        "status": tenant.status.value,
        "region": str(tenant.region),
        "tier": str(tenant.tier),
        "created": _moment(tenant),
        "plugin types": ", ".join(map(str, tenant.plugin_types)),
        "database": f"{database.database_name} ({database.type}, connection {database.connection})",
        "failure": tenant.failure or "",
        "worker": "" if tenant.lease is None else f"{tenant.lease.holder}, until {_shown(tenant.lease.expires_at)}",
        "tried again": "" if operation is None or operation.due_at is None else f"from {_shown(operation.due_at)} on",
    }
    steps = () if operation is None else operation.steps
    rows = [(step.name, step.status.value, str(step.attempts), step.error or "") for step in steps]
    view: RenderableType = Group(
        record(tenant.name, facts),
        table(("step", "status", "attempts", "error"), rows, empty="No steps are recorded."),
        *(() if tenant.receipt is None else (contents_table(tenant.receipt.removed),)),
    )
    return Answer({"tenant": tenant_data(tenant)}, view)


def contents_table(contents: Mapping[str, int]) -> "RenderableType":
    """Return rows or documents by table or collection, as a table."""
    rows = [(name, str(count)) for name, count in sorted(contents.items())]
    return table(("table or collection", "rows or documents"), rows, empty="Nothing was there.")


def _moment(tenant: Tenant) -> str:
    return _shown(tenant.created_at)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
