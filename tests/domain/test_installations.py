"""A tenant's plugin goes from state to state by one table, and keeps what it has until something else is done."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.errors import IllegalTransitionError, InvalidNameError, LeaseLostError, OperationUnderWayError
from prismicx.domain.events import PluginActivated, PluginFailed, PluginUninstalled
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.plugins import Plugin, PluginVersion
from prismicx.domain.setups import PluginSetup

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


def downgrading() -> TenantPlugin:
    installation = installed()
    installation.begin_downgrade(setup(FIRST))
    return installation


def purging() -> TenantPlugin:
    installation = installed()
    installation.begin_purge()
    return installation


def abandoning() -> TenantPlugin:
    installation = upgrading()
    installation.begin_abandonment()
    return installation


IN_STATE: dict[str, Callable[[], TenantPlugin]] = {
    "installing": an_installation,
    "active": installed,
    "failed": failed,
    "upgrading": upgrading,
    "uninstalling": uninstalling,
    "uninstalled": uninstalled,
    "downgrading": downgrading,
    "purging": purging,
    "abandoning": abandoning,
}
VERBS: dict[str, tuple[str, Callable[[TenantPlugin], None]]] = {
    "begin installation": ("installing", lambda one: one.begin_installation(setup(FIRST))),
    "begin upgrade": ("upgrading", lambda one: one.begin_upgrade(setup(SECOND))),
    "begin uninstallation": ("uninstalling", TenantPlugin.begin_uninstallation),
    "activate": ("active", TenantPlugin.activate),
    "fail": ("failed", lambda one: one.fail("why")),
    "finish uninstallation": ("uninstalled", TenantPlugin.finish_uninstallation),
    "begin downgrade": ("downgrading", lambda one: one.begin_downgrade(setup(FIRST))),
    "begin purge": ("purging", TenantPlugin.begin_purge),
    "finish purge": ("uninstalled", TenantPlugin.finish_purge),
    "begin abandonment": ("abandoning", TenantPlugin.begin_abandonment),
    "finish abandonment": ("active", TenantPlugin.finish_abandonment),
}
LEGAL = {
    "installing": {"begin installation", "activate", "fail", "begin abandonment"},
    "active": {"begin upgrade", "begin downgrade", "begin uninstallation", "begin purge"},
    "failed": {
        "begin installation",
        "begin upgrade",
        "begin downgrade",
        "begin uninstallation",
        "begin purge",
        "begin abandonment",
    },
    "upgrading": {"begin upgrade", "activate", "fail", "begin abandonment"},
    "uninstalling": {"begin uninstallation", "fail", "finish uninstallation"},
    "uninstalled": {"begin installation", "begin purge"},
    "downgrading": {"begin downgrade", "activate", "fail", "begin abandonment"},
    "purging": {"begin purge", "fail", "finish purge", "begin abandonment"},
    "abandoning": {"fail", "begin abandonment", "finish abandonment"},
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


UNDER_WAY: dict[str, Callable[[], TenantPlugin]] = {
    "installing": an_installation,
    "upgrading": upgrading,
    "downgrading": downgrading,
    "purging": purging,
    "abandoning": abandoning,
}


@pytest.mark.parametrize("state", UNDER_WAY)
def test_what_failed_is_begun_again_as_what_it_was(state: str) -> None:
    installation = UNDER_WAY[state]()
    pending = installation.pending
    installation.fail("no space left")

    installation.begin_again()

    assert installation.status == ("upgrading" if state == "abandoning" else state)
    assert (installation.pending, installation.error_message) == (pending, None)


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("has_failed", [False, True])
def test_what_is_taken_back_is_what_it_was_before(state: str, has_failed: bool) -> None:
    installation = UNDER_WAY[state]()
    if has_failed:
        installation.fail("no space left")
    before = (installation.installed_version, installation.configurations, installation.features_enabled)

    installation.begin_abandonment()
    installation.finish_abandonment()

    assert installation.status == ("uninstalled" if state in ("installing", "purging") else "active")
    assert (installation.installed_version, installation.configurations, installation.features_enabled) == before
    assert (installation.pending, installation.error_message, installation.interrupted) == (None, None, None)


@pytest.mark.parametrize("make", [installed, uninstalled, uninstalling])
def test_what_is_at_rest_is_neither_begun_again_nor_taken_back(make: Callable[[], TenantPlugin]) -> None:
    for verb in (TenantPlugin.begin_again, TenantPlugin.begin_abandonment):
        with pytest.raises(IllegalTransitionError):
            verb(make())


def test_whoever_ends_it_lets_go_of_it() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for make, verb in (
        (an_installation, TenantPlugin.activate),
        (purging, TenantPlugin.finish_purge),
        (abandoning, TenantPlugin.finish_abandonment),
        (upgrading, lambda one: one.fail("why")),
    ):
        installation = make()
        lease = installation.claim("worker", now=now, until=now + timedelta(minutes=1))
        assert not installation.is_free(now)

        verb(installation)

        assert installation.is_free(now)
        assert installation.claim("other", now=now, until=now).fence == lease.fence + 1


def test_a_lease_keeps_others_out_until_it_is_over() -> None:
    installation = an_installation()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    lease = installation.claim("worker", now=now, until=now + timedelta(minutes=1))

    with pytest.raises(OperationUnderWayError, match="worker is at work on plugin contacts of tenant acme"):
        installation.claim("other", now=now + timedelta(seconds=59), until=now)
    installation.hold(lease, until=now + timedelta(minutes=2))
    later = installation.claim("other", now=now + timedelta(minutes=2), until=now + timedelta(minutes=3))

    assert (lease.fence, later.fence) == (1, 2)
    with pytest.raises(LeaseLostError, match="fencing number 1 is outdated"):
        installation.hold(lease, until=now)
