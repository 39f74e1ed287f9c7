"""What a tenant has installed of a plugin, and the state that it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from pydantic import Field, JsonValue

from prismicx.domain.errors import IllegalTransitionError
from prismicx.domain.events import PluginActivated, PluginFailed, PluginPurged, PluginUninstalled
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.leased import Leased
from prismicx.domain.plugins import Plugin, PluginVersion
from prismicx.domain.setups import PluginSetup


class TenantPluginStatus(StrEnum):
    """The state of a tenant's plugin."""

    INSTALLING = "installing"
    ACTIVE = "active"
    FAILED = "failed"
    UPGRADING = "upgrading"
    UNINSTALLING = "uninstalling"
    UNINSTALLED = "uninstalled"
    DOWNGRADING = "downgrading"
    PURGING = "purging"
    ABANDONING = "abandoning"


_INSTALLING, _ACTIVE, _FAILED, _UPGRADING, _UNINSTALLING, _UNINSTALLED, *_LATER = TenantPluginStatus
_DOWNGRADING, _PURGING, _ABANDONING = _LATER

UNDER_WAY: Final = (_INSTALLING, _UPGRADING, _DOWNGRADING, _PURGING, _ABANDONING)
"""The states in which a worker is at work on the tenant's schema, or was until it died."""

_NEXT: Final[Mapping[TenantPluginStatus, frozenset[TenantPluginStatus]]] = {
    # Each that is under way leads to itself: after a crash the work is begun again.
    _INSTALLING: frozenset({_INSTALLING, _ACTIVE, _FAILED, _ABANDONING}),
    _UPGRADING: frozenset({_UPGRADING, _ACTIVE, _FAILED, _ABANDONING}),
    _DOWNGRADING: frozenset({_DOWNGRADING, _ACTIVE, _FAILED, _ABANDONING}),
    _PURGING: frozenset({_PURGING, _UNINSTALLED, _FAILED, _ABANDONING}),
    _ABANDONING: frozenset({_ABANDONING, _ACTIVE, _UNINSTALLED, _FAILED}),
    _UNINSTALLING: frozenset({_UNINSTALLING, _UNINSTALLED, _FAILED}),
    _ACTIVE: frozenset({_UPGRADING, _DOWNGRADING, _UNINSTALLING, _PURGING}),
    _FAILED: frozenset({_INSTALLING, _UPGRADING, _DOWNGRADING, _UNINSTALLING, _PURGING, _ABANDONING}),
    _UNINSTALLED: frozenset({_INSTALLING, _PURGING}),
}


