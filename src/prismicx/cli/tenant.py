"""`prismicx tenant …`: the life of tenants."""

from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import JsonValue
from rich.console import Group

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, record, table
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES, Tenant, TenantStatus

if TYPE_CHECKING:
    from rich.console import RenderableType

app: Final = typer.Typer(help="Create tenants, look at them, suspend and resume them.", no_args_is_help=True)

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
) -> Answer:
    """Register a tenant and make its place in every database.

    After a failure the tenant stays in `provisioning` and the reason is recorded: `tenant resume` goes on.
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
            )
    return _one(tenant)


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
    """Show one tenant: its state, its place, and how each step towards it went."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        return _one(await services.tenants().get(tenant_id))


@app.command("suspend")
@command
async def suspend(call: Call, tenant: TenantArgument) -> Answer:
    """Let nobody into a tenant until it is resumed; its data stays."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        return _one(await services.tenants().suspend(tenant_id))


@app.command("resume")
@command
async def resume(call: Call, tenant: TenantArgument) -> Answer:
    """Let everybody into a suspended tenant again, or go on with making the place of one in `provisioning`."""
    tenant_id = TenantId(tenant)
    async with call.services() as services:
        tenants = services.tenants()
        if (await tenants.get(tenant_id)).status is TenantStatus.PROVISIONING:
            with call.progress(f"making the place of {tenant_id}"):
                return _one(await tenants.resume_provisioning(tenant_id))
        return _one(await tenants.resume(tenant_id))


def tenant_data(tenant: Tenant) -> dict[str, JsonValue]:
    """Return what `--json` says of a tenant."""
    steps = () if tenant.operation is None else tenant.operation.steps
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
            for step in steps
        ],
        "failure": tenant.failure,
    }


def _one(tenant: Tenant) -> Answer:
    database = tenant.database_config
    facts = {
        "id": str(tenant.tenant_id),
        "status": tenant.status.value,
        "region": str(tenant.region),
        "tier": str(tenant.tier),
        "created": _moment(tenant),
        "plugin types": ", ".join(map(str, tenant.plugin_types)),
        "database": f"{database.database_name} ({database.type}, connection {database.connection})",
        "failure": tenant.failure or "",
    }
    steps = () if tenant.operation is None else tenant.operation.steps
    rows = [(step.name, step.status.value, str(step.attempts), step.error or "") for step in steps]
    view: RenderableType = Group(
        record(tenant.name, facts), table(("step", "status", "attempts", "error"), rows, empty="No steps are recorded.")
    )
    return Answer({"tenant": tenant_data(tenant)}, view)


def _moment(tenant: Tenant) -> str:
    return tenant.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
