"""Domain events: facts in the past tense, recorded by aggregates, handed over after commit. The registry's are here."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.identifiers import TenantId, Version, new_id


class DomainEvent(BaseModel):
    """Something that happened to an aggregate. Subclass it, name it in the past tense, give it what readers need."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: UUID = Field(default_factory=new_id)
    occurred_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def event_name(cls) -> str:
        """Return what the outbox and its consumers call this kind of event: override it before renaming the class."""
        return cls.__name__


class TenantEvent(DomainEvent):
    """Something that happened to a tenant."""

    tenant_id: TenantId


class TenantProvisioningStarted(TenantEvent):
    """The tenant is registered, its place not yet made."""


class TenantProvisioningFailed(TenantEvent):
    """A step failed; the tenant stays in provisioning until a worker goes on."""

    step: str
    reason: str


class TenantActivated(TenantEvent):
    """The tenant's place is complete; units of work are open to it."""


class TenantSuspended(TenantEvent):
    """No unit of work opens for the tenant any more; its data stays."""


class TenantResumed(TenantEvent):
    """Units of work open for the tenant again."""


class TenantDeletionStarted(TenantEvent):
    """The tenant's place is being unmade."""


class TenantDeleted(TenantEvent):
    """The tenant's place is unmade; the record stays, so that its id is never given again."""


class PluginVersionPublished(DomainEvent):
    """Tenants can install this version, or upgrade to it."""

    plugin: str
    version: Version


class TenantPluginEvent(TenantEvent):
    """Something that happened to a tenant's plugin."""

    plugin: str


class PluginActivated(TenantPluginEvent):
    """The plugin serves the tenant in this version, installed or upgraded; `previous` is `None` the first time."""

    version: Version
    previous: Version | None


class PluginFailed(TenantPluginEvent):
    """Installing, upgrading or uninstalling it failed; the tenant's schema is as it was."""

    reason: str


class PluginUninstalled(TenantPluginEvent):
    """The plugin serves the tenant no more; its data stays."""


class PluginPurged(TenantPluginEvent):
    """Nothing of the plugin is left in the tenant's schema; its data is gone."""


class RolloutEvent(DomainEvent):
    """Something that happened to a version of a plugin on its way to all tenants."""

    plugin: str
    version: Version


class RolloutStarted(RolloutEvent):
    """It is about to be brought to this many tenants."""

    tenants: int


class RolloutPaused(RolloutEvent):
    """It has stopped, and waits for somebody to resume it."""

    reason: str


class RolloutFinished(RolloutEvent):
    """It has come to every tenant that had an earlier version."""

    upgraded: int
