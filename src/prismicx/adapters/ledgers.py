"""What is left to do for a schema, by what its ledger says: one answer for every backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prismicx.domain.errors import ChecksumMismatchError, InvalidMigrationError
from prismicx.domain.identifiers import Version
from prismicx.domain.plugins import AppliedMigration, SchemaMigration


@dataclass(frozen=True, slots=True)
class Turn:
    """What brings a schema to where it should be: first what is taken back, newest first, then what is run, in order.

    Each of `back` has a down script.
    """

    back: tuple[SchemaMigration, ...]
    forward: tuple[SchemaMigration, ...]


def turn_of(
    plugin: str,
    ledger: Sequence[AppliedMigration],
    wanted: Sequence[SchemaMigration],
    *,
    back: Sequence[SchemaMigration],
) -> Turn:
    """Return what is left to do.

    Args:
        plugin: its name, for errors.
        ledger: what was run, oldest first.
        wanted: what should have been run, in order.
        back: what may be taken back.

    Raises:
        ChecksumMismatchError: what was run reads differently now.
        InvalidMigrationError: something was run that is not wanted, and there is no way back from it.
    """
    staying = {migration.version_to: migration for migration in wanted}
    leaving = {migration.version_to: migration for migration in back if migration.version_to not in staying}
    for entry in ledger:
        _require_unchanged(plugin, entry, staying.get(entry.version) or leaving.get(entry.version))
    run = {entry.version for entry in ledger}
    return Turn(
        back=tuple(
            _way_back(plugin, entry.version, leaving) for entry in reversed(ledger) if entry.version not in staying
        ),
        forward=tuple(migration for migration in wanted if migration.version_to not in run),
    )


def _require_unchanged(plugin: str, entry: AppliedMigration, now: SchemaMigration | None) -> None:
    if now is not None and now.checksum != entry.checksum:
        raise ChecksumMismatchError(
            plugin=plugin, version=entry.version.value, applied=entry.checksum, given=now.checksum
        )


def _way_back(plugin: str, version: Version, leaving: Mapping[Version, SchemaMigration]) -> SchemaMigration:
    migration = leaving.get(version)
    if migration is None:
        raise InvalidMigrationError(
            f"the schema has come to {version} of plugin {plugin} already: finish that, or take it back"
        )
    if migration.down is None:
        raise InvalidMigrationError(f"no down script of plugin {plugin} leads back from {version}")
    return migration
