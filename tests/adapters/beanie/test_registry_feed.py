"""The registry's feed on MongoDB: writers take turns, and a stream that breaks is opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient, registry_feed
from prismicx.adapters.beanie.registry_feed import CHANGES, announce
from prismicx.domain.errors import TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.registry import TenantRepository
from prismicx.domain.registry_feed import REMEMBERED_CHANGES
from prismicx.testing.contracts.registry_feed import register
from prismicx.testing.databases import MongoDatabases
from prismicx.testing.examples import example_tenant

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


@pytest.fixture
async def backend(prismicx_mongo_database: MongoDatabases) -> AsyncIterator[BeanieBackend]:
    database = prismicx_mongo_database()
    async with BeanieBackend(MongoDBClient(database.uri, database.name), []) as backend:
        await backend.initialise_database()
        yield backend


async def test_writers_of_tenants_take_turns(backend: BeanieBackend) -> None:
    tenants = [TenantId(f"tenant-{number}") for number in range(12)]

    await asyncio.gather(*(register(backend, tenant) for tenant in tenants))

    reading = await backend.registry_feed.read(0)
    assert (reading.revision, reading.is_whole, set(reading.standings)) == (12, False, set(tenants))


async def test_a_transaction_that_has_begun_already_has_one_try(backend: BeanieBackend) -> None:
    await register(backend, GLOBEX)
    async with backend.registry() as early:
        early.repository(TenantRepository).add(example_tenant(ACME))
        await early.flush()
        async with backend._client.client.start_session() as session:
            await session.start_transaction()

            async def begun() -> AsyncClientSession:
                return session

            with pytest.raises(TransactionConflictError):
                await announce(backend._client, begun, [GLOBEX])


async def test_a_writer_outlasts_one_that_died_in_its_turn(
    backend: BeanieBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_feed, "_TURN", 0.0)
    await register(backend, GLOBEX)
    tries = 0

    driver = backend._client.client
    async with driver.start_session() as dead, driver.start_session() as patient:

        async def its_turn() -> AsyncClientSession:
            await dead.start_transaction()
            return dead

        async def begun() -> AsyncClientSession:
            await patient.start_transaction()
            return patient

        async def start_over() -> None:
            nonlocal tries
            tries += 1
            await patient.abort_transaction()
            if tries == 150:  # more than a second's worth; the server ends it after sixty
                await dead.abort_transaction()

        await announce(backend._client, its_turn, [GLOBEX])
        await announce(backend._client, begun, [ACME], start_over=start_over)
        await patient.commit_transaction()

    assert tries == 150
    assert (await backend.registry_feed.read(1)).revision == 2


async def test_who_has_waited_too_long_is_told_so(backend: BeanieBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_feed, "_PATIENCE", -1.0)
    await register(backend, GLOBEX)
    async with backend.registry() as early:
        early.repository(TenantRepository).add(example_tenant(ACME))
        await early.flush()
        async with backend.registry() as late:
            late.repository(TenantRepository).add(example_tenant(TenantId("hooli")))
            with pytest.raises(TransactionConflictError):
                await late.flush()


async def test_who_has_missed_more_than_is_remembered_reads_everything(backend: BeanieBackend) -> None:
    await register(backend, ACME)
    known = (await backend.registry_feed.read(None)).revision
    names = [f"tenant-{number}" for number in range(REMEMBERED_CHANGES)]
    counted = {"$inc": {"revision": REMEMBERED_CHANGES + 1}, "$set": {"latest": names}}
    await backend._client.collection(None, CHANGES).update_one({"_id": "tenants"}, counted)

    behind = await backend.registry_feed.read(known)
    at_its_end = await backend.registry_feed.read(known + 1)

    assert (behind.is_whole, set(behind.standings)) == (True, {ACME})
    assert (at_its_end.is_whole, len(at_its_end.standings)) == (False, REMEMBERED_CHANGES)
