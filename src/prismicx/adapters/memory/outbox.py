"""The outbox in memory: what relays do to it is as on the databases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from prismicx.domain.errors import DuplicateEntityError, LeaseLostError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.leases import Lease
from prismicx.domain.outbox import (
    Claim,
    EntryStatus,
    Outbox,
    OutboxEntry,
    RecordedEvent,
    StoredEvent,
    key_of,
)


@dataclass(slots=True)
class TenantQueue:
    """One tenant's undelivered events by id, oldest first, its last position, and the last lease."""

    entries: dict[UUID, OutboxEntry] = field(default_factory=dict)
    last: int = 0
    lease: Lease | None = None

    def require_new(self, events: Sequence[RecordedEvent]) -> None:
        """Return if none of the events is there, nor given twice.

        Raises:
            DuplicateEntityError: one is.
        """
        ids = {event.id for event in events}
        if len(ids) < len(events) or ids & self.entries.keys():
            raise DuplicateEntityError("outbox", ("id",))

    def append(self, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        """Put events behind all others."""
        for event in events:
            self.last += 1
            stored = StoredEvent(
                id=event.id,
                name=event.name,
                tenant=tenant,
                position=self.last,
                occurred_at=event.occurred_at,
                payload=json.loads(event.payload),
            )
            self.entries[event.id] = OutboxEntry(stored)

    def deliverable(self, *, past_dead: bool) -> Iterator[OutboxEntry]:
        """Yield what may be delivered, in order."""
        for entry in self.entries.values():
            if entry.status is EntryStatus.PENDING:
                yield entry
            elif not past_dead:
                return


Queues = dict[TenantId | None, TenantQueue]


class MemoryOutbox(Outbox):
    """The undelivered events of all tenants in memory."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    async def waiting(self, *, now: datetime, past_dead: bool, limit: int) -> Sequence[TenantId | None]:
        free = [
            (queue.lease is not None, queue.lease.expires_at if queue.lease else now, key_of(tenant), tenant)
            for tenant, queue in self._queues.items()
            if (queue.lease is None or queue.lease.expires_at <= now)
            and next(queue.deliverable(past_dead=past_dead), None)
        ]
        return [tenant for *_, tenant in sorted(free, key=lambda place: place[:3])[:limit]]

    async def claim(self, tenant: TenantId | None, *, holder: str, now: datetime, until: datetime) -> Claim | None:
        queue = self._queues.setdefault(tenant, TenantQueue())
        if queue.lease is not None and queue.lease.expires_at > now:
            return None
        queue.lease = Lease.taken(holder, after=queue.lease.fence if queue.lease else 0, until=until)
        return Claim(tenant, queue.lease)

    async def oldest(self, claim: Claim, *, past_dead: bool, limit: int) -> Sequence[OutboxEntry]:
        found = self._queues[claim.tenant].deliverable(past_dead=past_dead)
        return [entry for _, entry in zip(range(limit), found, strict=False)]

    async def delivered(self, claim: Claim, entries: Sequence[OutboxEntry], *, until: datetime) -> None:
        queue = self._held(claim, until)
        for entry in entries:
            queue.entries.pop(entry.event.id, None)

    async def failed(
        self, claim: Claim, entries: Sequence[OutboxEntry], *, reason: str, dead: bool, until: datetime
    ) -> None:
        queue = self._held(claim, until)
        status = EntryStatus.DEAD if dead else EntryStatus.PENDING
        for entry in entries:
            known = queue.entries[entry.event.id]
            attempts = known.attempts + 1
            queue.entries[entry.event.id] = replace(known, status=status, attempts=attempts, reason=reason)

    async def release(self, claim: Claim, *, until: datetime) -> None:
        queue = self._queues[claim.tenant]
        if queue.lease is not None and queue.lease.fence == claim.lease.fence:
            queue.lease = queue.lease.model_copy(update={"expires_at": until})

    async def entries(
        self, *, status: EntryStatus | None = None, tenant: TenantId | None = None, limit: int = 100
    ) -> Sequence[OutboxEntry]:
        found = [
            entry
            for key in sorted(self._queues, key=key_of)
            for entry in self._queues[key].entries.values()
            if status in (None, entry.status) and tenant in (None, key)
        ]
        return found[:limit]

    async def retry(self, *, event: UUID | None = None, tenant: TenantId | None = None) -> int:
        count = 0
        for key, queue in self._queues.items():
            for entry in list(queue.entries.values()):
                wanted = event in (None, entry.event.id) and tenant in (None, key)
                if wanted and entry.status is EntryStatus.DEAD:
                    queue.entries[entry.event.id] = OutboxEntry(entry.event)
                    count += 1
        return count

    def _held(self, claim: Claim, until: datetime) -> TenantQueue:
        """Return the queue of a claim that still holds, which it does until this moment."""
        queue = self._queues[claim.tenant]
        if queue.lease is None or queue.lease.fence != claim.lease.fence:
            raise LeaseLostError(f"the outbox of {key_of(claim.tenant)}", fence=claim.lease.fence)
        queue.lease = queue.lease.model_copy(update={"expires_at": until})
        return queue
