"""What a consumer has handled: one record for each event, kept with what the handler wrote."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Self
from uuid import UUID, uuid5

from pydantic import Field

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import StoredEvent
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import Repository
from prismicx.domain.specification import asc


class HandledEvent(AggregateRoot):
    """That a consumer has handled an event of the tenant. Its id is made of the two, so there is one at most.

    Attributes:
        consumer: which of the service's consumers it was.
        event_id: the event's own id.
    """

    consumer: str
    event_id: UUID
    handled_at: datetime = Field(default_factory=utc_now)

    @classmethod
    def by(cls, consumer: str, event: StoredEvent) -> Self:
        """Return the record that this consumer has handled this event."""
        return cls(id=cls.identity(consumer, event), consumer=consumer, event_id=event.id)

    @classmethod
    def identity(cls, consumer: str, event: StoredEvent) -> UUID:
        """Return the id of the record, whether it exists or not."""
        return uuid5(event.id, consumer)


class HandledEvents(Repository[HandledEvent]):
    """What the tenant's consumers have handled."""

    async def forget(self, before: datetime, *, limit: int = 1000) -> int:
        """Remove the oldest records from before this moment, and return how many: at most `limit` for each call.

        An event that comes again after its record was removed is handled again.
        """
        old = await self.list(HandledEvent.handled_at < before, order_by=asc(HandledEvent.handled_at), limit=limit)
        for record in old:
            self.remove(record)
        return len(old)


HANDLED_EVENTS: Final = EntityMapping(HandledEvent, "handled_events", Shared(), indexes=[["handled_at"]])
"""For the mappings of a service that consumes events."""
