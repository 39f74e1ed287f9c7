"""The outbox on PostgreSQL: how a unit stores events, and how a relay takes them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prismicx.adapters.sqlalchemy.lone_statements import lent
from prismicx.domain.errors import LeaseLostError
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
    tenant_of,
)

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient

# The head is locked from here to the commit, so positions are given in the order of commits and have no gaps.
STORE: Final = """
WITH head AS (
    INSERT INTO prismicx.outbox_heads AS known (tenant_id, next) VALUES ($1, $2::bigint + 1)
    ON CONFLICT (tenant_id) DO UPDATE SET next = known.next + $2::bigint
    RETURNING next - $2::bigint - 1 AS last
)
INSERT INTO prismicx.outbox (tenant_id, position, id, name, occurred_at, payload)
SELECT $1, head.last + new.place, new.id, new.name, new.occurred_at, new.payload::json
FROM head, unnest($3::uuid[], $4::text[], $5::timestamptz[], $6::text[])
    WITH ORDINALITY AS new(id, name, occurred_at, payload, place)
RETURNING position"""
"""Store a tenant's events: values are those of `store_arguments`."""


def store_arguments(tenant: TenantId | None, events: Sequence[RecordedEvent]) -> list[Any]:
    """Return the values of `STORE`."""
    lists = ([event[index] for event in events] for index in range(len(RecordedEvent._fields)))
    return [key_of(tenant), len(events), *lists]


class SqlAlchemyOutbox(Outbox):
    """The undelivered events of all tenants of a PostgreSQL database.

    Args:
        client: of a login that the outbox's policies let in.
    """

    def __init__(self, client: DatabaseClient) -> None:
        self._client = client

    async def waiting(self, *, now: datetime, past_dead: bool, limit: int) -> Sequence[TenantId | None]:
        async with lent(self._client) as connection:
            return [tenant_of(key) for (key,) in await connection.fetch(_WAITING, now, past_dead, limit)]

    async def claim(self, tenant: TenantId | None, *, holder: str, now: datetime, until: datetime) -> Claim | None:
        async with lent(self._client) as connection:
            fence = await connection.fetchval(_CLAIM, key_of(tenant), holder, now, until)
        return None if fence is None else Claim(tenant, Lease(holder=holder, fence=fence, expires_at=until))

    async def oldest(self, claim: Claim, *, past_dead: bool, limit: int) -> Sequence[OutboxEntry]:
        async with lent(self._client) as connection:
            rows = await connection.fetch(_OLDEST, key_of(claim.tenant), past_dead, limit)
        return list(takewhile(lambda entry: entry.status is EntryStatus.PENDING, map(_entry, rows)))

    async def delivered(self, claim: Claim, entries: Sequence[OutboxEntry], *, until: datetime) -> None:
        await self._under(claim, _DELIVERED, until, _positions(entries))

    async def failed(
        self, claim: Claim, entries: Sequence[OutboxEntry], *, reason: str, dead: bool, until: datetime
    ) -> None:
        status = EntryStatus.DEAD if dead else EntryStatus.PENDING
        await self._under(claim, _FAILED, until, _positions(entries), status.value, reason)

    async def release(self, claim: Claim, *, until: datetime) -> None:
        async with lent(self._client) as connection:
            await connection.execute(_RELEASE, key_of(claim.tenant), claim.lease.fence, until)

    async def entries(
        self, *, status: EntryStatus | None = None, tenant: TenantId | None = None, limit: int = 100
    ) -> Sequence[OutboxEntry]:
        wanted = None if status is None else status.value
        async with lent(self._client) as connection:
            rows = await connection.fetch(_ENTRIES, wanted, None if tenant is None else tenant.value, limit)
        return [_entry(row) for row in rows]

    async def retry(self, *, event: UUID | None = None, tenant: TenantId | None = None) -> int:
        async with lent(self._client) as connection:
            status = await connection.execute(_RETRY, event, None if tenant is None else tenant.value)
        return int(status.removeprefix("UPDATE "))

    async def _under(self, claim: Claim, sql: str, *values: Any) -> None:
        """Run a statement that does something under a claim that still holds, and says whether it does."""
        key, fence = key_of(claim.tenant), claim.lease.fence
        async with lent(self._client) as connection:
            if not await connection.fetchval(sql, key, fence, *values):
                raise LeaseLostError(f"the outbox of {key}", fence=fence)