class TenantPlugin(Leased):
    """One plugin of one tenant.

    `installed_version` is the one that the tenant's schema has: `None` until the first installation is done and after
    a purge, unchanged by a failure, and kept when the plugin is uninstalled, because the data is. `pending` is what an
    installation, an upgrade or a downgrade leads to: recorded before it is begun, taken over when it is done, kept for
    the next try when it failed. `interrupted` is the state in which it failed, or that is being taken back. Whoever
    works on the tenant's schema has the `lease`.
    """

    tenant_id: TenantId = Field(frozen=True)
    plugin_id: UUID = Field(frozen=True)
    plugin_name: str = Field(frozen=True)
    plugin_type: PluginType = Field(frozen=True)
    status: TenantPluginStatus = TenantPluginStatus.INSTALLING
    installed_version: Version | None = None
    configurations: dict[str, JsonValue] = Field(default_factory=dict)
    features_enabled: tuple[str, ...] = ()
    pending: PluginSetup | None = None
    error_message: str | None = None
    interrupted: TenantPluginStatus | None = None

    @classmethod
    def prepare(cls, tenant_id: TenantId, plugin: Plugin, setup: PluginSetup) -> Self:
        """Return the record of a plugin that is about to be installed for the first time."""
        return cls(
            tenant_id=tenant_id,
            plugin_id=plugin.id,
            plugin_name=plugin.name,
            plugin_type=plugin.type,
            pending=setup,
        )

    def setup_for(
        self, version: PluginVersion, *, configurations: Mapping[str, JsonValue], features: Sequence[str] | None
    ) -> PluginSetup:
        """Return a version as the tenant would use it after what it uses now.

        Its configurations stay, over the defaults of the version and under the given ones, key by key. Without given
        features it keeps those that the version still offers.

        Raises:
            InvalidNameError: the version does not offer a feature.
        """
        kept = [feature for feature in self.features_enabled if feature in version.features]
        return PluginSetup.of(
            self.plugin_name,
            version,
            configurations={**self.configurations, **configurations},
            features=kept if features is None else features,
        )

    def has(self, setup: PluginSetup) -> bool:
        """Tell whether it serves the tenant with exactly this."""
        now = (self.installed_version, self.configurations, self.features_enabled)
        return self.status is _ACTIVE and now == (setup.version, setup.configurations, setup.features_enabled)

    def begin_installation(self, setup: PluginSetup) -> None:
        """Record what is about to be installed: for the first time, again after a failure, or after uninstalling.

        Raises:
            IllegalTransitionError: it is active, or being upgraded or uninstalled.
        """
        self._begin(_INSTALLING, setup)

    def begin_upgrade(self, setup: PluginSetup) -> None:
        """Record what it is about to be upgraded to; until that is done the tenant has what it had.

        Raises:
            IllegalTransitionError: it is not active, nor failed with a version installed, nor being upgraded.
        """
        self._begin_from_installed(_UPGRADING, setup)

    def begin_downgrade(self, setup: PluginSetup) -> None:
        """Record the earlier version that it is about to go back to; until that is done the tenant has what it had.

        Raises:
            IllegalTransitionError: it is not active, nor failed with a version installed, nor being downgraded.
        """
        self._begin_from_installed(_DOWNGRADING, setup)

    def begin_again(self) -> None:
        """Record that what failed is begun again, or what a worker left under way is gone on with.

        Raises:
            IllegalTransitionError: nothing has failed, and nothing is under way.
        """
        after = self.interrupted if self.status is _FAILED else self.status
        if after is None or after not in UNDER_WAY:
            raise IllegalTransitionError(self.subject, self.status.value, "what it was before it failed")
        self._go(after)
        self.error_message = None

    def begin_abandonment(self) -> None:
        """Record that what failed, or is under way, is about to be taken back.

        Raises:
            IllegalTransitionError: nothing has failed, and nothing is under way.
        """
        given_up = self.interrupted if self.status in (_FAILED, _ABANDONING) else self.status
        if given_up not in UNDER_WAY:
            raise IllegalTransitionError(self.subject, self.status.value, _ABANDONING.value)
        self._go(_ABANDONING)
        self.interrupted = given_up
        self.error_message = None

    def finish_abandonment(self) -> None:
        """Close it: the schema is what it was before, and so is the plugin; an installation is none any more.

        Raises:
            IllegalTransitionError: it is not being taken back.
        """
        self._require(_ABANDONING, _ACTIVE)
        serves_again = self.interrupted in (_UPGRADING, _DOWNGRADING)
        self._end(_ACTIVE if serves_again else _UNINSTALLED)

    def activate(self) -> None:
        """Take over what was pending: the schema has it now.

        Raises:
            IllegalTransitionError: it is not being installed, upgraded or downgraded.
        """
        if self.pending is None or self.status is _ABANDONING:
            raise IllegalTransitionError(self.subject, self.status.value, _ACTIVE.value)
        pending = self.pending
        self._end(_ACTIVE)
        self.record(
            PluginActivated(
                tenant_id=self.tenant_id,
                plugin=self.plugin_name,
                version=pending.version,
                previous=self.installed_version,
            )
        )
        self._take_over(pending)

    def configure(
        self, plugin: Plugin, *, configurations: Mapping[str, JsonValue], features: Sequence[str] | None
    ) -> None:
        """Change configurations, key by key, and features of the version that is installed; `None` keeps the features.

        Raises:
            IllegalTransitionError: it is not active.
            InvalidNameError: the version does not offer a feature.
        """
        if self.status is not _ACTIVE or self.installed_version is None:
            raise IllegalTransitionError(self.subject, self.status.value, "configured")
        version = plugin.of_version(self.installed_version)
        self._take_over(self.setup_for(version, configurations=configurations, features=features))

    def begin_uninstallation(self) -> None:
        """Record that it is about to be uninstalled.

        Raises:
            IllegalTransitionError: it is neither active nor failed, nor being uninstalled.
        """
        self._begin(_UNINSTALLING, None)

    def finish_uninstallation(self) -> None:
        """Close it. The data stays, and with it the version of the schema.

        Raises:
            IllegalTransitionError: it is not being uninstalled.
        """
        self._require(_UNINSTALLING, _UNINSTALLED)
        self._end(_UNINSTALLED)
        self.record(PluginUninstalled(tenant_id=self.tenant_id, plugin=self.plugin_name))

    def begin_purge(self) -> None:
        """Record that everything that its migrations made, with the data in it, is about to be taken away.

        Raises:
            IllegalTransitionError: something else is under way.
        """
        self._begin(_PURGING, None)

    def finish_purge(self) -> None:
        """Close it: nothing of it is left in the tenant's schema.

        Raises:
            IllegalTransitionError: it is not being purged.
        """
        self._require(_PURGING, _UNINSTALLED)
        self._end(_UNINSTALLED)
        self.installed_version, self.configurations, self.features_enabled = None, {}, ()
        self.record(PluginPurged(tenant_id=self.tenant_id, plugin=self.plugin_name))

    def fail(self, reason: str) -> None:
        """Record why what is under way failed; what was installed before stays so.

        Raises:
            IllegalTransitionError: nothing is under way.
        """
        failed = self.interrupted if self.status is _ABANDONING else self.status
        self._go(_FAILED)
        self.interrupted = failed
        self.error_message = reason
        self.let_go()
        self.record(PluginFailed(tenant_id=self.tenant_id, plugin=self.plugin_name, reason=reason))

    @property
    def subject(self) -> str:
        return f"plugin {self.plugin_name} of tenant {self.tenant_id}"

    def _begin(self, after: TenantPluginStatus, setup: PluginSetup | None) -> None:
        self._go(after)
        self.pending = setup
        self.error_message = None
        self.interrupted = None

    def _begin_from_installed(self, after: TenantPluginStatus, setup: PluginSetup) -> None:
        if self.installed_version is None:
            raise IllegalTransitionError(self.subject, self.status.value, after.value)
        self._begin(after, setup)

    def _end(self, after: TenantPluginStatus) -> None:
        self._begin(after, None)
        self.let_go()

    def _take_over(self, setup: PluginSetup) -> None:
        self.installed_version = setup.version
        self.configurations = dict(setup.configurations)
        self.features_enabled = setup.features_enabled

    def _require(self, status: TenantPluginStatus, after: TenantPluginStatus) -> None:
        if self.status is not status:
            raise IllegalTransitionError(self.subject, self.status.value, after.value)

    def _go(self, after: TenantPluginStatus) -> None:
        if after not in _NEXT[self.status]:
            raise IllegalTransitionError(self.subject, self.status.value, after.value)
        self.status = after
