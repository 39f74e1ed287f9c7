"""Twins on real databases: walls torn down, keys and methods that tell of other tenants; the machine goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import pytest
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from tests.contract.opened import DOORS, initialised_by_contracts, opened_mongo, postgres_backend
from tests.isolation.catching import assert_machine_catches

from prismicx.adapters.beanie import BeanieBackend, BeanieRepository, MongoDBClient
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.specification import matching
from prismicx.adapters.fields import stored_specification
from prismicx.adapters.sqlalchemy import (
    DatabaseClient,
    SqlAlchemyBackend,
    SqlAlchemyRepository,
    SqlAlchemyUnitOfWork,
    raw_sql,
    statements,
    writing,
)
from prismicx.adapters.tenant_guard import TENANT, TenantGuard
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets
from prismicx.testing.isolation import assert_isolated

Patch = pytest.MonkeyPatch

_FEW = 40


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("contracts", initialised_by_contracts)


@pytest.fixture
async def postgres(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with postgres_backend(database) as backend:
        yield backend


async def run_as_superuser(database: PostgresDatabase, *commands: str) -> None:
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture
async def no_policy(database: PostgresDatabase, postgres: SqlAlchemyBackend) -> None:
    await run_as_superuser(database, "ALTER TABLE public.widgets DISABLE ROW LEVEL SECURITY")


# --- PostgreSQL. ---


@pytest.mark.usefixtures("no_policy")
async def test_neither_predicate_nor_policy(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(statements, "scoped", lambda statement, placed, table: statement)

    await assert_machine_catches(postgres, [Widgets])


@pytest.mark.usefixtures("no_policy")
async def test_criteria_of_writes_without_predicate_and_policy(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(writing, "scoped", lambda statement, placed, table: statement)

    await assert_machine_catches(postgres, [Widgets])


@pytest.mark.usefixtures("no_policy")
async def test_a_count_without_predicate_and_policy(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def count_all(self: SqlAlchemyRepository[Any], specification: Any) -> int:
        return len((await self.session.execute(raw_sql("SELECT 1 FROM public.widgets"))).all())

    monkeypatch.setattr(SqlAlchemyRepository, "_count", count_all)

    await assert_machine_catches(postgres, [Widgets])


async def test_a_unique_key_without_the_tenant(postgres: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    await run_as_superuser(database, "CREATE UNIQUE INDEX oracle ON public.widgets (code)")

    await assert_machine_catches(postgres, [Widgets], patience=1.0)


async def test_a_version_check_that_is_skipped(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_require_all", lambda self, placed, writes, matched: None)

    await assert_machine_catches(postgres, [Widgets])


class GivingWidgets(Widgets, SqlAlchemyRepository[Widget]):
    """A method that gives rows to whatever tenant it is told, in SQL of its own."""

    async def give(self, receiver: TenantId) -> None:
        moved = raw_sql("UPDATE public.widgets SET tenant_id = :receiver")
        await self.session.execute(moved, {"receiver": receiver.value})


def giving(database: PostgresDatabase) -> SqlAlchemyBackend:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=4)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=4)
    return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, repositories={Widgets: GivingWidgets}, **DOORS)


@pytest.mark.control
async def test_a_policy_that_checks_what_is_written(database: PostgresDatabase) -> None:
    async with giving(database) as backend:
        witness = await assert_isolated(backend, [Widgets], commands=["give"], examples=_FEW)

    assert "violates row-level security policy" in witness.refused["Widgets.give"]


async def test_a_policy_that_lets_everything_be_written(database: PostgresDatabase) -> None:
    await run_as_superuser(
        database,
        "ALTER POLICY prismicx_tenant ON public.widgets WITH CHECK (true)",
    )

    async with giving(database) as backend:
        await assert_machine_catches(backend, [Widgets], commands=["give"])


async def test_a_query_of_a_teams_own_on_an_admin_connection(database: PostgresDatabase) -> None:
    class BypassingWidgets(Widgets, SqlAlchemyRepository[Widget]):
        async def dearest(self) -> int | None:
            connection = await asyncpg.connect(database.superuser_dsn)
            try:
                found = await connection.fetchval("SELECT max(amount) FROM public.widgets")
            finally:
                await connection.close()
            return None if found is None else int(found)

    backend = postgres_backend(database)
    backend._wiring.repositories[Widgets] = BypassingWidgets  # type: ignore[index]  # a plain dict, in truth
    async with backend:
        found = await assert_machine_catches(backend, [Widgets])

    assert found.method == "Widgets.dearest"


# --- MongoDB. ---


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "isolation_mutants") as backend:
        yield backend


async def test_a_filter_that_does_not_name_the_tenant(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    def unscoped(self: BeanieRepository[Any], specification: Any) -> Any:
        return matching(stored_specification(self._kind, specification), self._documents)

    monkeypatch.setattr(BeanieRepository, "_filter", unscoped)

    await assert_machine_catches(mongo, [Widgets])


async def test_a_version_check_that_is_missing(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Documents, "expected", lambda self, entity, version: self.one(entity.id))

    await assert_machine_catches(mongo, [Widgets])


async def test_a_unique_index_without_the_tenant(mongo: BeanieBackend, prismicx_mongo_server: MongoServer) -> None:
    async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
        await driver["isolation_mutants"]["widgets"].create_index("code", unique=True)

    await assert_machine_catches(mongo, [Widgets], patience=1.0)


class SearchedWidgets(Widgets, BeanieRepository[Widget]):
    """A method that takes a filter in MongoDB's language from its caller."""

    async def search(self, wanted: Mapping[str, Any]) -> list[str]:
        return [document["name"] for document in await self.collection.find(wanted).to_list()]


HOSTILE = st.sampled_from([{TENANT: {"$ne": None}}, {"$or": [{TENANT: {"$gt": ""}}]}, {"amount": {"$gte": 0}}])
SEARCH = {"search.wanted": HOSTILE}


@pytest.fixture
async def searched(mongo: BeanieBackend, prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    client = MongoDBClient(prismicx_mongo_server.uri, "isolation_mutants")
    backend = BeanieBackend(client, EXAMPLE_MAPPINGS, repositories={Widgets: SearchedWidgets}, **DOORS)
    async with backend:
        yield backend


@pytest.mark.control
async def test_hostile_filters_find_nothing_of_others(searched: BeanieBackend) -> None:
    await assert_isolated(searched, [Widgets], values=SEARCH, examples=_FEW)


async def test_a_filter_that_is_merged_instead_of_anded(searched: BeanieBackend, monkeypatch: Patch) -> None:
    def merged(self: TenantGuard, given: Mapping[str, Any] | None) -> dict[str, Any]:
        return {TENANT: self.tenant.value, **(given or {})}

    monkeypatch.setattr(TenantGuard, "filter", merged)

    found = await assert_machine_catches(searched, [Widgets], values=SEARCH)
    assert found.method == "Widgets.search"