def _positions(entries: Sequence[OutboxEntry]) -> list[int]:
    return [entry.event.position for entry in entries]


def _entry(row: Any) -> OutboxEntry:
    key, position, identity, name, occurred_at, payload, status, attempts, reason = row
    event = StoredEvent(
        id=UUID(int=identity.int),
        name=name,
        tenant=tenant_of(key),
        position=position,
        occurred_at=occurred_at,
        payload=payload,
    )
    return OutboxEntry(event, EntryStatus(status), attempts, reason)


_COLUMNS: Final = "tenant_id, position, id, name, occurred_at, payload, status, attempts, reason"

_WAITING: Final = """
SELECT h.tenant_id FROM prismicx.outbox_heads h
LEFT JOIN prismicx.outbox_claims c ON c.tenant_id = h.tenant_id
CROSS JOIN LATERAL (
    SELECT o.status FROM prismicx.outbox o WHERE o.tenant_id = h.tenant_id AND (NOT $2::boolean OR o.status = 'pending')
    ORDER BY o.position LIMIT 1) AS oldest
WHERE oldest.status = 'pending' AND (c.free_at IS NULL OR c.free_at <= $1)
ORDER BY c.free_at NULLS FIRST, h.tenant_id LIMIT $3"""

_CLAIM: Final = """
INSERT INTO prismicx.outbox_claims AS known (tenant_id, holder, fence, free_at) VALUES ($1, $2, 1, $4)
ON CONFLICT (tenant_id) DO UPDATE SET holder = EXCLUDED.holder, fence = known.fence + 1, free_at = EXCLUDED.free_at
WHERE known.free_at <= $3
RETURNING fence"""

_OLDEST: Final = f"""
SELECT {_COLUMNS} FROM prismicx.outbox WHERE tenant_id = $1 AND (NOT $2::boolean OR status = 'pending')
ORDER BY position LIMIT $3"""  # noqa: S608 -- columns of ours

_HELD: Final = """
WITH held AS (
    UPDATE prismicx.outbox_claims SET free_at = $3 WHERE tenant_id = $1 AND fence = $2 RETURNING tenant_id
), done AS ("""

_DELIVERED: Final = f"""{_HELD}
    DELETE FROM prismicx.outbox o USING held
    WHERE o.tenant_id = $1 AND held.tenant_id = o.tenant_id AND o.position = ANY($4::bigint[])
) SELECT count(*) FROM held"""  # noqa: S608 -- a fragment of ours

_FAILED: Final = f"""{_HELD}
    UPDATE prismicx.outbox o SET status = $5, attempts = o.attempts + 1, reason = $6 FROM held
    WHERE o.tenant_id = $1 AND held.tenant_id = o.tenant_id AND o.position = ANY($4::bigint[])
) SELECT count(*) FROM held"""  # noqa: S608 -- a fragment of ours

_RELEASE: Final = "UPDATE prismicx.outbox_claims SET free_at = $3 WHERE tenant_id = $1 AND fence = $2"

_ENTRIES: Final = f"""
SELECT {_COLUMNS} FROM prismicx.outbox
WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR tenant_id = $2)
ORDER BY tenant_id, position LIMIT $3"""  # noqa: S608 -- columns of ours

_RETRY: Final = """
UPDATE prismicx.outbox SET status = 'pending', attempts = 0, reason = NULL
WHERE status = 'dead' AND ($1::uuid IS NULL OR id = $1) AND ($2::text IS NULL OR tenant_id = $2)"""
