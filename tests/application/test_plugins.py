"""Plugins are published once and for all, and brought to a tenant with a record of everything that was begun."""

import asyncio

import pytest
from tests.application.memory import BreakableSchemas, Clock, Death, Registry

from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import (
    ChecksumMismatchError,
    DatabaseError,
    IllegalTransitionError,
    InvalidMigrationError,
    InvalidNameError,
    InvalidPluginTypeError,
    PluginInstallationError,
    PluginNotFoundError,
    PluginNotInstalledError,
    TenantNotActiveError,
    TenantNotFoundError,
)
from prismicx.domain.events import PluginActivated, PluginFailed, PluginUninstalled, PluginVersionPublished
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier, Version
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import Plugin, PluginVersion, SchemaMigration

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
CRM = PluginType("crm")
ONE, TWO, THREE = Version("1.0.0"), Version("1.1.0"), Version("2.0.0")
OPENING = SchemaMigration(version_to=ONE, script="CREATE TABLE ${schema}.contacts (id uuid)")
WIDENING = SchemaMigration(version_from=ONE, version_to=TWO, script="ALTER TABLE ${schema}.contacts ADD name text")
FIRST = PluginVersion(version=ONE, features=("export",), defaults={"limit": 10})
SECOND = PluginVersion(version=TWO, features=("export", "sync"), defaults={"limit": 20, "zone": "utc"})


