"""Plugins as they are published: versions, and the migrations that lead from one to the next."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    ChecksumMismatchError,
    DuplicateEntityError,
    InvalidMigrationError,
    InvalidNameError,
    InvalidSpecificationError,
    PluginNotFoundError,
)
from prismicx.domain.events import PluginVersionPublished
from prismicx.domain.identifiers import PluginType, Version
from prismicx.domain.specification import require_storable_text

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*", re.ASCII)
_LONGEST_NAME: Final = 60
_PLACEHOLDER: Final = "${schema}"


class SchemaMigration(BaseModel):
    """The script that brings a tenant's schema from one version of a plugin to a later one.

    Args:
        version_from: the version it starts from; `None` starts from nothing.
        version_to: the version it leads to.
        script: SQL statements, in which `${schema}` stands for the quoted name of the tenant's schema.
        down: statements of the same kind that take back what the script did; `None` where nothing leads back.

    Raises:
        InvalidMigrationError: a script names no `${schema}` or holds another `${`, or it leads to no later version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version_from: Version | None = None
    version_to: Version
    script: str
    down: str | None = None

    def __init__(
        self, *, version_to: Version, script: str, version_from: Version | None = None, down: str | None = None
    ) -> None:
        super().__init__(
            version_from=version_from,
            version_to=version_to,
            script=_checked_script(script),
            down=None if down is None else _checked_script(down),
        )
        if self.version_from is not None and not self.version_from < self.version_to:
            raise InvalidMigrationError(f"a migration from {version_from} cannot lead to {version_to}")

    @property
    def checksum(self) -> str:
        """The SHA-256 of the script, in hexadecimal."""
        return _sha256(self.script)

    @property
    def down_checksum(self) -> str | None:
        """The SHA-256 of the down script, in hexadecimal; `None` without one."""
        return None if self.down is None else _sha256(self.down)


class AppliedMigration(BaseModel):
    """What a schema's own ledger says of one script that was run there: to which version, which script, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version
    checksum: str
    applied_at: datetime


class PluginVersion(BaseModel):
    """One version of a plugin: the features it offers, and the configuration that a tenant starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Version
    features: tuple[str, ...] = ()
    defaults: dict[str, JsonValue] = Field(default_factory=dict)


