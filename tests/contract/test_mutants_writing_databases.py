"""Twins on real databases of what holds for writing by key and by criteria."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.contract.opened import initialised_by_contracts, opened_mongo, postgres_backend
from tests.contract.test_mutants_databases import run_as_superuser

from prismicx.adapters.beanie import BeanieBackend, BeanieRepository
from prismicx.adapters.beanie.specification import matching
from prismicx.adapters.fields import stored_specification
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyRepository
from prismicx.adapters.sqlalchemy import writing as statements
from prismicx.adapters.writing import Reached, Stored
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError
from prismicx.testing.contracts import RepositoryContract as Contract
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("contracts", initialised_by_contracts)


@pytest.fixture
async def postgres(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with postgres_backend(database) as backend:
        yield backend


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "mutants") as backend:
        yield backend


async def test_a_conflict_key_without_the_tenant_on_postgres(
    postgres: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    await run_as_superuser(
        database,
        "ALTER TABLE public.widgets DISABLE ROW LEVEL SECURITY",
        "CREATE UNIQUE INDEX everybodys ON public.widgets (code)",
        "CREATE UNIQUE INDEX everybodys_id ON public.widgets (id)",
    )
    monkeypatch.setattr(statements, "_conflict", lambda placed, table, key: [table.c[name] for name in key])

    await assert_contract_catches(
        Contract.test_the_key_is_the_tenants_own, postgres, how="upsert", raising=DuplicateEntityError
    )


async def test_criteria_without_the_tenant_on_postgres(
    postgres: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    await run_as_superuser(database, "ALTER TABLE public.widgets DISABLE ROW LEVEL SECURITY")
    monkeypatch.setattr(statements, "scoped", lambda statement, placed, table: statement)

    await assert_contract_catches(Contract.test_another_tenants_are_not_reached, postgres)


async def test_two_statements_in_place_of_one_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def find_then_add(self: Any, aggregate: Widget, *, on: object = None) -> tuple[Widget, bool]:
        found = await self.find_one(Widget.code == aggregate.code)
        if found is None:
            self.add(aggregate)
            await self._unit.flush()
        return found or aggregate, found is None

    monkeypatch.setattr(SqlAlchemyRepository, "get_or_create", find_then_add)

    await assert_contract_catches(
        Contract.test_of_many_at_once_none_fails_and_one_row_is_left,
        postgres,
        how="get_or_create",
        raising=DuplicateEntityError,
    )


async def test_versions_that_an_upsert_starts_anew_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    upsert = SqlAlchemyRepository._upsert

    async def first_version(self: Any, key: tuple[str, ...], values: Mapping[str, Any]) -> Stored:
        return Stored((await upsert(self, key, values)).identity, 1)

    monkeypatch.setattr(SqlAlchemyRepository, "_upsert", first_version)

    await assert_contract_catches(
        Contract.test_an_upsert_overwrites_all_but_the_id_of_what_has_the_key, postgres, raising=ConcurrencyError
    )


async def test_a_conflict_key_without_the_tenant_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    keyed = BeanieRepository._keyed

    async def of_anybody(self: Any, key: tuple[str, ...], values: Any, update: Any, **options: Any) -> Any:
        scope, self._documents = self._documents.scope(), _Unscoped(self._documents)
        update = {**update, "$setOnInsert": {**update.get("$setOnInsert", {}), **scope}}
        return await keyed(self, key, values, update, **options)

    monkeypatch.setattr(BeanieRepository, "_keyed", of_anybody)

    for how in ("upsert", "get_or_create"):
        await assert_contract_catches(Contract.test_the_key_is_the_tenants_own, mongo, how=how)


async def test_criteria_without_the_tenant_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    def unscoped(self: BeanieRepository[Any], specification: Any) -> Any:
        return matching(stored_specification(self._kind, specification), self._documents)

    monkeypatch.setattr(BeanieRepository, "_filter", unscoped)

    await assert_contract_catches(Contract.test_another_tenants_are_not_reached, mongo)


async def test_a_stale_aggregate_that_is_taken_for_fresh_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    update_where = BeanieRepository._update_where

    async def reach_all(self: Any, asked: Any, changes: Mapping[str, Any], held: Any) -> Reached:
        reached = await update_where(self, asked, changes, held)
        return Reached(reached.rows, {each.id: each.version + 1 for each in self._unit.tracker.held(self._kind)})

    monkeypatch.setattr(BeanieRepository, "_update_where", reach_all)

    await assert_contract_catches(
        Contract.test_what_somebody_else_has_changed_stays_stale, mongo, amount=2, raising=ConcurrencyError
    )


class _Unscoped:
    """A tenant's documents whose filters do not name it: the bug."""

    def __init__(self, documents: Any) -> None:
        self._documents = documents

    def scope(self) -> dict[str, Any]:
        return {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)
