"""Source document, "Multi-Tenant Operations": tenants and plugins across both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from prismicx import (
    IllegalTransitionError,
    PluginInstallationError,
    PluginNotFoundError,
    PluginType,
    PluginVersion,
    ProvisioningError,
    Region,
    SchemaMigration,
    TenantId,
    TenantNotActiveError,
    TenantPluginStatus,
    TenantStatus,
    Tier,
)
from prismicx.adapters.beanie import MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.container import Container
from prismicx.demo.domain import Task
from prismicx.demo.service import ReferenceService
from prismicx.domain.identifiers import Version

ACME = TenantId("tenant-ab12cd34")
CRM = PluginType("crm")
TABLES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = 'tenant_tenant-ab12cd34_crm' ORDER BY table_name
"""

PostgresTables: TypeAlias = Callable[[], Awaitable[set[str]]]


@pytest.fixture
def postgres_tables(wired: Container) -> PostgresTables:
    """Look at the tables of the tenant's schema, as the owner."""

    async def tables() -> set[str]:
        async with wired.postgres_admin_client().connection() as connection:
            return {row[0] for row in await connection.fetch(TABLES)}

    return tables


def migration(version_from: str | None, version_to: str, script: str) -> SchemaMigration:
    start = None if version_from is None else Version(version_from)
    return SchemaMigration(version_from=start, version_to=Version(version_to), script=script)


async def publish(wired: Container, version: str, script: SchemaMigration | None) -> None:
    await wired.plugins().publish("tags", CRM, PluginVersion(version=Version(version)), script)


# --- Creating a new tenant. ---


async def test_a_tenant_gets_its_schemas_its_database_and_its_indexes(
    wired: Container, database: DatabaseClient, documents: MongoDBClient
) -> None:
    tenant = await wired.tenants().create("Initech", region=Region("eu"), tier=Tier("gold"))

    assert tenant.status is TenantStatus.ACTIVE
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)", f"tenant_{tenant.tenant_id}_"
        )
    schemas = {row[0] for row in found}
    assert {f"tenant_{tenant.tenant_id}_{kind}" for kind in ("crm", "marketing", "sales")} <= schemas
    indexes = await documents.client[f"tenant_{tenant.tenant_id}_db"]["user_insights"].index_information()
    keys = {tuple(index["key"]): bool(index.get("unique")) for index in indexes.values()}
    assert keys[(("user_id", 1),)]
    assert {(("topics.name", 1),), (("updated_at", 1),)} <= keys.keys()


async def test_made_ids_are_longer_than_eight_digits_and_never_the_same(wired: Container) -> None:
    ids = {TenantId.new() for _ in range(10_000)}

    assert len(ids) == 10_000
    assert {len(tenant_id.value) for tenant_id in ids} == {len("tenant-") + 26}


async def test_a_failure_half_way_is_recorded_lets_nobody_in_and_is_gone_on_from(
    wired: Container, service: ReferenceService, documents: MongoDBClient
) -> None:
    initech = TenantId("initech")
    in_the_way = documents.client["tenant_initech_db"]["user_insights"]
    await in_the_way.insert_one({"tenant_id": "somebody else"})

    with pytest.raises(ProvisioningError, match="was not made for this tenant"):
        await wired.tenants().create("Initech", region=Region("eu"), tier=Tier("gold"), tenant_id=initech)
    failed = await wired.tenants().get(initech)
    assert failed.status is TenantStatus.PROVISIONING
    assert failed.failure is not None
    assert "was not made for this tenant" in failed.failure
    with pytest.raises(TenantNotActiveError):
        await service.tenant_tasks(initech)

    await in_the_way.drop()
    assert (await wired.tenants().retry(initech)).status is TenantStatus.ACTIVE
    await service.add_tasks(initech, [Task(title="settle in")])
    assert len(await service.tenant_tasks(initech)) == 1


async def test_only_an_active_tenant_is_suspended(wired: Container) -> None:
    await wired.tenants().suspend(ACME)

    with pytest.raises(IllegalTransitionError):
        (await wired.tenants().get(ACME)).activate()


# --- Installing a plugin. ---


async def test_the_chain_of_migrations_is_run_and_no_version_is_skipped(
    wired: Container, postgres_tables: PostgresTables
) -> None:
    first = "CREATE TABLE ${schema}.tags (id int); CREATE INDEX ON ${schema}.tags (id);"
    await publish(wired, "1.0.0", migration(None, "1.0.0", first))
    await publish(wired, "1.1.0", migration("1.0.0", "1.1.0", "CREATE TABLE ${schema}.labels (id int);"))
    await publish(wired, "1.2.0", None)

    installed = await wired.plugins().install(ACME, "tags")

    assert installed.status is TenantPluginStatus.ACTIVE
    assert str(installed.installed_version) == "1.2.0"
    assert {"tags", "labels"} <= await postgres_tables()


async def test_a_migration_that_fails_leaves_the_schema_as_it_was_and_says_why(
    wired: Container, postgres_tables: PostgresTables
) -> None:
    broken = "CREATE TABLE ${schema}.tags (id int); ALTER TABLE ${schema}.missing ADD COLUMN x int;"
    await publish(wired, "1.0.0", migration(None, "1.0.0", broken))
    before = await postgres_tables()

    with pytest.raises(PluginInstallationError, match="missing"):
        await wired.plugins().install(ACME, "tags")

    recorded = next(found for found in await wired.plugins().list(ACME) if found.plugin_name == "tags")
    assert recorded.status is TenantPluginStatus.FAILED
    assert recorded.error_message is not None
    assert "missing" in recorded.error_message
    assert await postgres_tables() == before


async def test_a_plugin_that_is_not_published_is_named(wired: Container) -> None:
    with pytest.raises(PluginNotFoundError, match="unheard-of"):
        await wired.plugins().install(ACME, "unheard-of")
