"""Twins of the promises about places in databases: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from tests.contract.laboratories import MongoLaboratory, PostgresLaboratory
from tests.contract.opened import opened_mongo, opened_postgres

from prismicx.adapters.beanie import BeanieBackend, provisioning
from prismicx.adapters.beanie.marks import Standing, ensure_mark
from prismicx.adapters.beanie.provisioning import TenantDatabaseStep as MongoTenantDatabaseStep
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy import marks as postgres_marks
from prismicx.adapters.sqlalchemy.provisioning import TenantDatabaseStep
from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant
from prismicx.testing.contracts import Laboratory, OwnedPlaceContract, assert_contract_catches
from prismicx.testing.databases import MongoServer, PostgresServer
from prismicx.testing.examples import example_tenant

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
async def postgres(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


@pytest.fixture
def on_postgres(postgres: SqlAlchemyBackend, prismicx_postgres_server: PostgresServer) -> dict[str, Any]:
    """What a test of the contract is given: a step and a laboratory on PostgreSQL, and a tenant."""
    (step,) = (step for step in postgres.steps() if isinstance(step, TenantDatabaseStep))
    dsn = prismicx_postgres_server.dsn(postgres._admin.database)
    laboratory = PostgresLaboratory(dsn, postgres._admin, suffix="db", table="gizmos")
    return _given(postgres, step, laboratory)


@pytest.fixture(scope="module")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "places") as backend:
        yield backend


@pytest.fixture
async def on_mongo(mongo: BeanieBackend, prismicx_mongo_server: MongoServer) -> AsyncIterator[dict[str, Any]]:
    """The same on MongoDB."""
    (step,) = (step for step in mongo.steps() if isinstance(step, MongoTenantDatabaseStep))
    async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
        yield _given(mongo, step, MongoLaboratory(driver, suffix="db", collection="gizmos"))


def _given(backend: Any, step: ProvisioningStep, laboratory: Laboratory) -> dict[str, Any]:
    return {
        "backend": backend,
        "step": step,
        "laboratory": laboratory,
        "tenant": example_tenant(TenantId.new()),
        "raising": PrismicxError,
    }


async def test_marks_that_nobody_looks_at_on_postgres(on_postgres: dict[str, Any], monkeypatch: Patch) -> None:
    monkeypatch.setattr(postgres_marks.Standing, "foreignness", lambda self, tenant: None)

    await assert_contract_catches(
        OwnedPlaceContract.test_what_somebody_else_has_made_is_neither_adopted_nor_touched, **on_postgres
    )
    on_postgres["tenant"] = example_tenant(TenantId.new())
    await assert_contract_catches(
        OwnedPlaceContract.test_what_somebody_else_has_made_is_not_removed_or_counted, **on_postgres
    )
    on_postgres["tenant"] = example_tenant(TenantId.new())
    await assert_contract_catches(OwnedPlaceContract.test_what_somebody_else_has_made_is_not_verified, **on_postgres)


async def test_marks_that_nobody_looks_at_on_mongo(on_mongo: dict[str, Any], monkeypatch: Patch) -> None:
    async def believe(*_: Any, **__: Any) -> Standing:
        return Standing.MARKED

    monkeypatch.setattr(provisioning, "standing_of", believe)

    await assert_contract_catches(
        OwnedPlaceContract.test_what_somebody_else_has_made_is_neither_adopted_nor_touched, **on_mongo
    )
    on_mongo["tenant"] = example_tenant(TenantId.new())
    await assert_contract_catches(
        OwnedPlaceContract.test_what_somebody_else_has_made_is_not_removed_or_counted, **on_mongo
    )
    on_mongo["tenant"] = example_tenant(TenantId.new())
    await assert_contract_catches(OwnedPlaceContract.test_what_somebody_else_has_made_is_not_verified, **on_mongo)


async def test_a_removal_that_only_counts(on_postgres: dict[str, Any], monkeypatch: Patch) -> None:
    async def count(self: TenantDatabaseStep, tenant: Tenant) -> Mapping[str, int]:
        return await self.contents(tenant)

    monkeypatch.setattr(TenantDatabaseStep, "remove", count)

    await assert_contract_catches(
        OwnedPlaceContract.test_the_receipt_says_what_was_removed_and_nothing_is_left, **on_postgres
    )


async def test_a_removal_that_does_not_count(on_mongo: dict[str, Any], monkeypatch: Patch) -> None:
    remove = MongoTenantDatabaseStep.remove

    async def remove_in_silence(self: MongoTenantDatabaseStep, tenant: Tenant) -> Mapping[str, int]:
        return dict.fromkeys(await remove(self, tenant), 0)

    monkeypatch.setattr(MongoTenantDatabaseStep, "remove", remove_in_silence)

    await assert_contract_catches(
        OwnedPlaceContract.test_the_receipt_says_what_was_removed_and_nothing_is_left, **on_mongo
    )


async def test_a_probe_that_is_committed(on_mongo: dict[str, Any], monkeypatch: Patch) -> None:
    async def commit(self: AsyncClientSession) -> None:
        if self.in_transaction:
            await self.commit_transaction()

    monkeypatch.setattr(AsyncClientSession, "abort_transaction", commit)

    await assert_contract_catches(OwnedPlaceContract.test_verifying_leaves_nothing_behind, **on_mongo)


async def test_a_mark_that_is_finished_only_where_it_was_begun(on_mongo: dict[str, Any], monkeypatch: Patch) -> None:
    async def mark_what_is_not_marked(*arguments: Any, standing: Standing, **options: Any) -> None:
        if standing is not Standing.MARKED:
            await ensure_mark(*arguments, standing=standing, **options)

    monkeypatch.setattr(provisioning, "ensure_mark", mark_what_is_not_marked)

    await assert_contract_catches(
        OwnedPlaceContract.test_wherever_making_it_breaks_it_is_finished_by_making_it_again, **on_mongo
    )


async def test_a_removal_of_whole_places_only(on_mongo: dict[str, Any], monkeypatch: Patch) -> None:
    remove = MongoTenantDatabaseStep.remove

    async def remove_what_is_whole(self: MongoTenantDatabaseStep, tenant: Tenant) -> Mapping[str, int]:
        if await self.contents(tenant):
            await self.verify(tenant)
            return await remove(self, tenant)
        return {}

    monkeypatch.setattr(MongoTenantDatabaseStep, "remove", remove_what_is_whole)

    await assert_contract_catches(
        OwnedPlaceContract.test_wherever_removing_it_breaks_it_is_finished_by_removing_it_again, **on_mongo
    )