class Plugin(AggregateRoot):
    """What can be installed for a tenant: versions, and the migrations between them.

    A version without a migration of its own leaves the schema as the newest earlier version with one made it.
    At most one migration leads to a version. What has been published never changes.
    """

    name: str = Field(frozen=True)
    type: PluginType = Field(frozen=True)
    versions: tuple[PluginVersion, ...] = ()
    migrations: tuple[SchemaMigration, ...] = ()

    @classmethod
    def named(cls, name: str, plugin_type: PluginType) -> Self:
        """Return a new plugin without versions.

        Raises:
            InvalidNameError: the name is not `[a-z]`, then `[a-z0-9]` with single inner `_` or `-`, at most 60 in all.
        """
        return cls(name=plugin_name(name), type=plugin_type)

    def publish(self, version: PluginVersion, migration: SchemaMigration | None = None) -> None:
        """Add a version and the migration that leads to it; publishing the very same again does nothing.

        A version older than the newest can still be added, without a migration.

        Raises:
            ChecksumMismatchError: the version is published, with another script, or another one back.
            DuplicateEntityError: the version is published, with other features, defaults or start of its migration.
            InvalidMigrationError: the migration leads to another version, starts from one that is not published, or
                would change what later versions stand on.
        """
        if any(known.version == version.version for known in self.versions):
            self._require_unchanged(version, migration)
            return
        if migration is not None:
            self._require_fitting(version.version, migration)
            self.migrations = (*self.migrations, migration)
        self.versions = tuple(sorted((*self.versions, version), key=lambda known: known.version))
        self.record(PluginVersionPublished(plugin=self.name, version=version.version))

    @property
    def newest(self) -> PluginVersion:
        """The newest version.

        Raises:
            PluginNotFoundError: none is published.
        """
        if not self.versions:
            raise PluginNotFoundError(self.name)
        return self.versions[-1]

    def of_version(self, version: Version) -> PluginVersion:
        """Return what was published as this version.

        Raises:
            PluginNotFoundError: nothing was.
        """
        for known in self.versions:
            if known.version == version:
                return known
        raise PluginNotFoundError(self.name, version.value)

    def chain(self, installed: Version | None, wanted: Version) -> tuple[SchemaMigration, ...]:
        """Return the migrations that lead from the installed version to the wanted one, in order.

        The schema of a version is the one that the newest migration to it or to an earlier version made. The chain is
        followed back from the wanted version, from each migration to the version it starts from, until the schema of
        the installed version is met; where both have the same schema it is empty. Nothing installed is met by a
        migration that starts from nothing.

        Raises:
            PluginNotFoundError: one of the versions is not published.
            InvalidMigrationError: the wanted version is older, or no migrations lead to it from the installed one.
        """
        if installed is not None and wanted < installed:
            raise InvalidMigrationError(f"plugin {self.name} cannot go back from {installed} to {wanted}")
        start, migration = self._latest_migration(installed), self._latest_migration(wanted)
        chain: list[SchemaMigration] = []
        while migration != start:
            if migration is None:
                raise InvalidMigrationError(f"no migrations of plugin {self.name} lead from {installed} to {wanted}")
            chain.append(migration)
            migration = self._latest_migration(migration.version_from)
        return tuple(reversed(chain))

    def way_to(self, version: Version | None) -> tuple[SchemaMigration, ...]:
        """Return all migrations that a schema of this version has come through, in order; none of nothing.

        Raises:
            PluginNotFoundError: the version is not published.
            InvalidMigrationError: no migrations lead to it from nothing.
        """
        return () if version is None else self.chain(None, version)

    def way_back(self, installed: Version, wanted: Version | None) -> tuple[SchemaMigration, ...]:
        """Return the migrations whose down scripts lead back from one version to another, or to nothing; newest first.

        Raises:
            PluginNotFoundError: one of the versions is not published.
            InvalidMigrationError: the wanted version is later, or one of the migrations has no down script.
        """
        back = tuple(reversed(self.chain(wanted, installed)))
        for migration in back:
            if migration.down is None:
                raise InvalidMigrationError(
                    f"no down script of plugin {self.name} leads back from {migration.version_to}"
                )
        return back

    def _latest_migration(self, version: Version | None) -> SchemaMigration | None:
        if version is None:
            return None
        self.of_version(version)
        earlier = (migration for migration in self.migrations if migration.version_to <= version)
        return max(earlier, key=lambda migration: migration.version_to, default=None)

    def _require_unchanged(self, version: PluginVersion, migration: SchemaMigration | None) -> None:
        published = next((known for known in self.migrations if known.version_to == version.version), None)
        for before, after in zip(_checksums(published), _checksums(migration), strict=True):
            if before != after:
                raise ChecksumMismatchError(
                    plugin=self.name, version=version.version.value, applied=before, given=after
                )
        if published != migration or self.of_version(version.version) != version:
            raise DuplicateEntityError("PluginVersion", ("plugin", "version"))

    def _require_fitting(self, version: Version, migration: SchemaMigration) -> None:
        subject = f"the migration of plugin {self.name} to {migration.version_to}"
        if migration.version_to != version:
            raise InvalidMigrationError(f"{subject} cannot be published with version {version}")
        if self.versions and version < self.newest.version:
            raise InvalidMigrationError(f"{subject} would change what {self.newest.version}, published, stands on")
        if migration.version_from is not None and migration.version_from not in {v.version for v in self.versions}:
            raise InvalidMigrationError(f"{subject} starts from {migration.version_from}, which is not published")


def plugin_name(name: str) -> str:
    """Return the name of a plugin unchanged.

    Raises:
        InvalidNameError: it is not `[a-z]`, then `[a-z0-9]` with single inner `_` or `-`, at most 60 in all.
    """
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        rule = f"only a-z, 0-9 and single inner '_' or '-', a letter first, at most {_LONGEST_NAME} characters"
        raise InvalidNameError("plugin's name", name, rule)
    return name


def _checksums(migration: SchemaMigration | None) -> tuple[str, str]:
    if migration is None:
        return "(no script)", "(no down script)"
    return migration.checksum, migration.down_checksum or "(no down script)"


def _sha256(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _checked_script(script: str) -> str:
    if _PLACEHOLDER not in script:
        raise InvalidMigrationError("a migration names the tenant's schema as ${schema}, and this one does not")
    if "${" in script.replace(_PLACEHOLDER, ""):
        raise InvalidMigrationError("a migration has no other placeholder than ${schema}; this one has another '${'")
    try:
        require_storable_text(script, "a migration")
    except InvalidSpecificationError as error:
        raise InvalidMigrationError(str(error)) from error
    return script
