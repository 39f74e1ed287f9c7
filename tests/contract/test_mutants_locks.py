"""Twins of locks on PostgreSQL, and of pages on real databases: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.contract.opened import initialised_by_contracts, opened_mongo, postgres_backend

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie import repository as on_mongo
from prismicx.adapters.beanie.specification import sorting
from prismicx.adapters.reading import Reading
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyRepository, specification
from prismicx.domain.errors import ConcurrencyError
from prismicx.domain.locking import Lock
from prismicx.domain.specification import Order
from prismicx.testing.contracts import RepositoryContract, assert_contract_catches
from prismicx.testing.databases import MongoServer, PostgresDatabases
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch

_BY_NOTE = (Order(Widget, "note"),)


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    database = await prismicx_postgres_database("contracts", initialised_by_contracts)
    async with postgres_backend(database) as backend:
        yield backend


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "mutants_locks") as backend:
        yield backend


async def test_locks_that_lock_nothing(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def unlocked(self: SqlAlchemyRepository[Any], lock: Lock, *asked: Any) -> Sequence[Any]:
        criteria, order, limit = asked
        return await self._rows(criteria, order, limit)

    monkeypatch.setattr(SqlAlchemyRepository, "_locked", unlocked)

    for test in (
        RepositoryContract.test_units_that_skip_what_is_locked_take_disjoint_parts,
        RepositoryContract.test_a_lock_that_is_not_to_be_had_fails_or_is_skipped,
        RepositoryContract.test_who_waits_for_a_lock_reads_what_is_left,
    ):
        await assert_contract_catches(test, postgres, raising=ConcurrencyError)


async def test_locks_on_what_has_changed_since(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    async def unchecked(self: Any, lock: Lock, *asked: Any, limit: int | None, track: bool) -> list[Any]:
        rows = await self._unit.attempt(self._locked(lock, *asked, limit))
        found: list[Any] = self._resolved(rows, track=track)
        return found

    monkeypatch.setattr(Reading, "_list_locked", unchecked)

    await assert_contract_catches(RepositoryContract.test_what_is_held_in_another_version_cannot_be_locked, postgres)


async def test_pages_on_postgres_that_lose_the_nulls(postgres: SqlAlchemyBackend, monkeypatch: Patch) -> None:
    behind = specification._behind_nullable
    monkeypatch.setattr(
        specification, "_behind_nullable", lambda key, rest: behind(key, rest) & key.column.is_not(None)
    )

    await assert_contract_catches(RepositoryContract.test_pages_joined_are_the_whole_list, postgres, order=_BY_NOTE)


async def test_pages_on_mongo_that_come_back_with_the_nulls_last(mongo: BeanieBackend, monkeypatch: Patch) -> None:
    def nulls_last(order: Sequence[Order], keys: Any) -> Any:
        return sorting([Order(key.entity, key.attribute, key.descending) for key in order], keys)

    monkeypatch.setattr(on_mongo, "sorting", nulls_last)

    await assert_contract_catches(
        RepositoryContract.test_pages_joined_backwards_are_the_whole_list, mongo, order=_BY_NOTE
    )