class Market:
    """A plugin service with one active tenant."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.schemas = BreakableSchemas()
        self.tenants = TenantProvisioning(registry, [])
        self.clock = Clock()
        self.service = PluginInstallation(registry, self.schemas, clock=self.clock)

    async def publish_first(self) -> Plugin:
        return await self.service.publish("contacts", CRM, FIRST, OPENING)

    async def publish_second(self) -> Plugin:
        return await self.service.publish("contacts", CRM, SECOND, WIDENING)

    async def record(self) -> TenantPlugin:
        (found,) = await self.service.list(ACME)
        return found

    async def applied(self) -> list[str]:
        return list(await self.schemas.applied(ACME, CRM, "contacts"))


@pytest.fixture
async def market(registry: Registry) -> Market:
    market = Market(registry)
    await market.tenants.create("Acme", region=Region("eu"), tier=Tier("standard"), tenant_id=ACME)
    await market.publish_first()
    registry.events.clear()
    return market


async def test_a_plugin_is_published_version_by_version(market: Market) -> None:
    await market.publish_second()
    await market.service.publish("archive", PluginType("storage"), FIRST)

    archive, contacts = await market.service.published()
    assert (archive.name, contacts.name) == ("archive", "contacts")
    assert [known.version for known in contacts.versions] == [ONE, TWO]
    assert [type(event) for event in market.registry.events] == [PluginVersionPublished] * 2


async def test_publishing_the_same_twice_does_nothing(market: Market) -> None:
    before = await market.service.published()

    await market.publish_first()

    assert await market.service.published() == before
    assert market.registry.events == []


async def test_a_published_script_never_changes(market: Market) -> None:
    changed = SchemaMigration(version_to=ONE, script="CREATE TABLE ${schema}.contacts (id text)")

    with pytest.raises(ChecksumMismatchError, match=r"of contacts to 1\.0\.0"):
        await market.service.publish("contacts", CRM, FIRST, changed)


async def test_a_plugin_stays_of_its_type(market: Market) -> None:
    with pytest.raises(InvalidPluginTypeError, match="plugin contacts is published as crm"):
        await market.service.publish("contacts", PluginType("sales"), SECOND, WIDENING)


async def test_a_plugin_is_installed_in_its_newest_version(market: Market) -> None:
    await market.publish_second()

    installed = await market.service.install(ACME, "contacts", configurations={"limit": 5}, features=["sync"])

    assert (installed.status, installed.installed_version) == (TenantPluginStatus.ACTIVE, TWO)
    assert installed.configurations == {"limit": 5, "zone": "utc"}
    assert installed.features_enabled == ("sync",)
    assert await market.record() == installed
    assert await market.applied() == ["1.0.0", "1.1.0"]
    assert isinstance(market.registry.events[-1], PluginActivated)


async def test_an_older_version_can_be_chosen(market: Market) -> None:
    await market.publish_second()

    installed = await market.service.install(ACME, "contacts", version=ONE)

    assert installed.installed_version == ONE
    assert await market.applied() == ["1.0.0"]


async def test_installing_what_is_installed_does_nothing(market: Market) -> None:
    installed = await market.service.install(ACME, "contacts", configurations={"limit": 5})

    assert await market.service.install(ACME, "contacts") == installed
    assert await market.service.install(ACME, "contacts", version=ONE, configurations={"limit": 5}) == installed
    assert market.schemas.runs == [["1.0.0"]]


async def test_installing_with_other_configurations_says_how_to_change_them(market: Market) -> None:
    await market.service.install(ACME, "contacts", configurations={"limit": 5})

    with pytest.raises(PluginInstallationError, match="configure it instead"):
        await market.service.install(ACME, "contacts", configurations={"limit": 6})
    with pytest.raises(PluginInstallationError, match="configure it instead"):
        await market.service.install(ACME, "contacts", features=["export"])


async def test_installing_another_version_says_to_upgrade(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()

    with pytest.raises(PluginInstallationError, match=r"version 1\.0\.0 is installed; upgrade it instead"):
        await market.service.install(ACME, "contacts")


async def test_a_type_that_the_tenant_has_no_schema_for_is_recorded_with_it(market: Market) -> None:
    billing = PluginType("billing")
    await market.service.publish("invoices", billing, FIRST, OPENING)

    await market.service.install(ACME, "invoices")

    assert billing in (await market.tenants.get(ACME)).plugin_types
    assert await market.schemas.applied(ACME, billing, "invoices") == ["1.0.0"]


async def test_a_plugin_without_migrations_touches_no_schema(market: Market) -> None:
    await market.service.publish("notes", CRM, FIRST)

    installed = await market.service.install(ACME, "notes")

    assert installed.status is TenantPluginStatus.ACTIVE
    assert market.schemas.runs == []


async def test_what_cannot_be_installed_leaves_no_record(market: Market) -> None:
    with pytest.raises(PluginNotFoundError, match="there is no plugin deals"):
        await market.service.install(ACME, "deals")
    with pytest.raises(PluginNotFoundError, match=r"plugin contacts has no version 2\.0\.0"):
        await market.service.install(ACME, "contacts", version=THREE)
    with pytest.raises(InvalidNameError, match="'sync' is not a feature"):
        await market.service.install(ACME, "contacts", features=["sync"])
    with pytest.raises(TenantNotFoundError):
        await market.service.install(GLOBEX, "contacts")

    assert await market.service.list(ACME) == []


async def test_only_an_active_tenant_gets_plugins(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.tenants.suspend(ACME)

    for use_case in (
        market.service.install,
        market.service.upgrade,
        market.service.configure,
        market.service.uninstall,
    ):
        with pytest.raises(TenantNotActiveError, match="tenant acme is suspended, not active"):
            await use_case(ACME, "contacts")


async def test_a_failed_migration_is_recorded_with_its_reason_and_can_be_run_again(market: Market) -> None:
    market.schemas.error = DatabaseError("42601", "syntax error")

    with pytest.raises(PluginInstallationError, match="plugin contacts of tenant acme: syntax error") as caught:
        await market.service.install(ACME, "contacts")

    assert caught.value.__cause__ is market.schemas.error
    record = await market.record()
    assert (record.status, record.error_message) == (TenantPluginStatus.FAILED, "syntax error")
    assert record.installed_version is None
    assert isinstance(market.registry.events[-1], PluginFailed)

    market.schemas.error = None
    installed = await market.service.install(ACME, "contacts")

    assert (installed.status, installed.error_message) == (TenantPluginStatus.ACTIVE, None)
    assert installed.id == record.id


async def test_a_cancellation_is_no_failure_and_can_be_gone_on_from(market: Market) -> None:
    market.schemas.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await market.service.install(ACME, "contacts")
    record = await market.record()
    assert (record.status, record.error_message) == (TenantPluginStatus.INSTALLING, None)

    market.schemas.error = None
    installed = await market.service.install(ACME, "contacts")

    assert installed.status is TenantPluginStatus.ACTIVE


@pytest.mark.parametrize("moment", ["dies_before", "dies_after"])
@pytest.mark.parametrize("commit", [1, 2])
async def test_whenever_the_process_dies_an_installation_can_be_finished(
    market: Market, moment: str, commit: int
) -> None:
    setattr(market.registry, moment, market.registry.commits + commit)
    with pytest.raises(Death):
        await market.service.install(ACME, "contacts")

    market.clock.advance(minutes=1)
    installed = await market.service.install(ACME, "contacts")

    assert (installed.status, installed.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert await market.applied() == ["1.0.0"]


@pytest.mark.parametrize("moment", ["dies_before", "dies_after"])
@pytest.mark.parametrize("commit", [1, 2])
async def test_whenever_the_process_dies_an_upgrade_can_be_finished(market: Market, moment: str, commit: int) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()
    setattr(market.registry, moment, market.registry.commits + commit)
    with pytest.raises(Death):
        await market.service.upgrade(ACME, "contacts")

    market.clock.advance(minutes=1)
    upgraded = await market.service.upgrade(ACME, "contacts")

    assert (upgraded.status, upgraded.installed_version) == (TenantPluginStatus.ACTIVE, TWO)
    assert await market.applied() == ["1.0.0", "1.1.0"]


async def test_an_upgrade_keeps_what_the_tenant_has(market: Market) -> None:
    await market.service.install(ACME, "contacts", configurations={"limit": 5}, features=["export"])
    await market.publish_second()

    upgraded = await market.service.upgrade(ACME, "contacts")

    assert upgraded.installed_version == TWO
    assert upgraded.configurations == {"limit": 5, "zone": "utc"}
    assert upgraded.features_enabled == ("export",)
    assert market.schemas.runs == [["1.0.0"], ["1.1.0"]]


async def test_an_upgrade_can_bring_configurations_and_features(market: Market) -> None:
    await market.service.install(ACME, "contacts", features=["export"])
    await market.publish_second()

    upgraded = await market.service.upgrade(
        ACME, "contacts", version=TWO, configurations={"zone": "cet"}, features=["sync"]
    )

    assert upgraded.configurations == {"limit": 10, "zone": "cet"}
    assert upgraded.features_enabled == ("sync",)


async def test_upgrading_to_what_is_active_does_nothing(market: Market) -> None:
    installed = await market.service.install(ACME, "contacts")

    assert await market.service.upgrade(ACME, "contacts") == installed
    assert market.schemas.runs == [["1.0.0"]]


async def test_a_failed_upgrade_leaves_the_old_version_in_use(market: Market) -> None:
    await market.service.install(ACME, "contacts", features=["export"])
    await market.publish_second()
    market.schemas.error = DatabaseError("42601", "syntax error")

    with pytest.raises(PluginInstallationError):
        await market.service.upgrade(ACME, "contacts", features=["sync"])

    record = await market.record()
    assert (record.status, record.installed_version) == (TenantPluginStatus.FAILED, ONE)
    assert record.features_enabled == ("export",)

    market.schemas.error = None
    with pytest.raises(PluginInstallationError, match="upgrade it instead"):
        await market.service.install(ACME, "contacts")
    upgraded = await market.service.upgrade(ACME, "contacts")

    assert (upgraded.status, upgraded.installed_version) == (TenantPluginStatus.ACTIVE, TWO)


async def test_a_failed_upgrade_can_be_given_up(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()
    market.schemas.error = DatabaseError("42601", "syntax error")
    with pytest.raises(PluginInstallationError):
        await market.service.upgrade(ACME, "contacts")

    market.schemas.error = None
    taken_back = await market.service.install(ACME, "contacts", version=ONE)

    assert (taken_back.status, taken_back.installed_version) == (TenantPluginStatus.ACTIVE, ONE)
    assert taken_back.error_message is None


async def test_a_migration_that_was_committed_before_the_failure_is_found_done(market: Market) -> None:
    market.schemas.error_afterwards = DatabaseError("08006", "connection lost")
    with pytest.raises(PluginInstallationError):
        await market.service.install(ACME, "contacts")
    market.schemas.error_afterwards = None

    installed = await market.service.install(ACME, "contacts")

    assert installed.status is TenantPluginStatus.ACTIVE
    assert await market.applied() == ["1.0.0"]


async def test_no_plugin_goes_back_to_an_older_version(market: Market) -> None:
    await market.publish_second()
    await market.service.install(ACME, "contacts")

    with pytest.raises(InvalidMigrationError, match=r"cannot go back from 1\.1\.0 to 1\.0\.0"):
        await market.service.upgrade(ACME, "contacts", version=ONE)

    assert (await market.record()).status is TenantPluginStatus.ACTIVE


async def test_what_was_never_installed_is_named(market: Market) -> None:
    for use_case in (market.service.upgrade, market.service.configure, market.service.uninstall):
        with pytest.raises(PluginNotInstalledError, match="plugin contacts is not installed for tenant acme"):
            await use_case(ACME, "contacts")


async def test_a_plugin_is_configured_without_touching_the_schema(market: Market) -> None:
    await market.service.install(ACME, "contacts")

    configured = await market.service.configure(ACME, "contacts", configurations={"limit": 99}, features=["export"])

    assert configured.configurations == {"limit": 99}
    assert (await market.record()).features_enabled == ("export",)
    assert (await market.service.configure(ACME, "contacts")).configurations == {"limit": 99}
    assert market.schemas.runs == [["1.0.0"]]


async def test_uninstalling_keeps_the_schema_and_installing_again_goes_on_from_it(market: Market) -> None:
    await market.service.install(ACME, "contacts")
    await market.publish_second()

    uninstalled = await market.service.uninstall(ACME, "contacts")

    assert uninstalled.status is TenantPluginStatus.UNINSTALLED
    assert await market.applied() == ["1.0.0"]
    assert isinstance(market.registry.events[-1], PluginUninstalled)
    with pytest.raises(IllegalTransitionError, match="from uninstalled to uninstalling"):
        await market.service.uninstall(ACME, "contacts")

    installed = await market.service.install(ACME, "contacts")

    assert (installed.status, installed.installed_version) == (TenantPluginStatus.ACTIVE, TWO)
    assert market.schemas.runs == [["1.0.0"], ["1.1.0"]]


async def test_another_tenants_plugins_are_not_listed(market: Market) -> None:
    await market.tenants.create("Globex", region=Region("eu"), tier=Tier("standard"), tenant_id=GLOBEX)
    await market.service.install(ACME, "contacts")

    assert await market.service.list(GLOBEX) == []
    with pytest.raises(TenantNotFoundError):
        await market.service.list(TenantId("initech"))
