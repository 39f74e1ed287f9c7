"""Twins of the read scope: with the bug planted, the contract goes red, and so do the tests of reads in one trip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.adapters.sqlalchemy import test_read_scope
from tests.adapters.sqlalchemy import test_read_scope_fallback as fallback
from tests.adapters.sqlalchemy.conftest import backend_on, make_places, prepare
from tests.contract.opened import opened_memory
from tests.mutants import assert_goes_red

from prismicx.adapters import backend as door
from prismicx.adapters.memory import MemoryBackend, MemoryRepository
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, one_trip, plans
from prismicx.adapters.sqlalchemy.read_scope import SqlAlchemyReadScope
from prismicx.adapters.terms import WRITING
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.errors import TenantContextMissingError, UnitOfWorkSharedError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import Specification
from prismicx.testing.contracts import UnitOfWorkContract, assert_contract_catches
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widgets

Patch = pytest.MonkeyPatch

FENCED, IS_FENCED = one_trip.fenced, one_trip.is_fenced


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("sqlalchemy", prepare)


@pytest.fixture
async def lonely(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with backend_on(database, connections=1) as backend:
        await make_places(backend)
        yield backend


# --- The scope. ---


async def test_read_scopes_that_forget_their_tenant_on_postgres(lonely: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    in_one_trip = SqlAlchemyReadScope._in_one_trip

    async def without_tenant(self: SqlAlchemyReadScope, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        return await in_one_trip(self, sql, [*arguments[:-1], ""])

    monkeypatch.setattr(SqlAlchemyReadScope, "_in_one_trip", without_tenant)

    await assert_contract_catches(UnitOfWorkContract.test_a_read_scope_answers_as_a_unit_does, lonely)


async def test_read_scopes_of_whoever_came_first(backend: MemoryBackend, monkeypatch: Patch) -> None:
    opened = MemoryBackend._read_scope
    tenants: list[TenantId] = []

    def of_the_first(self: MemoryBackend, tenant: TenantId) -> TrackedUnitOfWork:
        tenants.append(tenant)
        return opened(self, tenants[0])

    monkeypatch.setattr(MemoryBackend, "_read_scope", of_the_first)
    first, second = TenantId("first"), TenantId("second")
    async with backend.read(first):
        pass

    contract = UnitOfWorkContract.test_a_read_scope_sees_nothing_of_another_tenant
    await assert_contract_catches(contract, backend, acme=first, globex=second)


async def test_pages_that_begin_anew_in_each_read_scope(backend: MemoryBackend, monkeypatch: Patch) -> None:
    page = TrackedRepository.page

    async def from_the_start(
        self: TrackedRepository[Any], criteria: Any = None, /, *, after: object = None, **options: Any
    ) -> Any:
        return await page(self, criteria, **options)

    monkeypatch.setattr(TrackedRepository, "page", from_the_start)

    await assert_contract_catches(UnitOfWorkContract.test_pages_of_a_read_scope_go_on, backend)


async def test_read_scopes_that_write(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(door, "READING", WRITING)

    await assert_contract_catches(UnitOfWorkContract.test_a_read_scope_refuses_to_write, backend)


async def test_read_scopes_without_an_identity_map(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "find", lambda self, kind, identity: None)

    await assert_contract_catches(UnitOfWorkContract.test_one_identity_is_one_object_in_a_read_scope, backend)


async def test_read_scopes_that_stand_still(backend: MemoryBackend, monkeypatch: Patch) -> None:
    count = MemoryRepository._count
    counted: list[int] = []

    async def counted_once(self: MemoryRepository[Any], specification: Specification) -> int:
        counted.append(await count(self, specification))
        return counted[0]

    monkeypatch.setattr(MemoryRepository, "_count", counted_once)

    contract = UnitOfWorkContract.test_each_query_of_a_read_scope_sees_what_is_committed_by_then
    await assert_contract_catches(contract, backend)


async def test_read_scopes_that_never_end(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "require_open", lambda self: None)

    for contract in (
        UnitOfWorkContract.test_a_stream_that_is_left_open_ends_with_its_read_scope,
        UnitOfWorkContract.test_a_read_scope_has_a_beginning_and_an_end,
    ):
        await assert_contract_catches(contract, backend, raising=UnitOfWorkSharedError)


async def test_read_scopes_for_anybody(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(door, "_require_tenant", lambda tenant: None)

    contract = UnitOfWorkContract.test_a_read_scope_is_for_an_active_tenant
    await assert_contract_catches(contract, backend, raising=TenantContextMissingError)


# --- One trip. ---


async def test_a_setting_that_outlives_its_query(lonely: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    def for_the_session(sql: str, *, parameters: int) -> str:
        return FENCED(sql, parameters=parameters).replace(", true) AS id", ", false) AS id")

    monkeypatch.setattr(plans, "fenced", for_the_session)
    async with lonely.read(TenantId("acme")) as scope:
        await scope.repository(Widgets).count()
    assert test_read_scope.verdicts(lonely) == [False]  # the look at the plan refuses it
    lonely._client.plans._known.clear()
    monkeypatch.setattr(plans, "is_fenced", lambda plan: True)

    await _goes_red(test_read_scope.test_no_tenant_is_left_after_a_query, lonely)


async def test_a_fence_that_is_taken_down(lonely: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    def open_country(sql: str, *, parameters: int) -> str:
        return FENCED(sql, parameters=parameters).replace(f"WHERE tenant.id = ${parameters + 1}::text ", "")

    monkeypatch.setattr(plans, "fenced", open_country)

    await _goes_red(test_read_scope.test_two_tenants_take_turns_on_one_prepared_statement, lonely)
    assert test_read_scope.verdicts(lonely)
    assert not any(test_read_scope.verdicts(lonely))


async def test_plans_that_nobody_looks_at(
    lonely: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(plans, "is_fenced", lambda plan: True)

    await _goes_red(fallback.test_a_plan_that_drops_partitions_before_the_tenant_is_set_is_not_taken, lonely, database)
    await _goes_red(fallback.test_a_table_in_partitions_is_read_in_three_trips, lonely, database)


async def test_a_look_at_the_plan_for_one_value_only(
    lonely: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    async def unseen(*_: object, **__: object) -> one_trip.Plan:
        return {"Node Type": "Result"}

    monkeypatch.setattr(plans, "_plan_for_any", unseen)

    await _goes_red(fallback.test_a_table_in_partitions_is_read_in_three_trips, lonely, database)


async def test_citus_that_is_taken_for_plain_postgres(
    lonely: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(plans, "_HAS_CITUS", "SELECT 0")

    await _goes_red(fallback.test_on_citus_every_query_is_three_trips, lonely, database)


async def _goes_red(test: Any, *arguments: object) -> None:
    await assert_goes_red(test, *arguments, backend="SqlAlchemyBackend")
