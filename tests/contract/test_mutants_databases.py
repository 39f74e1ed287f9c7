"""Twins on real databases: each wall is shown to hold alone, and the contract to go red once it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tests.contract.opened import initialised_by_contracts, opened_memory, opened_mongo, place_maker, postgres_backend
from tests.mutants import assert_goes_red, report_catch

from prismicx.adapters.beanie import BeanieBackend, BeanieRepository, BeanieUnitOfWork
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.specification import matching
from prismicx.adapters.fields import stored_specification
from prismicx.adapters.memory import MemoryUnitOfWork
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork, raw_sql, statements
from prismicx.domain.errors import ConcurrencyError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.contracts import (
    RepositoryContract,
    TenancyContract,
    UnitOfWorkContract,
    assert_contract_catches,
)
from prismicx.testing.contracts.histories import histories, told
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.contracts.tenancy import IN_TENANT_DATABASE, IN_TENANT_SCHEMA, SHARED, Kept
from prismicx.testing.contracts.working import store
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch

_EVERY_PLACEMENT = pytest.mark.parametrize(
    "kept", [SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE], ids=("shared", "tenant_schema", "tenant_database")
)


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


@pytest.fixture
def no_predicate(monkeypatch: Patch) -> None:
    monkeypatch.setattr(statements, "scoped", lambda statement, placed, table: statement)


# --- PostgreSQL: two walls around a tenant. ---


async def read_by_raw_sql(backend: SqlAlchemyBackend, tenant: TenantId) -> list[str]:
    """Return the names of all widgets that raw SQL without any predicate finds in a tenant's unit of work."""
    async with backend.unit_of_work(tenant) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        return list(await uow.session.scalars(raw_sql("SELECT name FROM public.widgets ORDER BY name")))


@pytest.mark.control
async def test_raw_sql_sees_the_units_tenant_only(postgres: SqlAlchemyBackend) -> None:
    acme, globex = TenantId("acme"), TenantId("globex")
    await store(postgres, acme, Widget(name="acme's"))
    await store(postgres, globex, Widget(name="globex's"))

    assert await read_by_raw_sql(postgres, acme) == ["acme's"]
    assert await read_by_raw_sql(postgres, globex) == ["globex's"]


@pytest.mark.usefixtures("no_policy")
async def test_raw_sql_without_the_policy(postgres: SqlAlchemyBackend) -> None:
    await assert_goes_red(test_raw_sql_sees_the_units_tenant_only, postgres, backend=type(postgres).__name__)


@pytest.mark.control
@pytest.mark.usefixtures("no_predicate")
async def test_the_policy_alone_keeps_tenants_apart(postgres: SqlAlchemyBackend) -> None:
    await TenancyContract().test_another_tenant_sees_nothing(
        postgres, TenantId("acme"), TenantId("globex"), place_maker(postgres), SHARED
    )


@pytest.mark.control
@pytest.mark.usefixtures("no_policy")
async def test_the_predicate_alone_keeps_tenants_apart(postgres: SqlAlchemyBackend) -> None:
    await TenancyContract().test_another_tenant_sees_nothing(
        postgres, TenantId("acme"), TenantId("globex"), place_maker(postgres), SHARED
    )


@pytest.mark.usefixtures("no_policy", "no_predicate")
async def test_neither_predicate_nor_policy(postgres: SqlAlchemyBackend) -> None:
    for test in (
        TenancyContract.test_another_tenant_sees_nothing,
        TenancyContract.test_every_tenant_sees_its_own,
        TenancyContract.test_a_disguised_aggregate_of_another_tenant_changes_and_removes_nothing,
    ):
        await assert_contract_catches(
            test, postgres, kept=SHARED, make_place=place_maker(postgres), raising=ConcurrencyError
        )


# --- PostgreSQL: versions, rollback, keys. ---


async def test_a_version_check_that_is_missing_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_require_all", lambda self, placed, writes, matched: None)

    await assert_contract_catches(UnitOfWorkContract.test_a_stale_change_is_refused, postgres)
    await assert_contract_catches(UnitOfWorkContract.test_a_stale_removal_is_refused, postgres)


