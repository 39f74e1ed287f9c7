"""What is published of a plugin never changes, and migrations lead from one version to the next."""

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.errors import (
    ChecksumMismatchError,
    DuplicateEntityError,
    InvalidMigrationError,
    InvalidNameError,
    PluginNotFoundError,
)
from prismicx.domain.events import PluginVersionPublished
from prismicx.domain.identifiers import PluginType, Version
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration

CRM = PluginType("crm")
SCRIPT = "CREATE TABLE ${schema}.customers (id uuid PRIMARY KEY)"


def migration(to: str, origin: str | None = None, script: str = SCRIPT) -> SchemaMigration:
    return SchemaMigration(
        version_from=None if origin is None else Version(origin), version_to=Version(to), script=script
    )


def version(text: str, *features: str) -> PluginVersion:
    return PluginVersion(version=Version(text), features=features)


def a_plugin(*versions: str, migrations: tuple[SchemaMigration, ...] = ()) -> Plugin:
    plugin = Plugin.named("contacts", CRM)
    for text in versions:
        plugin.publish(version(text), next((m for m in migrations if str(m.version_to) == text), None))
    return plugin


def test_the_checksum_is_that_of_the_script() -> None:
    assert migration("1.0.0").checksum == hashlib.sha256(SCRIPT.encode()).hexdigest()


@pytest.mark.parametrize(
    "script",
    [
        "",
        "CREATE TABLE customers (id uuid)",
        "CREATE TABLE $schema.customers (id uuid)",
        "CREATE TABLE ${Schema}.customers (id uuid)",
        "CREATE TABLE ${ schema }.customers (id uuid)",
        "CREATE TABLE ${schema}.${table} (id uuid)",
        "CREATE TABLE ${schema}.a (b text DEFAULT '${')",
        "CREATE TABLE $${schema}{schema}.a (id uuid)",
        "CREATE TABLE ${schema}.a (b text DEFAULT '\x00')",
        "CREATE TABLE ${schema}.a (b text DEFAULT '\ud800')",
    ],
)
def test_a_script_that_cannot_be_run_as_meant_is_refused_at_birth(script: str) -> None:
    with pytest.raises(InvalidMigrationError):
        migration("1.0.0", script=script)


@pytest.mark.parametrize(("origin", "to"), [("1.0.0", "1.0.0"), ("1.10.0", "1.9.0")])
def test_a_migration_leads_forward(origin: str, to: str) -> None:
    with pytest.raises(InvalidMigrationError, match=f"from {origin} cannot lead to {to}"):
        migration(to, origin)


@pytest.mark.parametrize("name", ["", "Contacts", "1st", "a b", "a__b", "-a", "a-", "a" * 61, "a;", "a\n"])
def test_a_hostile_name_is_no_plugin(name: str) -> None:
    with pytest.raises(InvalidNameError, match="plugin's name"):
        Plugin.named(name, CRM)


def test_versions_are_kept_in_their_order() -> None:
    plugin = a_plugin("1.2.0", "1.10.0", "1.9.0")

    assert [str(known.version) for known in plugin.versions] == ["1.2.0", "1.9.0", "1.10.0"]
    assert plugin.newest.version == Version("1.10.0")
    assert plugin.of_version(Version("1.9.0")) == version("1.9.0")
    assert {type(event) for event in plugin.take_events()} == {PluginVersionPublished}


def test_a_plugin_without_versions_has_no_newest() -> None:
    with pytest.raises(PluginNotFoundError, match="contacts"):
        _ = Plugin.named("contacts", CRM).newest


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(PluginNotFoundError, match=r"plugin contacts has no version 2\.0\.0"):
        a_plugin("1.0.0").of_version(Version("2.0.0"))


def test_publishing_the_same_again_does_nothing() -> None:
    plugin = a_plugin("1.0.0", migrations=(migration("1.0.0"),))
    plugin.take_events()

    plugin.publish(version("1.0.0"), migration("1.0.0"))

    assert len(plugin.versions) == len(plugin.migrations) == 1
    assert plugin.take_events() == ()


