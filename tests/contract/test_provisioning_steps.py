"""The contract of provisioning steps, on those of every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from tests.contract.opened import opened_mongo, opened_postgres
from tests.contract.steps import ShelfStep

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.provisioning import PluginDatabasesStep
from prismicx.adapters.beanie.provisioning import TenantDatabaseStep as MongoTenantDatabaseStep
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.provisioning import PluginSchemasStep, TenantDatabaseStep
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.contracts import ProvisioningStepContract
from prismicx.testing.databases import MongoServer, PostgresServer


@pytest.fixture(scope="module")
async def postgres(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


@pytest.fixture(scope="module")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "steps") as backend:
        yield backend


class TestShelf(ProvisioningStepContract):
    @pytest.fixture
    def step(self) -> ProvisioningStep:
        return ShelfStep()


def _of(kind: type[ProvisioningStep], steps: Sequence[ProvisioningStep]) -> ProvisioningStep:
    (found,) = (step for step in steps if isinstance(step, kind))
    return found


class TestPostgresPluginSchemas(ProvisioningStepContract):
    @pytest.fixture
    def step(self, postgres: SqlAlchemyBackend) -> ProvisioningStep:
        return _of(PluginSchemasStep, postgres.steps())


class TestPostgresTenantDatabase(ProvisioningStepContract):
    @pytest.fixture
    def step(self, postgres: SqlAlchemyBackend) -> ProvisioningStep:
        return _of(TenantDatabaseStep, postgres.steps())


class TestMongoPluginDatabases(ProvisioningStepContract):
    @pytest.fixture
    def step(self, mongo: BeanieBackend) -> ProvisioningStep:
        return _of(PluginDatabasesStep, mongo.steps())


class TestMongoTenantDatabase(ProvisioningStepContract):
    @pytest.fixture
    def step(self, mongo: BeanieBackend) -> ProvisioningStep:
        return _of(MongoTenantDatabaseStep, mongo.steps())
