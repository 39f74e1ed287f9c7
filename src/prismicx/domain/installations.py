"""What a tenant has installed of a plugin, and the state that it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import IllegalTransitionError, InvalidNameError
from prismicx.domain.events import PluginActivated, PluginFailed, PluginUninstalled
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import Plugin, PluginVersion


class TenantPluginStatus(StrEnum):
    """The state of a tenant's plugin."""

    INSTALLING = "installing"
    ACTIVE = "active"
    FAILED = "failed"
    UPGRADING = "upgrading"
    UNINSTALLING = "uninstalling"
    UNINSTALLED = "uninstalled"


_INSTALLING, _ACTIVE, _FAILED, _UPGRADING, _UNINSTALLING, _UNINSTALLED = TenantPluginStatus

_NEXT: Final[Mapping[TenantPluginStatus, frozenset[TenantPluginStatus]]] = {
    # Each of the three that are under way leads to itself: after a crash the work is begun again.
    _INSTALLING: frozenset({_INSTALLING, _ACTIVE, _FAILED}),
    _UPGRADING: frozenset({_UPGRADING, _ACTIVE, _FAILED}),
    _UNINSTALLING: frozenset({_UNINSTALLING, _UNINSTALLED, _FAILED}),
    _ACTIVE: frozenset({_UPGRADING, _UNINSTALLING}),
    _FAILED: frozenset({_INSTALLING, _UPGRADING, _UNINSTALLING}),
    _UNINSTALLED: frozenset({_INSTALLING}),
}


class PluginSetup(BaseModel):
    """A version of a plugin as one tenant uses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Version
    configurations: dict[str, JsonValue] = Field(default_factory=dict)
    features_enabled: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, plugin: str, version: PluginVersion, *, configurations: Mapping[str, JsonValue], features: Sequence[str]
    ) -> Self:
        """Return the version with these features, and these configurations over its defaults, key by key.

        Raises:
            InvalidNameError: the version does not offer a feature.
        """
        for feature in features:
            if feature not in version.features:
                offered = ", ".join(version.features) or "none"
                raise InvalidNameError(f"feature of {plugin} {version.version}", feature, f"it offers {offered}")
        return cls(
            version=version.version,
            configurations={**version.defaults, **configurations},
            features_enabled=tuple(dict.fromkeys(features)),
        )


class TenantPlugin(AggregateRoot):
    """One plugin of one tenant.

    `installed_version` is the one that the tenant's schema has: `None` until the first installation is done, unchanged
    by a failure, and kept when the plugin is uninstalled, because the data is. `pending` is what an installation or an
    upgrade leads to: recorded before it is begun, taken over when it is done, kept for the next try when it failed.
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
        self._go(_INSTALLING)
        self.pending = setup
        self.error_message = None

    def begin_upgrade(self, setup: PluginSetup) -> None:
        """Record what it is about to be upgraded to; until that is done the tenant has what it had.

        Raises:
            IllegalTransitionError: it is not active, nor failed with a version installed, nor being upgraded.
        """
        if self.installed_version is None:
            raise IllegalTransitionError(self._subject, self.status.value, _UPGRADING.value)
        self._go(_UPGRADING)
        self.pending = setup
        self.error_message = None

    def activate(self) -> None:
        """Take over what was pending: the schema has it now.

        Raises:
            IllegalTransitionError: it is not being installed or upgraded.
        """
        if self.pending is None:
            raise IllegalTransitionError(self._subject, self.status.value, _ACTIVE.value)
        self._go(_ACTIVE)
        self.record(
            PluginActivated(
                tenant_id=self.tenant_id,
                plugin=self.plugin_name,
                version=self.pending.version,
                previous=self.installed_version,
            )
        )
        self._take_over(self.pending)

    def configure(
        self, plugin: Plugin, *, configurations: Mapping[str, JsonValue], features: Sequence[str] | None
    ) -> None:
        """Change configurations, key by key, and features of the version that is installed; `None` keeps the features.

        Raises:
            IllegalTransitionError: it is not active.
            InvalidNameError: the version does not offer a feature.
        """
        if self.status is not _ACTIVE or self.installed_version is None:
            raise IllegalTransitionError(self._subject, self.status.value, "configured")
        version = plugin.of_version(self.installed_version)
        self._take_over(self.setup_for(version, configurations=configurations, features=features))

    def begin_uninstallation(self) -> None:
        """Record that it is about to be uninstalled.

        Raises:
            IllegalTransitionError: it is neither active nor failed, nor being uninstalled.
        """
        self._go(_UNINSTALLING)
        self.pending = None
        self.error_message = None

    def finish_uninstallation(self) -> None:
        """Close it. The data stays, and with it the version of the schema.

        Raises:
            IllegalTransitionError: it is not being uninstalled.
        """
        self._go(_UNINSTALLED)
        self.record(PluginUninstalled(tenant_id=self.tenant_id, plugin=self.plugin_name))

    def fail(self, reason: str) -> None:
        """Record why installing, upgrading or uninstalling failed; what was installed before stays so.

        Raises:
            IllegalTransitionError: nothing is under way.
        """
        self._go(_FAILED)
        self.error_message = reason
        self.record(PluginFailed(tenant_id=self.tenant_id, plugin=self.plugin_name, reason=reason))

    def _take_over(self, setup: PluginSetup) -> None:
        self.installed_version = setup.version
        self.configurations = dict(setup.configurations)
        self.features_enabled = setup.features_enabled
        self.pending = None

    def _go(self, after: TenantPluginStatus) -> None:
        if after not in _NEXT[self.status]:
            raise IllegalTransitionError(self._subject, self.status.value, after.value)
        self.status = after

    @property
    def _subject(self) -> str:
        return f"plugin {self.plugin_name} of tenant {self.tenant_id}"