@pytest.mark.parametrize("changed", [migration("1.0.0", script=SCRIPT + ";"), None])
def test_another_script_for_a_published_version_is_refused(changed: SchemaMigration | None) -> None:
    plugin = a_plugin("1.0.0", migrations=(migration("1.0.0"),))

    with pytest.raises(ChecksumMismatchError) as caught:
        plugin.publish(version("1.0.0"), changed)

    assert caught.value.applied == migration("1.0.0").checksum


def test_a_script_for_a_version_published_without_one_is_refused() -> None:
    with pytest.raises(ChecksumMismatchError):
        a_plugin("1.0.0").publish(version("1.0.0"), migration("1.0.0"))


def test_other_features_or_another_start_for_a_published_version_are_refused() -> None:
    plugin = a_plugin("1.0.0", "2.0.0", migrations=(migration("2.0.0", "1.0.0"),))

    with pytest.raises(DuplicateEntityError):
        plugin.publish(version("1.0.0", "export"))
    with pytest.raises(DuplicateEntityError):
        plugin.publish(version("2.0.0"), migration("2.0.0"))


def test_a_migration_is_published_with_the_version_it_leads_to() -> None:
    with pytest.raises(InvalidMigrationError, match=r"cannot be published with version 1\.1\.0"):
        a_plugin("1.0.0").publish(version("1.1.0"), migration("1.2.0"))


def test_a_migration_starts_from_a_published_version() -> None:
    with pytest.raises(InvalidMigrationError, match=r"starts from 1\.0\.1, which is not published"):
        a_plugin("1.0.0").publish(version("1.1.0"), migration("1.1.0", "1.0.1"))


def test_a_late_patch_of_an_older_version_brings_no_migration() -> None:
    plugin = a_plugin("1.0.0", "2.0.0")

    plugin.publish(version("1.0.1"))

    with pytest.raises(InvalidMigrationError, match=r"would change what 2\.0\.0"):
        plugin.publish(version("1.0.2"), migration("1.0.2"))


LINE = (migration("1.0.0"), migration("1.2.0", "1.1.0"), migration("2.0.0", "1.2.0"))


@pytest.mark.parametrize(
    ("installed", "wanted", "chain"),
    [
        (None, "1.0.0", ["1.0.0"]),
        (None, "1.1.0", ["1.0.0"]),
        (None, "2.1.0", ["1.0.0", "1.2.0", "2.0.0"]),
        ("1.0.0", "1.0.0", []),
        ("1.0.0", "1.1.0", []),
        ("1.0.0", "1.2.0", ["1.2.0"]),
        ("1.1.0", "2.0.0", ["1.2.0", "2.0.0"]),
        ("1.2.0", "2.1.0", ["2.0.0"]),
        ("2.0.0", "2.1.0", []),
    ],
)
def test_the_chain_leads_from_the_installed_version_to_the_wanted_one(
    installed: str | None, wanted: str, chain: list[str]
) -> None:
    plugin = a_plugin("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", migrations=LINE)

    found = plugin.chain(None if installed is None else Version(installed), Version(wanted))

    assert [str(one.version_to) for one in found] == chain


def test_a_plugin_that_needs_no_schema_has_empty_chains() -> None:
    plugin = a_plugin("1.0.0", "1.1.0")

    assert plugin.chain(None, Version("1.1.0")) == ()
    assert plugin.chain(Version("1.0.0"), Version("1.1.0")) == ()


def test_a_first_migration_can_come_with_a_later_version() -> None:
    plugin = a_plugin("1.0.0", "1.1.0", migrations=(migration("1.1.0", "1.0.0"),))

    assert len(plugin.chain(Version("1.0.0"), Version("1.1.0"))) == 1
    assert len(plugin.chain(None, Version("1.1.0"))) == 1


def test_a_version_that_starts_anew_is_not_reached_from_an_older_one() -> None:
    plugin = a_plugin("1.0.0", "2.0.0", migrations=(migration("1.0.0"), migration("2.0.0")))

    assert [str(one.version_to) for one in plugin.chain(None, Version("2.0.0"))] == ["2.0.0"]
    with pytest.raises(InvalidMigrationError, match=r"no migrations of plugin contacts lead from 1\.0\.0 to 2\.0\.0"):
        plugin.chain(Version("1.0.0"), Version("2.0.0"))


