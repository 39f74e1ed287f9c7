"""`prismicx plugin …`: what is published, and what tenants have of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import JsonValue

from prismicx.cli.command import Call, command
from prismicx.cli.manifest import Publication, read_manifest
from prismicx.cli.output import Answer, record, table
from prismicx.cli.rollout import plan_of, roll_out
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.installations import TenantPlugin
from prismicx.domain.plugins import Plugin, plugin_name
from prismicx.domain.registry import PluginRepository

if TYPE_CHECKING:
    from prismicx.domain.ports import Backend

_ALL: Final = "All tenants"

app: Final = typer.Typer(help="Publish plugins, and install, upgrade and uninstall them.", no_args_is_help=True)

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
PluginArgument = Annotated[str, typer.Argument(metavar="PLUGIN", help="The plugin's name.")]
VersionOption = Annotated[str | None, typer.Option("--version", help="Which version; without it the newest.")]
FeatureOption = Annotated[list[str] | None, typer.Option("--feature", help="A feature to enable; may be repeated.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A configuration; the value is JSON or text. May be repeated."),
]


@app.command("publish")
@command
async def publish(
    call: Call, file: Annotated[Path, typer.Argument(metavar="FILE", help="The manifest, TOML or JSON.")]
) -> Answer:
    """Publish what a manifest describes: a plugin, its versions and their migrations.

    A version that is published already, just as it is in the manifest, is passed over. Where one version of the
    manifest does not fit, none is published.
    """
    publication = read_manifest(file)
    async with call.services() as services:
        await _rehearse(publication, services.registry())
        plugin = Plugin.named(publication.name, publication.type)
        for release in publication.releases:
            with call.progress(f"publishing {publication.name} {release.version.version}"):
                plugin = await services.plugins().publish(
                    publication.name, publication.type, release.version, release.migration
                )
    view = record(plugin.name, {"type": str(plugin.type), "versions": _versions(plugin)})
    return Answer({"plugin": plugin_data(plugin)}, view)


@app.command("install")
@command
async def install(
    call: Call,
    tenant: TenantArgument,
    plugin: PluginArgument,
    *,
    version: VersionOption = None,
    feature: FeatureOption = None,
    configuration: SetOption = None,
) -> Answer:
    """Install a plugin for a tenant, or begin again after a failure."""
    tenant_id, name, wanted = TenantId(tenant), plugin_name(plugin), _wanted(version)
    configurations = _configurations(configuration)
    async with call.services() as services:
        with call.progress(f"installing {name} for {tenant_id}"):
            installed = await services.plugins().install(
                tenant_id, name, version=wanted, configurations=configurations, features=feature
            )
    return installation_answer(installed)


@app.command("upgrade")
@command
async def upgrade(
    call: Call,
    names: Annotated[
        list[str],
        typer.Argument(metavar="[TENANT] PLUGIN", help="The tenant's id and the plugin's name; with --all the name."),
    ],
    *,
    version: VersionOption = None,
    feature: FeatureOption = None,
    configuration: SetOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every tenant that has an earlier version.")] = False,
    canary: Annotated[
        str | None, typer.Option(metavar="TENANT,…", help="With --all: tenants that come first.", rich_help_panel=_ALL)
    ] = None,
    waves: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT,…",
            help="With --all: after how many percent to wait and look; 1,10,50,100 unless given.",
            rich_help_panel=_ALL,
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="With --all: tenants at once; 4 unless given.", rich_help_panel=_ALL)
    ] = None,
    error_budget: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%",
            help="With --all: how many tenants may fail before it pauses; 0 unless given.",
            rich_help_panel=_ALL,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="With --all: go on with the rollout that paused or was interrupted, by its plan unless given anew.",
            rich_help_panel=_ALL,
        ),
    ] = False,
) -> Answer:
    """Bring a tenant's plugin to a later version, or every tenant's; a failure leaves the tenant what it had."""
    wanted = _wanted(version)
    configurations = _configurations(configuration)
    plan = plan_of(canary=canary, waves=waves, concurrency=concurrency, error_budget=error_budget)
    if every:
        if feature is not None or configurations is not None:
            raise typer.BadParameter("every tenant keeps its own features and configurations", param_hint="--all")
        (name,) = _named(names, "PLUGIN")
        return await roll_out(call, plugin_name(name), version=wanted, plan=plan, resume=resume)
    if plan is not None or resume:
        raise typer.BadParameter("it goes with --all", param_hint="--resume" if plan is None else "a rollout's plan")
    tenant, name = _named(names, "TENANT", "PLUGIN")
    tenant_id, name = TenantId(tenant), plugin_name(name)
    async with call.services() as services:
        with call.progress(f"upgrading {name} for {tenant_id}"):
            upgraded = await services.plugins().upgrade(
                tenant_id, name, version=wanted, configurations=configurations, features=feature
            )
    return installation_answer(upgraded)


@app.command("downgrade")
@command
async def downgrade(
    call: Call,
    tenant: TenantArgument,
    plugin: PluginArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The earlier version.")],
) -> Answer:
    """Bring a tenant's plugin back to an earlier version, by its down scripts."""
    tenant_id, name, wanted = TenantId(tenant), plugin_name(plugin), Version(version)
    async with call.services() as services:
        with call.progress(f"bringing {name} back for {tenant_id}"):
            return installation_answer(await services.plugins().downgrade(tenant_id, name, wanted))


