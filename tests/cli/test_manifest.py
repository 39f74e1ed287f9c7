"""Manifests: the files that plugins are published from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prismicx.cli.manifest import read_manifest
from prismicx.domain.errors import InvalidManifestError, InvalidMigrationError, InvalidNameError
from prismicx.domain.identifiers import PluginType, Version

MANIFEST = """
name = "crm-suite"
type = "crm"

[[versions]]
version = "1.10.0"

[[versions]]
version = "1.9.0"
features = ["leads"]
configuration = { currency = "EUR", limits = [1, 2] }

[[migrations]]
version_from = "1.9.0"
version_to = "1.10.0"
script_file = "scripts/1.10.0.sql"

[[migrations]]
version_to = "1.9.0"
script = "CREATE TABLE ${schema}.leads (id uuid);"
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "1.10.0.sql").write_text("ALTER TABLE ${schema}.leads ADD COLUMN name text;")
    (tmp_path / "plugin.toml").write_text(MANIFEST)
    return tmp_path / "plugin.toml"


def test_releases_come_oldest_first_with_their_scripts(manifest: Path) -> None:
    publication = read_manifest(manifest)

    assert (publication.name, publication.type) == ("crm-suite", PluginType("crm"))
    first, second = publication.releases
    assert (first.version.version, first.version.features) == (Version("1.9.0"), ("leads",))
    assert first.version.defaults == {"currency": "EUR", "limits": [1, 2]}
    assert first.migration is not None
    assert first.migration.version_from is None
    assert second.migration is not None
    assert second.migration.version_from == Version("1.9.0")
    assert second.migration.script == "ALTER TABLE ${schema}.leads ADD COLUMN name text;"


def test_json_says_the_same(manifest: Path) -> None:
    content = {
        "name": "crm-suite",
        "type": "crm",
        "versions": [
            {"version": "1.9.0", "features": ["leads"], "configuration": {"currency": "EUR", "limits": [1, 2]}},
            {"version": "1.10.0"},
        ],
        "migrations": [
            {"version_to": "1.9.0", "script": "CREATE TABLE ${schema}.leads (id uuid);"},
            {"version_from": "1.9.0", "version_to": "1.10.0", "script_file": "scripts/1.10.0.sql"},
        ],
    }
    as_json = manifest.with_suffix(".json")
    as_json.write_text(json.dumps(content))

    assert read_manifest(as_json) == read_manifest(manifest)


def _changed(manifest: Path, before: str, after: str) -> Path:
    text = manifest.read_text()
    assert before in text
    manifest.write_text(text.replace(before, after))
    return manifest


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('type = "crm"', "", "type: Field required"),
        ('type = "crm"', 'type = "CRM; DROP"', "type: 'CRM; DROP' is not a plugin type"),
        ('type = "crm"', 'type = "crm"\nlicence = "MIT"', "licence: Extra inputs are not permitted"),
        ('version = "1.10.0"\n', 'version = "1.10"\n', "versions.0.version: '1.10' is not a version"),
        ('version = "1.10.0"\n', 'version = "1.9.0"\n', "version 1.9.0 is there twice"),
        ('version_to = "1.10.0"', 'version_to = "1.9.0"', "migration to version 1.9.0 is there twice"),
        ('version_to = "1.10.0"', 'version_to = "2.0.0"', "a migration to version 2.0.0, but no such version"),
        ('script_file = "scripts/1.10.0.sql"', "", "migrations.0: give one of script and script_file"),
        ("scripts/1.10.0.sql", "../1.10.0.sql", "migrations.0: script_file must lie beside the manifest"),
        ("scripts/1.10.0.sql", "/etc/passwd", "migrations.0: script_file must lie beside the manifest"),
        ("scripts/1.10.0.sql", "scripts/none.sql", "none.sql cannot be read: No such file"),
        ("[[versions]]", "[[versions", "it is not TOML"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(manifest: Path, before: str, after: str, problem: str) -> None:
    with pytest.raises(InvalidManifestError) as refused:
        read_manifest(_changed(manifest, before, after))

    assert problem in str(refused.value)
    assert refused.value.path == str(manifest)


def test_a_manifest_without_versions_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "plugin.json"
    manifest.write_text('{"name": "crm-suite", "type": "crm", "versions": []}')

    with pytest.raises(InvalidManifestError, match="versions"):
        read_manifest(manifest)


def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.toml")


def test_a_manifest_that_is_not_text_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "plugin.toml"
    manifest.write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidManifestError, match="not text in UTF-8"):
        read_manifest(manifest)


def test_a_hostile_name_is_refused(manifest: Path) -> None:
    with pytest.raises(InvalidNameError):
        read_manifest(_changed(manifest, '"crm-suite"', '"crm\'; DROP SCHEMA public"'))


def test_a_script_without_the_schema_is_refused(manifest: Path) -> None:
    with pytest.raises(InvalidMigrationError, match="schema"):
        read_manifest(_changed(manifest, "${schema}.leads (id", "leads (id"))