def test_no_chain_leads_back() -> None:
    with pytest.raises(InvalidMigrationError, match=r"cannot go back from 1\.10\.0 to 1\.9\.0"):
        a_plugin("1.9.0", "1.10.0").chain(Version("1.10.0"), Version("1.9.0"))


@pytest.mark.parametrize(("installed", "wanted"), [(None, "3.0.0"), ("0.9.0", "1.0.0")])
def test_a_chain_has_published_ends(installed: str | None, wanted: str) -> None:
    with pytest.raises(PluginNotFoundError):
        a_plugin("1.0.0").chain(None if installed is None else Version(installed), Version(wanted))


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_going_by_any_stops_runs_the_same_migrations_as_going_at_once(
    migrated: list[bool], data: st.DataObject
) -> None:
    plugin, last = Plugin.named("contacts", CRM), None
    for number, has_migration in enumerate(migrated):
        text = f"1.{number}.0"
        plugin.publish(version(text), migration(text, last) if has_migration else None)
        last = text
    names = st.sampled_from([known.version for known in plugin.versions])
    one, other, third = sorted(data.draw(st.tuples(names, names, names)))

    assert plugin.chain(one, other) + plugin.chain(other, third) == plugin.chain(one, third)
    assert plugin.chain(None, one) + plugin.chain(one, third) == plugin.chain(None, third)


def test_published_things_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        migration("1.0.0").script = "DROP SCHEMA ${schema}"
    with pytest.raises(ValidationError, match="frozen"):
        version("1.0.0").features = ("export",)
    with pytest.raises(ValidationError, match="frozen"):
        Plugin.named("contacts", CRM).name = "deals"


def test_a_plugin_is_the_same_after_it_was_stored() -> None:
    plugin = a_plugin("1.0.0", "1.2.0", migrations=(migration("1.0.0"), migration("1.2.0", "1.0.0")))

    stored = entity_from(Plugin, plain_values(plugin), version=1, tenant=None)

    assert stored == plugin
    assert pickle.loads(pickle.dumps(stored)) == plugin


def test_a_down_script_is_checked_like_a_script_and_never_changes() -> None:
    script = "CREATE TABLE ${schema}.t (id int)"
    with pytest.raises(InvalidMigrationError):
        SchemaMigration(version_to=Version("1.0.0"), script=script, down="DROP TABLE t")
    plugin = Plugin.named("leads", PluginType("crm"))
    version = PluginVersion(version=Version("1.0.0"))
    plugin.publish(version, SchemaMigration(version_to=version.version, script=script, down="DROP TABLE ${schema}.t"))

    for other in (None, "DROP TABLE ${schema}.u"):
        with pytest.raises(ChecksumMismatchError):
            plugin.publish(version, SchemaMigration(version_to=version.version, script=script, down=other))


def test_the_way_back_needs_a_down_script_at_every_step() -> None:
    plugin = Plugin.named("leads", PluginType("crm"))
    first, second, third = (Version(f"1.{number}.0") for number in range(3))
    script = "SELECT 1 -- ${schema}"
    plugin.publish(PluginVersion(version=first), SchemaMigration(version_to=first, script=script))
    back = SchemaMigration(version_from=first, version_to=second, script=script, down=script)
    plugin.publish(PluginVersion(version=second), back)
    plugin.publish(PluginVersion(version=third))

    assert plugin.way_back(third, first) == (back,)
    assert plugin.way_back(third, second) == ()
    assert [migration.version_to for migration in plugin.way_to(third)] == [first, second]
    assert plugin.way_to(None) == ()
    with pytest.raises(InvalidMigrationError, match=r"no down script of plugin leads leads back from 1\.0\.0"):
        plugin.way_back(third, None)
    with pytest.raises(InvalidMigrationError, match="cannot go back"):
        plugin.way_back(first, second)
