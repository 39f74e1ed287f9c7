"""A tenant's plugin goes from state to state by one table, and keeps what it has until something else is done."""

from collections.abc import Callable

import pytest
from pydantic import JsonValue

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.errors import IllegalTransitionError, InvalidNameError
from prismicx.domain.events import PluginActivated, PluginFailed, PluginUninstalled
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.installations import PluginSetup, TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import Plugin, PluginVersion

ACME = TenantId("acme")
FIRST = PluginVersion(version=Version("1.0.0"), features=("export", "import"), defaults={"limit": 10, "theme": "dark"})
SECOND = PluginVersion(version=Version("2.0.0"), features=("export", "sync"), defaults={"limit": 20, "zone": "utc"})


def a_plugin() -> Plugin:
    plugin = Plugin.named("contacts", PluginType("crm"))
    plugin.publish(FIRST)
    plugin.publish(SECOND)
    return plugin


def setup(version: PluginVersion, *features: str, **configurations: JsonValue) -> PluginSetup:
    return PluginSetup.of("contacts", version, configurations=configurations, features=features)


def an_installation() -> TenantPlugin:
    return TenantPlugin.prepare(ACME, a_plugin(), setup(FIRST, "export", "import", theme="light"))


def installed() -> TenantPlugin:
    installation = an_installation()
    installation.activate()
    return installation


def failed() -> TenantPlugin:
    installation = upgrading()
    installation.fail("no space left")
    return installation


def upgrading() -> TenantPlugin:
    installation = installed()
    installation.begin_upgrade(setup(SECOND))
    return installation


def uninstalling() -> TenantPlugin:
    installation = installed()
    installation.begin_uninstallation()
    return installation


def uninstalled() -> TenantPlugin:
    installation = uninstalling()
    installation.finish_uninstallation()
    return installation


IN_STATE: dict[str, Callable[[], TenantPlugin]] = {
    "installing": an_installation,
    "active": installed,
    "failed": failed,
    "upgrading": upgrading,
    "uninstalling": uninstalling,
    "uninstalled": uninstalled,
}
VERBS: dict[str, tuple[str, Callable[[TenantPlugin], None]]] = {
    "begin installation": ("installing", lambda one: one.begin_installation(setup(FIRST))),
    "begin upgrade": ("upgrading", lambda one: one.begin_upgrade(setup(SECOND))),
    "begin uninstallation": ("uninstalling", TenantPlugin.begin_uninstallation),
    "activate": ("active", TenantPlugin.activate),
    "fail": ("failed", lambda one: one.fail("why")),
    "finish uninstallation": ("uninstalled", TenantPlugin.finish_uninstallation),
}
LEGAL = {
    "installing": {"begin installation", "activate", "fail"},
    "active": {"begin upgrade", "begin uninstallation"},
    "failed": {"begin installation", "begin upgrade", "begin uninstallation"},
    "upgrading": {"begin upgrade", "activate", "fail"},
    "uninstalling": {"begin uninstallation", "fail", "finish uninstallation"},
    "uninstalled": {"begin installation"},
}


@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("verb", VERBS)
def test_each_state_allows_what_the_table_says_and_nothing_else(state: str, verb: str) -> None:
    installation = IN_STATE[state]()
    assert installation.status == state
    after, change = VERBS[verb]

    if verb in LEGAL[state]:
        change(installation)
        assert installation.status == after
        return

    with pytest.raises(
        IllegalTransitionError, match=f"plugin contacts of tenant acme cannot go from {state} to {after}"
    ):
        change(installation)
    assert installation.status == state


def test_what_is_pending_is_taken_over_when_it_is_done() -> None:
    installation = an_installation()
    assert (installation.installed_version, installation.configurations) == (None, {})

    installation.activate()

    assert installation.status is TenantPluginStatus.ACTIVE
    assert installation.installed_version == Version("1.0.0")
    assert installation.configurations == {"limit": 10, "theme": "light"}
    assert installation.features_enabled == ("export", "import")
    assert installation.pending is None
    (event,) = installation.take_events()
    assert isinstance(event, PluginActivated)
    assert (event.version, event.previous) == (Version("1.0.0"), None)


def test_a_failed_upgrade_leaves_the_old_version_and_says_why() -> None:
    installation = failed()

    assert installation.installed_version == Version("1.0.0")
    assert installation.configurations == {"limit": 10, "theme": "light"}
    assert installation.error_message == "no space left"
    assert installation.pending == setup(SECOND)
    assert isinstance(installation.take_events()[-1], PluginFailed)


def test_an_upgrade_that_failed_can_be_made_good() -> None:
    installation = failed()

    installation.begin_upgrade(setup(SECOND))
    installation.activate()

    assert installation.error_message is None
    assert installation.installed_version == Version("2.0.0")
    event = installation.take_events()[-1]
    assert isinstance(event, PluginActivated)
    assert event.previous == Version("1.0.0")


def test_what_was_never_installed_is_not_upgraded() -> None:
    installation = an_installation()
    installation.fail("no space left")

    with pytest.raises(IllegalTransitionError, match="from failed to upgrading"):
        installation.begin_upgrade(setup(SECOND))


def test_uninstalling_keeps_the_version_of_the_schema() -> None:
    installation = uninstalled()

    assert installation.installed_version == Version("1.0.0")
    assert isinstance(installation.take_events()[-1], PluginUninstalled)


def test_a_feature_that_the_version_does_not_offer_is_refused() -> None:
    with pytest.raises(
        InvalidNameError, match=r"'sync' is not a feature of contacts 1\.0\.0: it offers export, import"
    ):
        setup(FIRST, "sync")
    with pytest.raises(InvalidNameError, match="it offers none"):
        setup(PluginVersion(version=Version("3.0.0")), "sync")


def test_a_feature_named_twice_is_enabled_once() -> None:
    assert setup(FIRST, "export", "export").features_enabled == ("export",)


def test_after_an_upgrade_the_tenant_keeps_what_the_version_still_offers() -> None:
    installation = installed()

    next_setup = installation.setup_for(SECOND, configurations={"theme": "blue"}, features=None)

    assert next_setup.configurations == {"limit": 10, "theme": "blue", "zone": "utc"}
    assert next_setup.features_enabled == ("export",)
    assert installation.setup_for(SECOND, configurations={}, features=["sync"]).features_enabled == ("sync",)


def test_an_active_plugin_is_configured_in_its_version() -> None:
    installation = installed()

    installation.configure(a_plugin(), configurations={"limit": 99}, features=["import"])

    assert installation.configurations == {"limit": 99, "theme": "light"}
    assert installation.features_enabled == ("import",)
    assert installation.installed_version == Version("1.0.0")
    assert installation.has(setup(FIRST, "import", limit=99, theme="light"))


@pytest.mark.parametrize("make", [an_installation, failed, upgrading, uninstalled])
def test_only_an_active_plugin_is_configured(make: Callable[[], TenantPlugin]) -> None:
    with pytest.raises(IllegalTransitionError, match="to configured"):
        make().configure(a_plugin(), configurations={}, features=None)


def test_an_installation_is_the_same_after_it_was_stored() -> None:
    installation = upgrading()

    assert entity_from(TenantPlugin, plain_values(installation), version=1, tenant=None) == installation
