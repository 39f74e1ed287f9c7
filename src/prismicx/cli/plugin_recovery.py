"""`prismicx plugin retry`, `abandon` and `verify`: what failures and crashes leave, and whether schemas are right."""

from typing import Annotated

import typer
from pydantic import JsonValue

from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, ExitCode, table
from prismicx.cli.plugin import PluginArgument, TenantArgument, installation_answer
from prismicx.domain.identifiers import TenantId
from prismicx.domain.plugins import plugin_name


@command
async def retry(call: Call, tenant: TenantArgument, plugin: PluginArgument) -> Answer:
    """Begin again what failed for a tenant's plugin, or go on with what a crash interrupted."""
    tenant_id, name = TenantId(tenant), plugin_name(plugin)
    async with call.services() as services:
        with call.progress(f"trying {name} for {tenant_id} again"):
            return installation_answer(await services.plugins().retry(tenant_id, name))


@command
async def abandon(call: Call, tenant: TenantArgument, plugin: PluginArgument) -> Answer:
    """Take back what failed or was interrupted: the tenant has what it had before."""
    tenant_id, name = TenantId(tenant), plugin_name(plugin)
    async with call.services() as services:
        with call.progress(f"taking {name} back for {tenant_id}"):
            return installation_answer(await services.plugins().abandon(tenant_id, name))


@command
async def verify(
    call: Call,
    plugin: PluginArgument,
    *,
    tenant: Annotated[str | None, typer.Option(help="Look at this tenant only.")] = None,
) -> Answer:
    """Compare tenants' schemas, by their own ledgers, with what is published and recorded; nothing is changed."""
    tenant_id, name = None if tenant is None else TenantId(tenant), plugin_name(plugin)
    async with call.services() as services:
        with call.progress(f"looking at the schemas of {name}"):
            found = await services.plugin_verification().verify(name, tenant_id)
    rows = [(str(drift.tenant_id), drift.problem) for drift in found.drifts]
    drifts: list[JsonValue] = [{"tenant": tenant, "problem": problem} for tenant, problem in rows]
    view = table(("tenant", "problem"), rows, empty=f"{found.checked} schemas are what the registry says.")
    exit_code = ExitCode.DRIFT if rows else ExitCode.DONE
    return Answer({"plugin": name, "checked": found.checked, "drifts": drifts}, view, exit_code)
