"""What relays do to the outbox: one at a time for each tenant, in order, and what failed is noted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.errors import LeaseLostError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.outbox import Claim, EntryStatus, OutboxEntry
from prismicx.testing.contracts.selling import kept, sell
from prismicx.testing.contracts.tenants import TwoTenants

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def claimed(backend: TrackedBackend, tenant: TenantId) -> Claim:
    """Return a claim to the tenant at noon, for a minute."""
    claim = await backend.outbox.claim(tenant, holder="relay 1", now=NOON, until=NOON + MINUTE)
    assert claim is not None
    return claim


async def oldest(backend: TrackedBackend, claim: Claim, *, past_dead: bool = False) -> Sequence[OutboxEntry]:
    """Return what the relay of the claim would deliver next."""
    return await backend.outbox.oldest(claim, past_dead=past_dead, limit=10)


async def waiting(backend: TrackedBackend, tenant: TenantId, *, now: datetime, past_dead: bool = False) -> bool:
    """Tell whether relays are told of the tenant."""
    return tenant in await backend.outbox.waiting(now=now, past_dead=past_dead, limit=10_000)


async def dead(backend: TrackedBackend, tenant: TenantId) -> Sequence[OutboxEntry]:
    """Return the tenant's dead events."""
    return await backend.outbox.entries(status=EntryStatus.DEAD, tenant=tenant)


class DeliveringContract(TwoTenants):
    """What relays do to the outbox."""

    async def test_one_relay_at_a_time_has_a_tenant(self, backend: TrackedBackend, acme: TenantId) -> None:
        await sell(backend, acme, 1)
        first = await claimed(backend, acme)

        soon, late = NOON + MINUTE / 2, NOON + MINUTE
        assert not await waiting(backend, acme, now=soon)
        assert await backend.outbox.claim(acme, holder="relay 2", now=soon, until=late) is None
        assert await waiting(backend, acme, now=late)
        second = await backend.outbox.claim(acme, holder="relay 2", now=late, until=late + MINUTE)

        assert second is not None
        assert second.lease.fence > first.lease.fence
        entries = await oldest(backend, second)
        with pytest.raises(LeaseLostError):
            await backend.outbox.delivered(first, entries, until=late + MINUTE)
        with pytest.raises(LeaseLostError):
            await backend.outbox.failed(first, entries, reason="late", dead=True, until=late)
        await backend.outbox.release(first, until=late)
        assert not await waiting(backend, acme, now=late)
        assert await kept(backend, acme) == [(1, 1)]

    async def test_what_was_delivered_is_taken_out(
        self, backend: TrackedBackend, acme: TenantId, globex: TenantId
    ) -> None:
        await sell(backend, acme, 1, 2, 3)
        await sell(backend, globex, 1)
        claim = await claimed(backend, acme)

        entries = await oldest(backend, claim)
        await backend.outbox.delivered(claim, entries[:2], until=NOON + MINUTE)
        await backend.outbox.release(claim, until=NOON)

        assert [entry.event.position for entry in entries] == [1, 2, 3]
        assert await kept(backend, acme) == [(3, 3)]
        assert await kept(backend, globex) == [(1, 1)]
        assert await waiting(backend, acme, now=NOON)
        await sell(backend, acme, 4)
        assert await kept(backend, acme) == [(3, 3), (4, 4)]

    async def test_a_failure_is_noted_and_the_tenant_waits(self, backend: TrackedBackend, acme: TenantId) -> None:
        await sell(backend, acme, 1, 2)
        claim = await claimed(backend, acme)

        entries = await oldest(backend, claim)
        await backend.outbox.failed(claim, entries, reason="no answer", dead=False, until=NOON + MINUTE)

        noted = await backend.outbox.entries(tenant=acme)
        assert [(entry.attempts, entry.reason) for entry in noted] == [(1, "no answer")] * 2
        assert not await waiting(backend, acme, now=NOON + MINUTE / 2)
        assert await waiting(backend, acme, now=NOON + MINUTE)

    async def test_a_dead_event_stops_its_tenant_or_is_stepped_over(
        self, backend: TrackedBackend, acme: TenantId
    ) -> None:
        await sell(backend, acme, 1, 2, 3)
        claim = await claimed(backend, acme)
        first, second, _ = await oldest(backend, claim)
        await backend.outbox.delivered(claim, [first], until=NOON + MINUTE)

        await backend.outbox.failed(claim, [second], reason="no", dead=True, until=NOON)

        assert [entry.event for entry in await dead(backend, acme)] == [second.event]
        assert not await waiting(backend, acme, now=NOON)
        assert await waiting(backend, acme, now=NOON, past_dead=True)
        assert await oldest(backend, claim) == []
        assert [entry.event.position for entry in await oldest(backend, claim, past_dead=True)] == [3]

    async def test_a_dead_event_can_be_asked_for_again(
        self, backend: TrackedBackend, acme: TenantId, globex: TenantId
    ) -> None:
        for tenant in (acme, globex):
            await sell(backend, tenant, 1)
            claim = await claimed(backend, tenant)
            await backend.outbox.failed(claim, await oldest(backend, claim), reason="no", dead=True, until=NOON)
        (of_acme,), (of_globex,) = await dead(backend, acme), await dead(backend, globex)

        assert await backend.outbox.retry(event=new_id()) == 0
        assert await backend.outbox.retry(tenant=acme, event=of_globex.event.id) == 0
        assert await backend.outbox.retry(tenant=acme) == 1
        assert await waiting(backend, acme, now=NOON)
        assert await dead(backend, acme) == []
        assert await backend.outbox.entries(tenant=acme) == [OutboxEntry(of_acme.event)]
        assert await dead(backend, globex) == [of_globex]
        assert await backend.outbox.retry(event=of_globex.event.id) == 1
