"""Tenants: where each one's data lives, the state it is in, and what was done and is left to do to its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.errors import IllegalTransitionError, InvalidNameError, InvalidPluginTypeError
from prismicx.domain.events import (
    TenantActivated,
    TenantDeleted,
    TenantDeletionStarted,
    TenantProvisioningFailed,
    TenantProvisioningStarted,
    TenantResumed,
    TenantSuspended,
)
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier, tenant_database_name
from prismicx.domain.operated import Operated
from prismicx.domain.operations import Operation, Receipt

DEFAULT_PLUGIN_TYPES: Final = (PluginType("crm"), PluginType("sales"), PluginType("marketing"))
"""The plugin types that a tenant gets a schema for unless it asks for others."""

_LONGEST_NAME: Final = 200
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/#-]{0,199}", re.ASCII)


class TenantStatus(StrEnum):
    """The state of a tenant; only an active one opens units of work."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"
    DELETED = "deleted"


_Transition = tuple[frozenset[TenantStatus], TenantStatus]

_TRANSITIONS: Final[Mapping[str, _Transition]] = {
    "activate": (frozenset({TenantStatus.PROVISIONING}), TenantStatus.ACTIVE),
    "suspend": (frozenset({TenantStatus.ACTIVE}), TenantStatus.SUSPENDED),
    "resume": (frozenset({TenantStatus.SUSPENDED}), TenantStatus.ACTIVE),
    "begin deletion": (frozenset({TenantStatus.PROVISIONING, TenantStatus.SUSPENDED}), TenantStatus.DELETING),
    "finish deletion": (frozenset({TenantStatus.DELETING}), TenantStatus.DELETED),
}


