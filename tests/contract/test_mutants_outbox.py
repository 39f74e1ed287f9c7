"""Twins of the outbox's promises: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from tests.contract.outboxes import initialised_with_outbox, opened_memory, opened_mongo, postgres_with_outbox

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.adapters.beanie import outbox as in_mongo
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.memory.outbox import MemoryOutbox, TenantQueue
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.adapters.sqlalchemy import outbox as in_postgres
from prismicx.adapters.sqlalchemy.outbox import STORE, store_arguments
from prismicx.adapters.tracking import Tracker
from prismicx.application import handling
from prismicx.domain.errors import (
    DuplicateEntityError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
)
from prismicx.domain.handled import HandledEvent, HandledEvents
from prismicx.domain.identifiers import TenantId
from prismicx.domain.leases import Lease
from prismicx.domain.outbox import Claim, OutboxEntry, RecordedEvent
from prismicx.domain.ports import UnitOfWork
from prismicx.testing.contracts import HandlingContract, OutboxContract, assert_contract_catches
from prismicx.testing.databases import MongoServer, PostgresDatabases
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    database = await prismicx_postgres_database("outbox", initialised_with_outbox)
    async with postgres_with_outbox(database, relay=True) as backend:
        yield backend


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "outbox_mutants") as backend:
        yield backend


@pytest.fixture
def every(
    memory: MemoryBackend, postgres: SqlAlchemyBackend, mongo: BeanieBackend
) -> Sequence[MemoryBackend | SqlAlchemyBackend | BeanieBackend]:
    return memory, postgres, mongo


# --- Storing. ---


async def test_events_in_another_transaction_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def stored_apart(self: Any, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            async with postgres._admin.connection() as connection:
                await connection.fetch(STORE, *store_arguments(tenant, [event]))

    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_store_events", stored_apart)

    await assert_contract_catches(OutboxContract.test_no_event_is_stored_without_commit, postgres)


async def test_events_in_another_transaction_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    async def stored_apart(self: Any, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            async with mongo._client.client.start_session() as session, await session.start_transaction():
                await in_mongo.store_events(mongo._client, session, tenant, [event])

    monkeypatch.setattr(BeanieUnitOfWork, "_store_events", stored_apart)

    await assert_contract_catches(OutboxContract.test_no_event_is_stored_without_commit, mongo)


async def test_events_that_are_stored_by_each_flush(memory: MemoryBackend, monkeypatch: Patch) -> None:
    flush = MemoryUnitOfWork.flush

    async def flush_events_too(self: MemoryUnitOfWork) -> None:
        await flush(self)
        for tenant, events in self._recorded_events().items():
            queue = memory._store.outbox.setdefault(tenant, TenantQueue())
            queue.append(tenant, [RecordedEvent.of(event) for event in events])

    monkeypatch.setattr(MemoryUnitOfWork, "flush", flush_events_too)

    await assert_contract_catches(OutboxContract.test_events_are_stored_with_the_commit, memory)


async def test_events_that_come_with_changes_only(memory: MemoryBackend, monkeypatch: Patch) -> None:
    fill = MemoryUnitOfWork._fill_outbox

    async def fill_if_something_was_written(self: MemoryUnitOfWork) -> None:
        if self._overlay.fork():
            await fill(self)

    monkeypatch.setattr(MemoryUnitOfWork, "_fill_outbox", fill_if_something_was_written)

    await assert_contract_catches(OutboxContract.test_events_of_a_unit_without_any_change_are_stored, memory)


async def test_a_savepoint_that_leaves_events_behind(memory: MemoryBackend, monkeypatch: Patch) -> None:
    restore = Tracker.restore

    def restore_but_events(self: Tracker, memento: Any) -> None:
        before = self.recorded_events()
        restore(self, memento)
        for entity in self.held(Widget):
            entity.take_events()
            for event in before:
                entity.record(event)

    monkeypatch.setattr(Tracker, "restore", restore_but_events)

    await assert_contract_catches(OutboxContract.test_a_savepoint_takes_its_events_back, memory)


async def test_a_head_that_is_not_locked(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def counted_apart(self: SqlAlchemyUnitOfWork, tenant: TenantId, events: Sequence[RecordedEvent]) -> None:
        async with postgres._admin.connection() as connection:
            first = await connection.fetchval(
                "INSERT INTO prismicx.outbox_heads AS h VALUES ($1, $2::bigint + 1) "
                "ON CONFLICT (tenant_id) DO UPDATE SET next = h.next + $2::bigint RETURNING next - $2::bigint",
                tenant.value,
                len(events),
            )
        for place, event in enumerate(events, start=first):
            await self.transaction.fetch(
                "INSERT INTO prismicx.outbox (tenant_id, position, id, name, occurred_at, payload) "
                "VALUES ($1, $2, $3, $4, $5, $6::text::json)",
                [tenant.value, place, *event],
            )

    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_store_events", counted_apart)

    await assert_contract_catches(OutboxContract.test_a_commit_that_fails_leaves_no_gap, postgres)


async def test_one_head_for_all_tenants(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    numbers = count(1)

    async def numbered(self: SqlAlchemyUnitOfWork, tenant: TenantId, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            await self.transaction.fetch(
                "INSERT INTO prismicx.outbox (tenant_id, position, id, name, occurred_at, payload) "
                "VALUES ($1, $2, $3, $4, $5, $6::text::json)",
                [tenant.value, next(numbers), *event],
            )

    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_store_events", numbered)

    await assert_contract_catches(OutboxContract.test_tenants_count_for_themselves, postgres)


async def test_events_of_the_registry_that_are_lost(memory: MemoryBackend, monkeypatch: Patch) -> None:
    store = MemoryUnitOfWork._store_events

    async def of_tenants_only(self: Any, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        if tenant is not None:
            await store(self, tenant, events)

    monkeypatch.setattr(MemoryUnitOfWork, "_store_events", of_tenants_only)

    await assert_contract_catches(OutboxContract.test_events_of_the_registry_belong_to_no_tenant, memory)


async def test_a_read_only_unit_that_stores_events(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(MemoryUnitOfWork, "require_writable", lambda self, operation: None)

    await assert_contract_catches(
        OutboxContract.test_a_read_only_unit_stores_no_event, memory, raising=ReadOnlyUnitOfWorkError
    )


async def test_events_that_are_left_out_where_json_cannot_hold_them(memory: MemoryBackend, monkeypatch: Patch) -> None:
    fill = MemoryUnitOfWork._fill_outbox

    async def fill_what_fits(self: MemoryUnitOfWork) -> None:
        try:
            await fill(self)
        except PrismicxError:
            self._state = "open"

    monkeypatch.setattr(MemoryUnitOfWork, "_fill_outbox", fill_what_fits)

    await assert_contract_catches(OutboxContract.test_an_event_that_json_cannot_hold_is_refused, memory)


# --- Delivering. ---


async def claim_in_any_case(
    self: Any, tenant: TenantId | None, *, holder: str, now: datetime, until: datetime
) -> Claim | None:
    return Claim(tenant, Lease(holder=holder, fence=1, expires_at=until))


async def test_a_claim_without_a_lock(every: Sequence[TrackedBackend], monkeypatch: Patch) -> None:
    for backend in every:
        monkeypatch.setattr(type(backend.outbox), "claim", claim_in_any_case)

        await assert_contract_catches(OutboxContract.test_one_relay_at_a_time_has_a_tenant, backend)


async def test_a_fence_that_is_not_looked_at_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    for name in ("_DELIVERED", "_FAILED"):
        without = getattr(in_postgres, name).replace("fence = $2", "($2::bigint IS NOT NULL)")
        monkeypatch.setattr(in_postgres, name, without)

    await assert_contract_catches(OutboxContract.test_one_relay_at_a_time_has_a_tenant, postgres)


async def test_a_fence_that_is_not_looked_at_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(in_mongo, "_held", lambda claim: {"_id": claim.tenant.value})

    await assert_contract_catches(OutboxContract.test_one_relay_at_a_time_has_a_tenant, mongo)


async def test_delivered_events_that_stay(memory: MemoryBackend, monkeypatch: Patch) -> None:
    async def keep(self: Any, claim: Claim, entries: Sequence[OutboxEntry], *, until: datetime) -> None:
        self._held(claim, until)

    monkeypatch.setattr(MemoryOutbox, "delivered", keep)

    await assert_contract_catches(OutboxContract.test_what_was_delivered_is_taken_out, memory)


async def test_a_failure_without_a_wait(memory: MemoryBackend, monkeypatch: Patch) -> None:
    failed = MemoryOutbox.failed

    async def fail_and_free(self: MemoryOutbox, claim: Claim, entries: Any, *, until: datetime, **noted: Any) -> None:
        await failed(self, claim, entries, until=claim.lease.expires_at.min.replace(tzinfo=until.tzinfo), **noted)

    monkeypatch.setattr(MemoryOutbox, "failed", fail_and_free)

    await assert_contract_catches(OutboxContract.test_a_failure_is_noted_and_the_tenant_waits, memory)


async def test_a_dead_event_that_is_always_stepped_over(memory: MemoryBackend, monkeypatch: Patch) -> None:
    deliverable = TenantQueue.deliverable
    monkeypatch.setattr(TenantQueue, "deliverable", lambda self, past_dead: deliverable(self, past_dead=True))

    await assert_contract_catches(OutboxContract.test_a_dead_event_stops_its_tenant_or_is_stepped_over, memory)


async def test_a_retry_for_all_tenants(memory: MemoryBackend, monkeypatch: Patch) -> None:
    retry = MemoryOutbox.retry

    async def retry_all(self: MemoryOutbox, *, event: Any = None, tenant: Any = None) -> int:
        return await retry(self, event=event)

    monkeypatch.setattr(MemoryOutbox, "retry", retry_all)

    await assert_contract_catches(OutboxContract.test_a_dead_event_can_be_asked_for_again, memory)


# --- Handling once. ---


async def test_a_record_that_nobody_looks_for(memory: MemoryBackend, monkeypatch: Patch) -> None:
    async def nothing(self: Any, identity: Any) -> None:
        return None

    monkeypatch.setattr(HandledEvents, "find", nothing)

    await assert_contract_catches(HandlingContract.test_an_event_is_handled_once, memory, raising=DuplicateEntityError)


async def test_a_record_outside_of_the_unit(every: Sequence[TrackedBackend], monkeypatch: Patch) -> None:
    async def handled_apart(uow: UnitOfWork, event: Any, handler: Any, *, consumer: str) -> bool:
        assert uow.tenant is not None
        async with backend.unit_of_work(uow.tenant) as apart:
            records = apart.repository(HandledEvents)
            if await records.find(HandledEvent.identity(consumer, event)):
                return False
            records.add(HandledEvent.by(consumer, event))
            await apart.commit()
        await handler(uow, event)
        return True

    monkeypatch.setitem(HandlingContract.test_an_event_is_handled_once.__globals__, "handled_once", handled_apart)

    for backend in every:
        await assert_contract_catches(HandlingContract.test_what_was_not_committed_is_handled_again, backend)


async def test_a_record_for_all_consumers(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(HandledEvent, "identity", classmethod(lambda cls, consumer, event: event.id))

    await assert_contract_catches(HandlingContract.test_each_consumer_handles_it, memory)


async def test_an_event_that_any_tenant_handles(memory: MemoryBackend, monkeypatch: Patch) -> None:
    contract = HandlingContract.test_another_tenants_event_is_refused

    async def handled_anyway(uow: UnitOfWork, event: Any, handler: Any, *, consumer: str) -> bool:
        return await handling.handled_once(uow, event.model_copy(update={"tenant": uow.tenant}), handler, consumer="x")

    monkeypatch.setitem(contract.__globals__, "handled_once", handled_anyway)

    await assert_contract_catches(contract, memory)


async def test_an_event_of_the_registry_that_is_handled_every_time(memory: MemoryBackend, monkeypatch: Patch) -> None:
    contract = HandlingContract.test_an_event_of_the_registry_is_handled_once_by_each_tenant

    async def handled_unless_of_the_registry(uow: UnitOfWork, event: Any, handler: Any, *, consumer: str) -> bool:
        await handler(uow, event)
        return True

    monkeypatch.setitem(contract.__globals__, "handled_once", handled_unless_of_the_registry)

    await assert_contract_catches(contract, memory)


async def test_records_that_are_forgotten_too_early(memory: MemoryBackend, monkeypatch: Patch) -> None:
    async def forget_all(self: HandledEvents, before: datetime, *, limit: int = 1000) -> int:
        records = await self.list(limit=limit)
        for record in records:
            self.remove(record)
        return len(records)

    monkeypatch.setattr(HandledEvents, "forget", forget_all)

    await assert_contract_catches(HandlingContract.test_old_records_are_forgotten, memory)
