"""The contract of provisioning steps, on those of every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tests.contract.laboratories import MongoLaboratory, PostgresLaboratory
from tests.contract.opened import opened_mongo, opened_postgres
from tests.contract.steps import ShelfStep

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.provisioning import PluginDatabasesStep
from prismicx.adapters.beanie.provisioning import TenantDatabaseStep as MongoTenantDatabaseStep
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.provisioning import PluginSchemasStep, TenantDatabaseStep
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.contracts import FencedStepContract, Laboratory, OwnedPlaceContract, ProvisioningStepContract
from prismicx.testing.databases import MongoServer, PostgresServer


@pytest.fixture(scope="module")
async def postgres(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


@pytest.fixture(scope="module")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "steps") as backend:
        yield backend


class TestShelf(ProvisioningStepContract, FencedStepContract):
    @pytest.fixture
    def step(self) -> ProvisioningStep:
        return ShelfStep()


def _of(kind: type[ProvisioningStep], steps: Sequence[ProvisioningStep]) -> ProvisioningStep:
    (found,) = (step for step in steps if isinstance(step, kind))
    return found


class TestPostgresPluginSchemas(ProvisioningStepContract, FencedStepContract, OwnedPlaceContract):
    @pytest.fixture
    def step(self, postgres: SqlAlchemyBackend) -> ProvisioningStep:
        return _of(PluginSchemasStep, postgres.steps())

    @pytest.fixture
    def laboratory(self, postgres: SqlAlchemyBackend, prismicx_postgres_server: PostgresServer) -> Laboratory:
        dsn = prismicx_postgres_server.dsn(postgres._admin.database)
        return PostgresLaboratory(dsn, postgres._admin, suffix="crm", table="gadgets")


class TestPostgresTenantDatabase(ProvisioningStepContract, FencedStepContract, OwnedPlaceContract):
    @pytest.fixture
    def step(self, postgres: SqlAlchemyBackend) -> ProvisioningStep:
        return _of(TenantDatabaseStep, postgres.steps())

    @pytest.fixture
    def laboratory(self, postgres: SqlAlchemyBackend, prismicx_postgres_server: PostgresServer) -> Laboratory:
        dsn = prismicx_postgres_server.dsn(postgres._admin.database)
        return PostgresLaboratory(dsn, postgres._admin, suffix="db", table="gizmos")


class TestMongoPluginDatabases(ProvisioningStepContract, FencedStepContract, OwnedPlaceContract):
    @pytest.fixture
    def step(self, mongo: BeanieBackend) -> ProvisioningStep:
        return _of(PluginDatabasesStep, mongo.steps())

    @pytest.fixture
    async def laboratory(self, prismicx_mongo_server: MongoServer) -> AsyncIterator[Laboratory]:
        async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
            yield MongoLaboratory(driver, suffix="crm", collection="gadgets")


class TestMongoTenantDatabase(ProvisioningStepContract, FencedStepContract, OwnedPlaceContract):
    @pytest.fixture
    def step(self, mongo: BeanieBackend) -> ProvisioningStep:
        return _of(MongoTenantDatabaseStep, mongo.steps())

    @pytest.fixture
    async def laboratory(self, prismicx_mongo_server: MongoServer) -> AsyncIterator[Laboratory]:
        async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
            yield MongoLaboratory(driver, suffix="db", collection="gizmos")
