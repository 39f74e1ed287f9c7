"""The reference service on PostgreSQL and MongoDB together, with two tenants whose ids are of the document's kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prismicx import Region, TenantId, Tier
from prismicx.adapters.beanie import MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.container import Container, preparations, running
from prismicx.demo.plugins import NAME, crm_plugin
from prismicx.demo.service import ReferenceService
from prismicx.demo.wiring import container, reference_service
from prismicx.settings import Settings
from prismicx.testing.databases import MongoDatabase, MongoDatabases, PostgresDatabase, PostgresDatabases

ACME, GLOBEX = TenantId("tenant-ab12cd34"), TenantId("tenant-ef56ab78")


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    """One test's own PostgreSQL database."""
    return await prismicx_postgres_database()


@pytest.fixture
def mongo(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    """One test's own MongoDB database."""
    return prismicx_mongo_database()


@pytest.fixture
async def wired(postgres: PostgresDatabase, mongo: MongoDatabase) -> AsyncIterator[Container]:
    """The service's container, started, with two tenants that have the CRM plugin."""
    settings = Settings.load(
        {
            "postgres_dsn": postgres.dsn,
            "postgres_admin_dsn": postgres.admin_dsn,
            "min_pool_size": 1,
            "mongo_uri": mongo.uri,
            "mongo_database": mongo.name,
        }
    )
    made = container(settings)
    for preparation in preparations(made):
        await preparation.carry_out()
    async with running(made):
        plugin = crm_plugin()
        for version, migration in zip(plugin.versions, plugin.migrations, strict=True):
            await made.plugins().publish(NAME, plugin.type, version, migration)
        for tenant in (ACME, GLOBEX):
            await made.tenants().create(str(tenant), region=Region("eu"), tier=Tier("standard"), tenant_id=tenant)
            await made.plugins().install(tenant, NAME)
        yield made


@pytest.fixture
def service(wired: Container) -> ReferenceService:
    """The use cases of the reference service."""
    return reference_service(wired)


@pytest.fixture
def database(wired: Container) -> DatabaseClient:
    """The application's client of PostgreSQL, under the source document's name for its class."""
    return wired.postgres_client()


@pytest.fixture
def documents(wired: Container) -> MongoDBClient:
    """The client of MongoDB, under the source document's name for its class."""
    return wired.mongo_client()