async def test_a_rollback_that_commits_on_postgres(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def commit_instead(self: SqlAlchemyUnitOfWork) -> None:
        await self.transaction.commit()

    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_rollback", commit_instead)

    await assert_contract_catches(UnitOfWorkContract.test_nothing_lasts_without_commit, postgres)
    await assert_contract_catches(UnitOfWorkContract.test_an_error_discards_everything, postgres)


async def test_unique_keys_that_are_missing_on_postgres(
    postgres: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with asyncpg.create_pool(database.superuser_dsn, min_size=1, max_size=1) as pool:
        found = await pool.fetch(
            "SELECT indexrelid::regclass::text AS name FROM pg_index"
            " WHERE indrelid = 'public.widgets'::regclass AND indisunique AND NOT indisprimary"
        )
        for row in found:
            constraints = await pool.fetchval(
                "SELECT count(*) FROM pg_constraint WHERE conindid = $1::regclass", row["name"]
            )
            what = (
                f"ALTER TABLE public.widgets DROP CONSTRAINT {row['name']}"
                if constraints
                else f"DROP INDEX {row['name']}"
            )
            await pool.execute(what)

    await assert_contract_catches(RepositoryContract.test_a_unique_key_is_taken_once, postgres)


# --- MongoDB. ---


async def test_a_filter_that_does_not_name_the_tenant(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    def unscoped(self: BeanieRepository[Any], specification: Any) -> Any:
        return matching(stored_specification(self._kind, specification), self._documents)

    monkeypatch.setattr(BeanieRepository, "_filter", unscoped)

    for test in (TenancyContract.test_another_tenant_sees_nothing, TenancyContract.test_every_tenant_sees_its_own):
        await assert_contract_catches(test, mongo, kept=SHARED, make_place=place_maker(mongo))


@_EVERY_PLACEMENT
async def test_databases_that_are_everybodys(mongo: BeanieBackend, monkeypatch: Patch, kept: Kept) -> None:
    monkeypatch.setattr(Documents, "scope", lambda self: {})
    monkeypatch.setattr("prismicx.adapters.beanie.unit_of_work.own_database", lambda mapping, tenant: None)
    monkeypatch.setattr(Documents, "new", _with_any_tenant(Documents.new))

    await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, mongo, kept=kept)


def _with_any_tenant(new: Any) -> Any:
    return lambda self, entities: [{**document, "tenant_id": "anybody"} for document in new(self, entities)]


async def test_a_version_check_that_is_missing_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Documents, "expected", lambda self, entity, version: self.one(entity.id))

    await assert_contract_catches(UnitOfWorkContract.test_a_stale_change_is_refused, mongo)
    await assert_contract_catches(UnitOfWorkContract.test_a_stale_removal_is_refused, mongo)


async def test_a_rollback_that_commits_on_mongo(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    rollback = BeanieUnitOfWork._rollback

    async def commit_instead(self: BeanieUnitOfWork) -> None:
        if self.transaction is not None and self.transaction.in_transaction:
            await self.transaction.commit_transaction()
        await rollback(self)

    monkeypatch.setattr(BeanieUnitOfWork, "_rollback", commit_instead)

    await assert_contract_catches(UnitOfWorkContract.test_nothing_lasts_without_commit, mongo)
    await assert_contract_catches(UnitOfWorkContract.test_an_error_discards_everything, mongo)


# --- Histories. ---


async def test_a_story_that_differs(monkeypatch: Patch) -> None:
    async def forget_removals(self: MemoryUnitOfWork, mapping: Any, removals: Any) -> None:
        """Do nothing: the bug."""

    async def same_story(history: Any) -> None:
        tenants = (TenantId.new(), TenantId.new())
        async with opened_memory() as memory:
            expected = await told(memory, history, tenants)
        with pytest.MonkeyPatch.context() as mutant:
            mutant.setattr(MemoryUnitOfWork, "_remove", forget_removals)
            async with opened_memory() as memory:
                assert await told(memory, history, tenants) == expected

    with pytest.raises(AssertionError):
        await for_all(histories(tenants=2), same_story, examples=60, shrink=False)
    report_catch("histories.py::told", "MemoryBackend")