@app.command("uninstall")
@command
async def uninstall(
    call: Call,
    tenant: TenantArgument,
    plugin: PluginArgument,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Take away what its migrations made, with the data, by its down scripts.")
    ] = False,
) -> Answer:
    """Uninstall a tenant's plugin; the tenant's schema and data stay, unless they are purged."""
    tenant_id, name = TenantId(tenant), plugin_name(plugin)
    async with call.services() as services:
        plugins = services.plugins()
        return installation_answer(await (plugins.purge if purge else plugins.uninstall)(tenant_id, name))


@app.command("list")
@command
async def list_plugins(
    call: Call,
    *,
    tenant: Annotated[str | None, typer.Option(help="List what this tenant has, or had, instead.")] = None,
) -> Answer:
    """List the published plugins, or what a tenant has installed."""
    if tenant is not None:
        return await _installed(call, TenantId(tenant))
    async with call.services() as services:
        plugins = await services.plugins().published()
    rows = [(plugin.name, str(plugin.type), _versions(plugin)) for plugin in plugins]
    view = table(("plugin", "type", "versions"), rows, empty="No plugins are published.")
    return Answer({"plugins": [plugin_data(plugin) for plugin in plugins]}, view)


def plugin_data(plugin: Plugin) -> dict[str, JsonValue]:
    """Return what `--json` says of a published plugin."""
    return {
        "name": plugin.name,
        "type": str(plugin.type),
        "versions": [
            {"version": str(known.version), "features": list(known.features), "configuration": known.defaults}
            for known in plugin.versions
        ],
        "migrations": [
            {
                "version_from": None if migration.version_from is None else str(migration.version_from),
                "version_to": str(migration.version_to),
                "checksum": migration.checksum,
                "leads_back": migration.down is not None,
            }
            for migration in plugin.migrations
        ],
    }


def installation_data(installed: TenantPlugin) -> dict[str, JsonValue]:
    """Return what `--json` says of a tenant's plugin."""
    return {
        "tenant": str(installed.tenant_id),
        "plugin": installed.plugin_name,
        "type": str(installed.plugin_type),
        "status": installed.status.value,
        "version": _installed_version(installed) or None,
        "features": list(installed.features_enabled),
        "configuration": installed.configurations,
        "error": installed.error_message,
    }


def installation_answer(installed: TenantPlugin) -> Answer:
    """Return what a command answers about a tenant's plugin."""
    facts = {
        "tenant": str(installed.tenant_id),
        "type": str(installed.plugin_type),
        "status": installed.status.value,
        "version": _installed_version(installed),
        "going to": "" if installed.pending is None else str(installed.pending.version),
        "features": ", ".join(installed.features_enabled),
        "configuration": json.dumps(installed.configurations),
        "error": installed.error_message or "",
    }
    return Answer({"installation": installation_data(installed)}, record(installed.plugin_name, facts))


async def _installed(call: Call, tenant_id: TenantId) -> Answer:
    async with call.services() as services:
        installations = await services.plugins().list(tenant_id)
    rows = [
        (
            installed.plugin_name,
            installed.status.value,
            _installed_version(installed),
            ", ".join(installed.features_enabled),
            installed.error_message or "",
        )
        for installed in installations
    ]
    columns = ("plugin", "status", "version", "features", "error")
    view = table(columns, rows, empty=f"Tenant {tenant_id} has no plugins.")
    return Answer({"installations": [installation_data(installed) for installed in installations]}, view)


async def _rehearse(publication: Publication, registry: "Backend") -> None:
    """Publish everything in a unit of work that is then discarded, so that it is all of it or nothing."""
    async with registry.registry(read_only=True) as unit:
        known = await unit.repository(PluginRepository).find_named(publication.name)
        plugin = known or Plugin.named(publication.name, publication.type)
        for release in publication.releases:
            plugin.publish(release.version, release.migration)


def _versions(plugin: Plugin) -> str:
    return ", ".join(str(known.version) for known in plugin.versions)


def _installed_version(installed: TenantPlugin) -> str:
    return "" if installed.installed_version is None else str(installed.installed_version)


def _named(names: list[str], *wanted: str) -> list[str]:
    if len(names) != len(wanted):
        raise typer.BadParameter(f"give {' and '.join(wanted)}", param_hint="[TENANT] PLUGIN")
    return names


def _wanted(version: str | None) -> Version | None:
    return None if version is None else Version(version)


def _configurations(pairs: list[str] | None) -> dict[str, JsonValue] | None:
    if pairs is None:
        return None
    configurations: dict[str, JsonValue] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise typer.BadParameter(f"{pair!r} is not of the form KEY=VALUE", param_hint="--set")
        configurations[key] = _value(value)
    return configurations


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
