"""A plugin's manifest: the file from which `prismicx plugin publish` publishes it.

    name = "crm-suite"
    type = "crm"

    [[versions]]
    version = "1.0.0"
    features = ["leads"]
    configuration = { currency = "EUR" }

    [[migrations]]
    version_to = "1.0.0"
    script = "CREATE TABLE ${schema}.leads (…);"

    [[migrations]]
    version_from = "1.0.0"
    version_to = "1.1.0"
    script_file = "1.1.0.sql"
    down_file = "1.1.0-down.sql"        # leads back; or down = "…", or neither

JSON has the same keys.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from prismicx.domain.errors import InvalidManifestError
from prismicx.domain.identifiers import PluginType, Version
from prismicx.domain.plugins import PluginVersion, SchemaMigration, plugin_name


class ManifestVersion(BaseModel):
    """One version: the features that it offers, and the configuration that a tenant starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Version
    features: tuple[str, ...] = ()
    configuration: dict[str, JsonValue] = Field(default_factory=dict)


class ManifestMigration(BaseModel):
    """The script to a version, in the manifest (`script`) or in a file beside it or below (`script_file`).

    The one that leads back from it, if there is one, is given likewise (`down` or `down_file`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version_from: Version | None = None
    version_to: Version
    script: str | None = None
    script_file: Path | None = None
    down: str | None = None
    down_file: Path | None = None

    @model_validator(mode="after")
    def _has_one_script(self) -> Self:
        if (self.script is None) is (self.script_file is None):
            raise ValueError("give one of script and script_file")
        if self.down is not None and self.down_file is not None:
            raise ValueError("give one of down and down_file, or neither")
        for name, file in (("script_file", self.script_file), ("down_file", self.down_file)):
            if file is not None and (file.is_absolute() or ".." in file.parts):
                raise ValueError(f"{name} must lie beside the manifest or below")
        return self


class PluginManifest(BaseModel):
    """What a manifest says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: PluginType
    versions: Annotated[tuple[ManifestVersion, ...], Field(min_length=1)]
    migrations: tuple[ManifestMigration, ...] = ()

    @model_validator(mode="after")
    def _versions_and_migrations_fit(self) -> Self:
        versions = [version.version for version in self.versions]
        targets = [migration.version_to for migration in self.migrations]
        for kind, named in (("version", versions), ("migration to version", targets)):
            for version in named:
                if named.count(version) > 1:
                    raise ValueError(f"{kind} {version} is there twice")
        for target in targets:
            if target not in versions:
                raise ValueError(f"there is a migration to version {target}, but no such version")
        return self


@dataclass(frozen=True, slots=True)
class Release:
    """One version as it is published: with the migration that leads to it, if any."""

    version: PluginVersion
    migration: SchemaMigration | None


@dataclass(frozen=True, slots=True)
class Publication:
    """What a manifest publishes: a plugin's releases, oldest first."""

    name: str
    type: PluginType
    releases: tuple[Release, ...]


def read_manifest(path: Path) -> Publication:
    """Return what the manifest publishes; nothing but files is read.

    Raises:
        InvalidManifestError: a file cannot be read, or what it says does not fit; every problem is named.
        InvalidMigrationError: a script cannot be run.
        InvalidNameError: the plugin's name is not acceptable.
    """
    manifest = _parsed(path)
    scripts = {migration.version_to: _migration(migration, path) for migration in manifest.migrations}
    releases = tuple(
        Release(
            PluginVersion(version=known.version, features=known.features, defaults=known.configuration),
            scripts.get(known.version),
        )
        for known in sorted(manifest.versions, key=lambda known: known.version)
    )
    return Publication(plugin_name(manifest.name), manifest.type, releases)


def _parsed(path: Path) -> PluginManifest:
    text = _text(path, manifest=path)
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidManifestError(str(path), [f"it is not {path.suffix[1:].upper() or 'TOML'}: {error}"]) from error
    try:
        return PluginManifest.model_validate(content)
    except ValidationError as error:
        raise InvalidManifestError(
            str(path), [_problem(found["loc"], found["msg"]) for found in error.errors()]
        ) from error


def _migration(migration: ManifestMigration, manifest: Path) -> SchemaMigration:
    return SchemaMigration(
        version_from=migration.version_from,
        version_to=migration.version_to,
        script=_script(migration.script, migration.script_file, manifest) or "",
        down=_script(migration.down, migration.down_file, manifest),
    )


def _script(script: str | None, file: Path | None, manifest: Path) -> str | None:
    return script if file is None else _text(manifest.parent / file, manifest=manifest)


def _text(path: Path, *, manifest: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InvalidManifestError(str(manifest), [f"{path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise InvalidManifestError(str(manifest), [f"{path} is not text in UTF-8"]) from error


def _problem(location: tuple[int | str, ...], message: str) -> str:
    place = ".".join(map(str, location))
    text = message.removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