class DatabaseConfig(BaseModel):
    """Where a tenant's data is.

    Args:
        type: `shared` databases, with other tenants; or `dedicated` ones, at the connection's own addresses.
        connection: the name under which `ConnectionSecrets` keep the addresses of dedicated databases; never an address
            itself. Of a shared tenant it is a remark that no backend follows.
        database_name: the name of the tenant's database.

    Raises:
        InvalidNameError: the connection is an address, or no reference; the error does not repeat an address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Literal["shared", "dedicated"]
    connection: str
    database_name: str

    def __init__(
        self,
        *,
        type: Literal["shared", "dedicated"],  # noqa: A002  # the source document's word
        connection: str,
        database_name: str,
    ) -> None:
        if "://" in connection:
            raise InvalidNameError("secret's name", "…://…", "it is an address; give the name of the secret instead")
        if not _REFERENCE.fullmatch(connection):
            raise InvalidNameError("secret's name", "…", "only letters, digits and _ . : / # - are allowed")
        super().__init__(type=type, connection=connection, database_name=database_name)

    @classmethod
    def of(cls, tenant_id: TenantId, *, connection: str, dedicated: bool = False) -> DatabaseConfig:
        """Return the database `tenant_<id>_db` behind this connection."""
        return cls(
            type="dedicated" if dedicated else "shared",
            connection=connection,
            database_name=tenant_database_name(tenant_id),
        )


class Tenant(Operated):
    """One customer of the platform, as the registry knows it.

    Its place is made, and unmade, by an operation of steps. Each step is recorded before and after, so a failure or a
    crash leaves it in `provisioning` or `deleting` with the step and the `failure`, and a worker goes on from there.
    It gets active once, when every step is done. A deleted one stays as a tombstone: its id is never given again, and
    its `receipt` says what was removed.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    tenant_id: TenantId = Field(frozen=True)
    name: str
    region: Region
    tier: Tier
    database_config: DatabaseConfig
    status: TenantStatus = TenantStatus.PROVISIONING
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC), frozen=True)
    plugin_types: tuple[PluginType, ...] = DEFAULT_PLUGIN_TYPES

    @classmethod
    def register(
        cls,
        tenant_id: TenantId,
        *,
        name: str,
        region: Region,
        tier: Tier,
        database_config: DatabaseConfig,
        plugin_types: Sequence[PluginType] = DEFAULT_PLUGIN_TYPES,
        steps: Sequence[str],
    ) -> Self:
        """Return a new tenant in `provisioning`, with these steps to its place.

        Raises:
            InvalidNameError: the name is empty, padded, over 200 characters or not printable, or a step is twice there.
            InvalidPluginTypeError: a plugin type is given twice.
        """
        for plugin_type in plugin_types:
            if list(plugin_types).count(plugin_type) > 1:
                raise InvalidPluginTypeError(plugin_type.value, "it is given twice")
        tenant = cls(
            tenant_id=tenant_id,
            name=_checked_name(name),
            region=region,
            tier=tier,
            database_config=database_config,
            plugin_types=tuple(plugin_types),
        )
        tenant.provision(steps)
        tenant.record(TenantProvisioningStarted(tenant_id=tenant_id))
        return tenant

    # --- Making its place. ---

    def provision(self, steps: Sequence[str]) -> None:
        """Plan the steps, in order. What is recorded of a step that was planned before stays.

        Raises:
            IllegalTransitionError: the tenant is not in provisioning.
            InvalidNameError: a step is named twice.
        """
        self._require(TenantStatus.PROVISIONING)
        for name in steps:
            if list(steps).count(name) > 1:
                raise InvalidNameError("step of provisioning", name, "it is named twice")
        self.operation = (self.operation or Operation(kind="provisioning", steps=())).planned(steps)

    def fail_step(self, name: str, reason: str, *, due_at: datetime | None = None) -> None:
        super().fail_step(name, reason, due_at=due_at)
        if self.status is TenantStatus.PROVISIONING:
            self.record(TenantProvisioningFailed(tenant_id=self.tenant_id, step=name, reason=reason))

    def activate(self) -> None:
        """Open the finished place.

        Raises:
            IllegalTransitionError: the tenant is not in provisioning, or a step is not done.
        """
        self._require_finished(TenantStatus.ACTIVE)
        self._go("activate")
        self.end_operation()
        self.record(TenantActivated(tenant_id=self.tenant_id))

    def need_schema(self, plugin_type: PluginType) -> None:
        """Record that the tenant has, or is about to get, a schema for this plugin type.

        Raises:
            IllegalTransitionError: the tenant is not active.
        """
        self._require(TenantStatus.ACTIVE)
        if plugin_type not in self.plugin_types:
            self.plugin_types = (*self.plugin_types, plugin_type)

    # --- Closing, opening and unmaking it. ---

    def suspend(self) -> None:
        """Let nobody in until it is resumed; the data stays.

        Raises:
            IllegalTransitionError: the tenant is not active.
        """
        self._go("suspend")
        self.record(TenantSuspended(tenant_id=self.tenant_id))

    def resume(self) -> None:
        """Let everybody in again.

        Raises:
            IllegalTransitionError: the tenant is not suspended.
        """
        self._go("resume")
        self.record(TenantResumed(tenant_id=self.tenant_id))

    def begin_deletion(self, steps: Sequence[str]) -> None:
        """Plan the unmaking of the place, by the steps in this order.

        Raises:
            IllegalTransitionError: the tenant is active (suspend it first), or deleting, or deleted.
        """
        self._go("begin deletion")
        self.operation = Operation(kind="deletion", steps=()).planned(steps)
        self.failure = None
        self.record(TenantDeletionStarted(tenant_id=self.tenant_id))

    def abort(self) -> None:
        """Plan to take back a provisioning: every step that was ever begun, in reverse order.

        Raises:
            IllegalTransitionError: the tenant is not in provisioning.
        """
        if self.status is not TenantStatus.PROVISIONING:
            raise IllegalTransitionError(self.subject, self.status.value, TenantStatus.DELETING.value)
        self.begin_deletion(() if self.operation is None else self.operation.begun[::-1])

    def finish_deletion(self) -> None:
        """Close the record for good, when every step of the deletion is done.

        Raises:
            IllegalTransitionError: the tenant is not deleting, or a step is not done.
        """
        self._require_finished(TenantStatus.DELETED)
        self._go("finish deletion")
        self.end_operation()
        self.record(TenantDeleted(tenant_id=self.tenant_id))

    @property
    def receipt(self) -> Receipt | None:
        """What was removed, and when; `None` unless the tenant is deleted."""
        return None if self.operation is None else self.operation.receipt

    # --- The state machine. ---

    def _go(self, verb: str) -> None:
        befores, after = _TRANSITIONS[verb]
        if self.status not in befores:
            raise IllegalTransitionError(self.subject, self.status.value, after.value)
        self.status = after

    def _require(self, status: TenantStatus) -> None:
        if self.status is not status:
            raise IllegalTransitionError(self.subject, self.status.value, status.value)

    def _require_finished(self, after: TenantStatus) -> None:
        if self.operation and self.operation.unfinished:
            unfinished = f"{self.subject}, with {', '.join(self.operation.unfinished)} to do,"
            raise IllegalTransitionError(unfinished, self.status.value, after.value)

    @property
    def subject(self) -> str:
        return f"tenant {self.tenant_id}"

    @property
    def state(self) -> str:
        return self.status.value


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or name != name.strip():
        raise InvalidNameError("tenant's name", name, "it is empty, padded or no text")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidNameError("tenant's name", name, f"it takes at most {_LONGEST_NAME} printable characters")
    return name
