"""`prismicx plugin …` on real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

FIRST = """
name = "crm-suite"
type = "crm"

[[versions]]
version = "1.0.0"
features = ["leads"]
configuration = { currency = "EUR" }

[[migrations]]
version_to = "1.0.0"
script = "CREATE TABLE ${schema}.leads (id uuid PRIMARY KEY); CREATE INDEX ON ${schema}.leads (id);"
"""

SECOND = """
[[versions]]
version = "1.1.0"
features = ["leads", "notes"]

[[migrations]]
version_from = "1.0.0"
version_to = "1.1.0"
script = "ALTER TABLE ${schema}.leads ADD COLUMN note text;"
"""

BROKEN = """
[[versions]]
version = "1.2.0"

[[migrations]]
version_from = "1.1.0"
version_to = "1.2.0"
script = "ALTER TABLE ${schema}.leads ADD COLUMN rating int; ALTER TABLE ${schema}.nowhere ADD COLUMN rating int;"
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.toml"
    path.write_text(FIRST)
    return path


@pytest.fixture
def tenant(platform: Any) -> str:
    platform.data("tenant", "create", "Acme Ltd", "--id", "acme")
    return "acme"


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_a_plugin_is_published_installed_upgraded_and_uninstalled(platform: Any, manifest: Path, tenant: str) -> None:
    published = platform.data("plugin", "publish", str(manifest))["plugin"]
    settings = ("--feature", "leads", "--set", "limit=3", "--set", "greeting=hello")
    installed = platform.data("plugin", "install", tenant, "crm-suite", *settings)["installation"]
    manifest.write_text(FIRST + SECOND)
    platform.data("plugin", "publish", str(manifest))
    upgraded = platform.data("plugin", "upgrade", tenant, "crm-suite", "--version", "1.1.0")["installation"]
    listed = platform.data("plugin", "list", "--tenant", tenant)
    uninstalled = platform.data("plugin", "uninstall", tenant, "crm-suite")["installation"]

    assert [version["version"] for version in published["versions"]] == ["1.0.0"]
    assert installed == {
        "tenant": "acme",
        "plugin": "crm-suite",
        "type": "crm",
        "status": "active",
        "version": "1.0.0",
        "features": ["leads"],
        "configuration": {"currency": "EUR", "limit": 3, "greeting": "hello"},
        "error": None,
    }
    assert upgraded == installed | {"version": "1.1.0"}
    assert listed == {"installations": [upgraded]}
    assert uninstalled["status"] == "uninstalled"


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_a_failing_migration_is_reported_with_its_reason_and_recorded(
    platform: Any, manifest: Path, tenant: str
) -> None:
    manifest.write_text(FIRST + SECOND + BROKEN)
    platform.data("plugin", "publish", str(manifest))
    before = platform.data("plugin", "install", tenant, "crm-suite", "--version", "1.1.0")["installation"]

    failed = platform("plugin", "upgrade", tenant, "crm-suite", "--json")
    listed = platform.data("plugin", "list", "--tenant", tenant)["installations"]

    assert failed.exit_code == 1
    assert "nowhere" in failed.stderr
    assert '"code": "plugin_installation"' in failed.stdout
    assert "Traceback" not in failed.output
    assert listed[0] == before | {"status": "failed", "error": listed[0]["error"]}
    assert "nowhere" in listed[0]["error"]
    assert "nowhere" in platform("plugin", "list", "--tenant", tenant).stdout


def test_published_plugins_are_listed(platform: Any, manifest: Path) -> None:
    assert platform.data("plugin", "list") == {"plugins": []}

    plugin = platform.data("plugin", "publish", str(manifest))["plugin"]

    assert platform.data("plugin", "list") == {"plugins": [plugin]}
    assert set(plugin["migrations"][0]) == {"version_from", "version_to", "checksum", "leads_back"}
    assert "crm-suite" in platform("plugin", "list").stdout


def test_people_get_tables(platform: Any, manifest: Path, tenant: str) -> None:
    assert "crm-suite" in platform("plugin", "publish", str(manifest)).stdout
    assert "has no plugins" in platform("plugin", "list", "--tenant", tenant).stdout
    assert "active" in platform("plugin", "install", tenant, "crm-suite").stdout
    assert "active" in platform("plugin", "upgrade", tenant, "crm-suite").stdout
    assert "uninstalled" in platform("plugin", "uninstall", tenant, "crm-suite").stdout


def test_publishing_again_changes_nothing(platform: Any, manifest: Path) -> None:
    first = platform.data("plugin", "publish", str(manifest))

    assert platform.data("plugin", "publish", str(manifest)) == first


def test_only_the_new_version_needs_to_be_in_the_manifest(platform: Any, manifest: Path) -> None:
    platform.data("plugin", "publish", str(manifest))
    manifest.write_text('name = "crm-suite"\ntype = "crm"\n' + SECOND)

    plugin = platform.data("plugin", "publish", str(manifest))["plugin"]

    assert [version["version"] for version in plugin["versions"]] == ["1.0.0", "1.1.0"]


def test_where_one_version_does_not_fit_none_is_published(platform: Any, manifest: Path) -> None:
    manifest.write_text(FIRST + SECOND.replace('version_from = "1.0.0"', 'version_from = "0.9.0"'))

    refused = platform.data("plugin", "publish", str(manifest), exit_code=1)

    assert refused["error"]["code"] == "invalid_migration"
    assert platform.data("plugin", "list") == {"plugins": []}


def test_a_published_script_never_changes(platform: Any, manifest: Path) -> None:
    platform.data("plugin", "publish", str(manifest))
    manifest.write_text(FIRST.replace("uuid PRIMARY KEY", "text PRIMARY KEY"))

    refused = platform.data("plugin", "publish", str(manifest), exit_code=1)

    assert refused["error"]["code"] == "checksum_mismatch"


def test_what_is_not_published_or_not_installed_is_refused(platform: Any, manifest: Path, tenant: str) -> None:
    unpublished = platform.data("plugin", "install", tenant, "crm-suite", exit_code=1)
    platform.data("plugin", "publish", str(manifest))
    uninstalled = platform.data("plugin", "upgrade", tenant, "crm-suite", exit_code=1)
    suspended = platform.data("tenant", "suspend", tenant)["tenant"]["id"]
    inactive = platform.data("plugin", "install", suspended, "crm-suite", exit_code=1)

    assert unpublished["error"]["code"] == "plugin_not_found"
    assert uninstalled["error"]["code"] == "plugin_not_installed"
    assert inactive["error"]["code"] == "tenant_not_active"


def test_the_schema_of_a_failed_upgrade_is_as_it_was(platform: Any, manifest: Path, tenant: str) -> None:
    manifest.write_text(FIRST + SECOND + BROKEN)
    platform.data("plugin", "publish", str(manifest))
    platform.data("plugin", "install", tenant, "crm-suite", "--version", "1.1.0")
    platform("plugin", "upgrade", tenant, "crm-suite")
    manifest.write_text(
        FIRST
        + SECOND
        + BROKEN
        + BROKEN.replace("1.2.0", "1.3.0").replace(".nowhere ADD COLUMN rating", ".leads ADD COLUMN stars")
    )
    platform.data("plugin", "publish", str(manifest))

    # Version 1.3.0 adds the same column as the failed 1.2.0 did before it failed.
    upgraded = platform.data("plugin", "upgrade", tenant, "crm-suite", "--version", "1.3.0")["installation"]

    assert (upgraded["status"], upgraded["version"]) == ("active", "1.3.0")
