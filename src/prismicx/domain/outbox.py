"""The outbox: events stored with the change that they tell of, until they have been delivered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import PydanticSerializationError

from prismicx.domain.errors import UnstorableValueError
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId
from prismicx.domain.leases import Lease
from prismicx.domain.moments import utc_milliseconds

EventT = TypeVar("EventT", bound=DomainEvent)

REGISTRY_KEY: Final = "(registry)"
"""What stands in the tenant's place for events of the registry; no tenant's id has a bracket."""


class StoredEvent(BaseModel):
    """An event as the outbox has it, and as publishers and consumers get it.

    Args:
        id: the event's own, by which a consumer knows it again.
        name: what kind of event it is, as `DomainEvent.event_name` gives it.
        tenant: whose it is; `None` for events of the registry.
        position: its place among the tenant's events, from 1 on, without gaps, in the order of commits.
        occurred_at: cut to milliseconds; the payload has the whole of it.
        payload: the whole event as pydantic writes it to JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    name: str
    tenant: TenantId | None
    position: int
    occurred_at: datetime
    payload: dict[str, JsonValue]

    def read_as(self, kind: type[EventT]) -> EventT:
        """Return the event as this class reads it.

        Raises:
            pydantic.ValidationError: the payload is not one of this class.
        """
        return kind.model_validate(self.payload)


class RecordedEvent(NamedTuple):
    """An event on its way into the outbox; the payload is JSON text."""

    id: UUID
    name: str
    occurred_at: datetime
    payload: str

    @classmethod
    def of(cls, event: DomainEvent) -> RecordedEvent:
        """Return the event in the form that every database keeps.

        Raises:
            UnstorableValueError: JSON cannot hold it.
        """
        name = event.event_name()
        try:
            payload = event.model_dump_json(by_alias=True, round_trip=True)
            occurred_at = utc_milliseconds(event.occurred_at)
        except (PydanticSerializationError, ValueError) as error:
            raise UnstorableValueError(name, "payload", str(error)) from error
        return cls(event.event_id, name, occurred_at, payload)


class EntryStatus(StrEnum):
    """Where an event in the outbox stands. One that was delivered is not in it any more."""

    PENDING = "pending"
    DEAD = "dead"
    """It was tried as often as it may be; somebody has to look at it, and to ask for it again."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An event that has not been delivered.

    Attributes:
        attempts: how often its delivery has failed.
        reason: why it failed the last time.
    """

    event: StoredEvent
    status: EntryStatus = EntryStatus.PENDING
    attempts: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A relay's right to deliver a tenant's events (`None`: the registry's) until the lease ends."""

    tenant: TenantId | None
    lease: Lease


class Outbox(ABC):
    """The undelivered events of all tenants on one backend, for relays and for operators.

    One relay at a time has the claim to a tenant. A claim is a lease with a fencing number that grows with each change
    of hands. Times are the caller's; they decide only how soon a relay is overtaken.
    """

    @abstractmethod
    async def waiting(self, *, now: datetime, past_dead: bool, limit: int) -> Sequence[TenantId | None]:
        """Return tenants with something to deliver that no relay has a claim to, the one served longest ago first.

        Args:
            past_dead: whether a tenant's events go on after a dead one; without, such a tenant is left out while its
                oldest event is dead.
            limit: tenants at most.
        """

    @abstractmethod
    async def claim(self, tenant: TenantId | None, *, holder: str, now: datetime, until: datetime) -> Claim | None:
        """Return the claim to a tenant, or `None` where another relay has it or the tenant has to wait."""

    @abstractmethod
    async def oldest(self, claim: Claim, *, past_dead: bool, limit: int) -> Sequence[OutboxEntry]:
        """Return the tenant's oldest pending events in order; without `past_dead` none that follows a dead one."""

    @abstractmethod
    async def delivered(self, claim: Claim, entries: Sequence[OutboxEntry], *, until: datetime) -> None:
        """Take out what has been delivered, and keep the claim until this moment.

        Raises:
            LeaseLostError: another relay has taken over; the entries stay, and it delivers them again.
        """

    @abstractmethod
    async def failed(
        self, claim: Claim, entries: Sequence[OutboxEntry], *, reason: str, dead: bool, until: datetime
    ) -> None:
        """Take note that these were not delivered, and give up the claim: nobody has it before this moment.

        Raises:
            LeaseLostError: another relay has taken over; nothing was noted.
        """

    @abstractmethod
    async def release(self, claim: Claim, *, until: datetime) -> None:
        """Give up the claim: anybody may have it from this moment on. One that is lost already is no error."""

    @abstractmethod
    async def entries(
        self, *, status: EntryStatus | None = None, tenant: TenantId | None = None, limit: int = 100
    ) -> Sequence[OutboxEntry]:
        """Return what is in the outbox, by tenant and position.

        Args:
            status: only these; `None` for all.
            tenant: only this tenant's; `None` for all.
            limit: entries at most.
        """

    @abstractmethod
    async def retry(self, *, event: UUID | None = None, tenant: TenantId | None = None) -> int:
        """Make dead events pending again, as if they had never been tried; return how many.

        Args:
            event: only the one of this id; `None` for all.
            tenant: only this tenant's; `None` for all.
        """


class Publisher(ABC):
    """Where a relay hands events to. It is entered and left with the relay."""

    @abstractmethod
    async def publish(self, events: Sequence[StoredEvent]) -> None:
        """Hand the events of one tenant on, in order, and return once whoever gets them has them for good.

        They may come again: after an error, a crash, or where this takes longer than the relay waits. They are then
        handed over from the first of them that the outbox still has.

        Raises:
            PublisherUnavailableError: nobody can be reached, so it is not these events' fault: no try is counted.
            Exception: any other counts as a failed try of these events.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def key_of(tenant: TenantId | None) -> str:
    """Return what databases keep in the tenant's place."""
    return REGISTRY_KEY if tenant is None else tenant.value


def tenant_of(key: str) -> TenantId | None:
    """Return whose key this is."""
    return None if key == REGISTRY_KEY else TenantId(key)
