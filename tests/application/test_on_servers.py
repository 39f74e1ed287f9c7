"""The use cases on real registries, with the real steps and schemas of each database."""

from collections.abc import AsyncIterator

import pytest
from tests.application.memory import RecordedStep
from tests.contract.opened import opened_mongo, opened_postgres

from prismicx.adapters.beanie import BeanieBackend, BeaniePluginSchemas
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.application.directory import TenantDirectory
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import (
    DuplicateEntityError,
    PluginInstallationError,
    ProvisioningError,
    TenantNotActiveError,
    TenantNotFoundError,
)
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier, Version
from prismicx.domain.installations import TenantPluginStatus
from prismicx.domain.plugins import PluginVersion, SchemaMigration
from prismicx.domain.tenancy import Tenant, TenantStatus
from prismicx.testing.databases import MongoServer, PostgresServer

ACME = TenantId("acme")
CRM = PluginType("crm")
FIRST = PluginVersion(version=Version("1.0.0"), features=("export",), defaults={"limit": 10, "zones": ["utc", None]})
SECOND = PluginVersion(version=Version("1.1.0"), features=("export", "sync"))
OPENING = SchemaMigration(
    version_to=Version("1.0.0"),
    script="CREATE TABLE ${schema}.leads (id int PRIMARY KEY); INSERT INTO ${schema}.leads VALUES (1);",
)


def widening(script: str) -> SchemaMigration:
    return SchemaMigration(version_from=Version("1.0.0"), version_to=Version("1.1.0"), script=script)


@pytest.fixture(scope="module")
async def postgres(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


@pytest.fixture(scope="module")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "use_cases") as backend:
        yield backend


@pytest.fixture(params=["postgres", "mongo"])
def backend(request: pytest.FixtureRequest) -> SqlAlchemyBackend | BeanieBackend:
    found: SqlAlchemyBackend | BeanieBackend = request.getfixturevalue(request.param)
    return found


async def create(service: TenantProvisioning, tenant_id: TenantId) -> Tenant:
    return await service.create("Ácme 株式会社", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id)


async def test_a_tenant_is_created_suspended_and_resumed(backend: SqlAlchemyBackend | BeanieBackend) -> None:
    directory = TenantDirectory(lambda: backend)
    service = TenantProvisioning(backend, backend.steps(), directory=directory)

    created = await create(service, ACME)

    assert await service.get(ACME) == created
    assert created in await service.list(TenantStatus.ACTIVE)
    with pytest.raises(DuplicateEntityError):
        await create(service, ACME)
    await directory.admit(ACME)
    await service.suspend(ACME)
    with pytest.raises(TenantNotActiveError):
        await TenantDirectory(lambda: backend).admit(ACME)
    await service.resume(ACME)
    await directory.admit(ACME)
    with pytest.raises(TenantNotFoundError):
        await directory.admit(TenantId("nobody"))


async def test_a_failure_is_recorded_and_gone_on_from(backend: SqlAlchemyBackend | BeanieBackend) -> None:
    last = RecordedStep("last", [])
    last.error = OSError("no \x00 space \ud800 left")
    service = TenantProvisioning(backend, [*backend.steps(), last])

    with pytest.raises(ProvisioningError):
        await create(service, TenantId("unlucky"))

    assert (await service.get(TenantId("unlucky"))).failure == "last: no \\x00 space \\ud800 left"
    last.error = None
    resumed = await service.retry(TenantId("unlucky"))
    assert (resumed.status, resumed.failure) == (TenantStatus.ACTIVE, None)


async def test_a_plugin_is_installed_and_upgraded_in_a_tenants_schema(postgres: SqlAlchemyBackend) -> None:
    await create(TenantProvisioning(postgres, postgres.steps()), TenantId("plugged"))
    service = PluginInstallation(postgres, postgres.plugin_schemas)
    await service.publish("leads", CRM, FIRST, OPENING)

    installed = await service.install(TenantId("plugged"), "leads", features=["export"])
    again = await service.install(TenantId("plugged"), "leads")
    await service.publish("leads", CRM, SECOND, widening("ALTER TABLE ${schema}.leads ADD COLUMN name text"))
    upgraded = await service.upgrade(TenantId("plugged"), "leads", features=["sync"])

    assert installed == again
    assert (upgraded.status, upgraded.features_enabled) == (TenantPluginStatus.ACTIVE, ("sync",))
    assert upgraded.configurations == {"limit": 10, "zones": ["utc", None]}
    assert list(await service.list(TenantId("plugged"))) == [upgraded]
    assert [*await postgres.plugin_schemas.applied(TenantId("plugged"), CRM, "leads")] == ["1.0.0", "1.1.0"]


async def test_a_failed_migration_leaves_the_schema_as_it_was_and_the_reason(postgres: SqlAlchemyBackend) -> None:
    await create(TenantProvisioning(postgres, postgres.steps()), TenantId("broken"))
    service = PluginInstallation(postgres, postgres.plugin_schemas)
    await service.publish("deals", CRM, FIRST, OPENING)
    await service.install(TenantId("broken"), "deals")
    await service.publish("deals", CRM, SECOND, widening("DELETE FROM ${schema}.leads; SELECT 1/0"))

    with pytest.raises(PluginInstallationError, match="division by zero"):
        await service.upgrade(TenantId("broken"), "deals")

    (record,) = await service.list(TenantId("broken"))
    assert (record.status, record.installed_version) == (TenantPluginStatus.FAILED, Version("1.0.0"))
    assert "division by zero" in (record.error_message or "")
    assert [*await postgres.plugin_schemas.applied(TenantId("broken"), CRM, "deals")] == ["1.0.0"]


async def test_a_mongo_registry_keeps_plugins_too(mongo: BeanieBackend) -> None:
    await create(TenantProvisioning(mongo, mongo.steps()), TenantId("listed"))
    service = PluginInstallation(mongo, BeaniePluginSchemas())
    await service.publish("notes", CRM, FIRST)

    installed = await service.install(TenantId("listed"), "notes", configurations={"a.b": {"$set": 1}})

    assert list(await service.list(TenantId("listed"))) == [installed]
    assert installed.configurations == {"limit": 10, "zones": ["utc", None], "a.b": {"$set": 1}}
    assert [plugin.name for plugin in await service.published()] == ["notes"]
