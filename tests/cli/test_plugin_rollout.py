"""`prismicx plugin upgrade --all`, `downgrade`, `retry`, `abandon`, `verify` and `uninstall --purge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prismicx.cli import rollout as shown
from prismicx.cli.rollout import plan_of
from prismicx.domain.errors import InvalidRolloutError
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import Plugin, PluginVersion
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, Tally

FIRST = """
name = "desk"
type = "crm"

[[versions]]
version = "1.0.0"

[[migrations]]
version_to = "1.0.0"
script = "CREATE TABLE ${schema}.notes (id int PRIMARY KEY);"
down = "DROP TABLE ${schema}.notes;"
"""

SECOND = """
[[versions]]
version = "1.1.0"

[[migrations]]
version_from = "1.0.0"
version_to = "1.1.0"
script = "INSERT INTO ${schema}.notes VALUES (7); ALTER TABLE ${schema}.notes ADD body text;"
down_file = "1.1.0-down.sql"
"""

TENANTS = ("acme", "globex")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.toml"
    path.write_text(FIRST)
    (tmp_path / "1.1.0-down.sql").write_text("ALTER TABLE ${schema}.notes DROP body; DELETE FROM ${schema}.notes;")
    return path


@pytest.fixture
def fleet(platform: Any, manifest: Path) -> Any:
    """Two tenants that have the first version; the second is published."""
    platform.data("plugin", "publish", str(manifest))
    for tenant in TENANTS:
        platform.data("tenant", "create", tenant.title(), "--id", tenant, "--plugin-type", "crm")
        platform.data("plugin", "install", tenant, "desk")
    manifest.write_text(FIRST + SECOND)
    platform.data("plugin", "publish", str(manifest))
    return platform


def version(platform: Any, tenant: str) -> str | None:
    (found,) = platform.data("plugin", "list", "--tenant", tenant)["installations"]
    installed: str | None = found["version"]
    return installed


def test_every_tenant_is_upgraded_and_then_nothing_is_left(fleet: Any) -> None:
    rollout = fleet.data("plugin", "upgrade", "desk", "--all", "--canary", "globex", "--waves", "50,100")["rollout"]
    again = fleet("plugin", "upgrade", "desk", "--all")
    checked = fleet.data("plugin", "verify", "desk")

    assert rollout == {
        "plugin": "desk",
        "version": "1.1.0",
        "status": "done",
        "tenants": 2,
        "upgraded": 2,
        "failed": 0,
        "skipped": 0,
        "wave": 2,
        "waves": [50, 100],
        "canaries": ["globex"],
        "concurrency": 4,
        "error_budget": "0",
        "reason": None,
    }
    assert [version(fleet, tenant) for tenant in TENANTS] == ["1.1.0"] * 2
    assert again.stdout == "There is nothing to do: no tenant has an earlier version of desk.\n"
    assert fleet.data("plugin", "upgrade", "desk", "--all") == {"rollout": None}
    assert checked == {"plugin": "desk", "checked": 2, "drifts": []}
    assert "2 schemas are what the registry says" in fleet("plugin", "verify", "desk").stdout


def test_a_rollout_pauses_with_an_exit_code_of_its_own_and_is_resumed(fleet: Any, postgres: Any) -> None:
    run(postgres, 'INSERT INTO "tenant_globex_crm".notes VALUES (7)')

    paused = fleet("plugin", "upgrade", "desk", "--all", "--canary", "globex", "--concurrency", "1")
    failed = fleet.data("plugin", "retry", "globex", "desk", exit_code=1)
    run(postgres, 'DELETE FROM "tenant_globex_crm".notes')
    resumed = fleet("plugin", "upgrade", "desk", "--all", "--resume", "--error-budget", "1")

    assert paused.exit_code == 6
    assert "1 failed, the error budget is 0" in paused.stdout
    assert "desk 1.1.0: running, wave 4 of 4: 0 of 2 upgraded, 1 failed, 0 skipped" in paused.stderr
    assert failed["error"]["code"] == "plugin_installation"
    assert resumed.exit_code == 0
    assert "done" in resumed.stdout
    assert [version(fleet, tenant) for tenant in TENANTS] == ["1.1.0"] * 2


def test_what_failed_is_taken_back_what_has_drifted_is_found_and_what_is_installed_goes_back(
    fleet: Any, postgres: Any
) -> None:
    run(postgres, 'INSERT INTO "tenant_acme_crm".notes VALUES (7)')
    assert fleet("plugin", "upgrade", "acme", "desk").exit_code == 1

    abandoned = fleet.data("plugin", "abandon", "acme", "desk")["installation"]
    assert fleet("plugin", "upgrade", "acme", "desk").exit_code == 1
    interrupted = "UPDATE prismicx.tenant_plugins SET status = 'upgrading', interrupted = NULL WHERE status = 'failed'"
    run(postgres, interrupted)
    failed = fleet.data("tenant", "reconcile", exit_code=1)["reconciled"]
    run(postgres, interrupted)
    run(postgres, 'DELETE FROM "tenant_acme_crm".notes')
    finished = fleet("tenant", "reconcile")
    run(postgres, "UPDATE \"tenant_globex_crm\".prismicx_migrations SET checksum = 'other'")
    drifted = fleet.data("plugin", "verify", "desk", exit_code=7)
    refused = fleet.data("plugin", "upgrade", "globex", "desk", exit_code=1)
    back = fleet.data("plugin", "downgrade", "acme", "desk", "1.0.0")["installation"]
    purged = fleet.data("plugin", "uninstall", "acme", "desk", "--purge")["installation"]

    assert (abandoned["status"], abandoned["version"]) == ("active", "1.0.0")
    assert [(one["tenant"], one["plugin"], one["outcome"]) for one in failed] == [("acme", "desk", "failed")]
    assert "active" in finished.stdout
    assert [drift["tenant"] for drift in drifted["drifts"]] == ["globex"]
    assert "was run as other" in drifted["drifts"][0]["problem"]
    assert "applied with checksum other" in refused["error"]["message"]
    assert fleet.data("plugin", "verify", "desk", "--tenant", "acme")["checked"] == 1
    assert (back["status"], back["version"]) == ("active", "1.0.0")
    assert (purged["status"], purged["version"]) == ("uninstalled", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("desk",),
        ("acme", "desk", "--all"),
        ("acme", "desk", "--resume"),
        ("acme", "desk", "--waves", "1,100"),
        ("desk", "--all", "--feature", "export"),
        ("desk", "--all", "--set", "limit=1"),
        ("desk", "--all", "--waves", "some"),
    ],
)
def test_options_that_do_not_go_together_are_refused(nothing: Any, arguments: tuple[str, ...]) -> None:
    assert nothing("plugin", "upgrade", *arguments).exit_code == 2


@pytest.mark.parametrize(
    "options", [{"waves": "50"}, {"waves": "100,50"}, {"waves": "0,100"}, {"concurrency": 0}, {"error_budget": "101%"}]
)
def test_a_plan_that_cannot_be_carried_out_is_refused(options: Any) -> None:
    given = {"canary": None, "waves": None, "concurrency": None, "error_budget": None}

    with pytest.raises(InvalidRolloutError):
        plan_of(**given | options)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shown, "Console", lambda **options: Console(force_terminal=True, **options))
    plugin = Plugin.named("desk", PluginType("crm"))
    plugin.publish(PluginVersion(version=Version("1.0.0")))
    rollout = PluginRollout.begin(plugin, Version("1.0.0"), RolloutPlan(canaries=[TenantId("acme")]), left=8)
    rollout.note(Tally(upgraded=5, failed=1))

    with shown._progress("desk", as_json=False) as report:
        report(rollout)

    told = capsys.readouterr()
    assert "6/8" in told.err
    assert "1 failed" in told.err
    assert told.out == ""


def run(postgres: Any, sql: str) -> None:
    import asyncpg

    from prismicx.testing.databases import finish

    async def carry_out() -> None:
        connection = await asyncpg.connect(postgres.superuser_dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    finish(carry_out())
