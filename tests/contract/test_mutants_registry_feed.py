"""Twins of the registry's feed: with the bug planted, its contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from tests.contract.opened import initialised_by_contracts, opened_memory, opened_mongo, postgres_backend

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.adapters.beanie.registry_feed import _count_up
from prismicx.adapters.change_set import Changes
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.memory.registry_feed import TenantChanges
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.adapters.sqlalchemy import registry_feed as in_postgres
from prismicx.adapters.sqlalchemy.lone_statements import lent
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.identifiers import TenantId
from prismicx.testing.contracts import RegistryFeedContract as Contract
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.databases import MongoServer, PostgresDatabases

Patch = pytest.MonkeyPatch


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    database = await prismicx_postgres_database("contracts", initialised_by_contracts)
    async with postgres_backend(database) as backend:
        yield backend


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "registry_feed_mutants") as backend:
        yield backend


async def test_a_first_reading_that_has_only_what_is_to_come(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TenantChanges, "since", lambda self, revision: [])
    await assert_contract_catches(Contract.test_a_first_reading_has_every_tenant, memory)
    await assert_contract_catches(Contract.test_a_revision_that_the_registry_has_not_come_to_means_everything, memory)


async def test_a_later_reading_that_has_everything(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TenantChanges, "since", lambda self, revision: None)
    await assert_contract_catches(Contract.test_a_later_reading_has_only_what_has_changed, memory)


async def test_removals_that_are_not_announced(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Changes, "of", lambda self, kind: self.inserts.get(kind, []))
    await assert_contract_catches(Contract.test_a_tenant_whose_record_is_gone_is_reported, memory)


async def test_changes_by_criteria_that_are_not_announced(memory: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "flush_before_writing", lambda self, kind: self.flush())
    await assert_contract_catches(Contract.test_changes_by_criteria_are_not_missed, memory, raising=KeyError)


async def test_revisions_in_another_order_than_commits_on_postgres(
    postgres: SqlAlchemyBackend, monkeypatch: Patch
) -> None:
    async def announce_at_once(self: SqlAlchemyUnitOfWork, tenants: Sequence[TenantId]) -> None:
        async with lent(postgres._admin) as connection:
            await connection.execute(in_postgres.ANNOUNCE, [tenant.value for tenant in tenants])

    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_announce", announce_at_once)
    await assert_contract_catches(Contract.test_a_change_that_commits_late_is_not_missed, postgres)


async def test_revisions_in_another_order_than_commits_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    async def announce_at_once(self: BeanieUnitOfWork, tenants: Sequence[TenantId]) -> None:
        async with mongo._client.client.start_session() as session:
            await _count_up(mongo._client, session, tenants)

    monkeypatch.setattr(BeanieUnitOfWork, "_announce", announce_at_once)
    await assert_contract_catches(Contract.test_a_change_that_commits_late_is_not_missed, mongo)


async def test_changes_of_which_nobody_hears_in_memory(memory: MemoryBackend, monkeypatch: Patch) -> None:
    add = TenantChanges.add

    def add_quietly(self: TenantChanges, tenants: Sequence[TenantId]) -> None:
        self.listeners.clear()
        add(self, tenants)

    monkeypatch.setattr(TenantChanges, "add", add_quietly)
    monkeypatch.setattr("prismicx.testing.contracts.registry_feed.PATIENCE", 0.05)
    await assert_contract_catches(Contract.test_a_change_wakes_who_listens, memory, raising=(TimeoutError, ValueError))


async def test_changes_of_which_nobody_hears_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    quietly = in_postgres.ANNOUNCE.replace("pg_notify", "concat")
    monkeypatch.setattr("prismicx.adapters.sqlalchemy.unit_of_work.ANNOUNCE", quietly)
    monkeypatch.setattr("prismicx.testing.contracts.registry_feed.PATIENCE", 0.2)
    await assert_contract_catches(Contract.test_a_change_wakes_who_listens, postgres, raising=TimeoutError)
