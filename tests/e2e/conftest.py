"""The reference service on memory, PostgreSQL, MongoDB, and the two databases together: one provider decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from prismicx import Region, TenantId, Tier
from prismicx.container import Container, preparations, running, use_memory
from prismicx.demo.plugins import FIRST, NAME, WITH_NOTES, crm_plugin
from prismicx.demo.service import ReferenceService
from prismicx.demo.wiring import container, reference_service
from prismicx.settings import Settings

if TYPE_CHECKING:
    from prismicx.testing.databases import MongoDatabases, PostgresDatabase, PostgresDatabases

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


@pytest.fixture(params=["memory", "postgres", "mongo", "both"])
async def settings(request: pytest.FixtureRequest) -> Settings:
    """Where the databases are; in memory, addresses that nobody will ask."""
    given: dict[str, object] = {}
    if request.param == "memory":
        given = {"postgres_dsn": "postgresql://nobody@nowhere/none", "mongo_uri": "mongodb://nowhere"}
    if request.param in ("postgres", "both"):
        databases: PostgresDatabases = request.getfixturevalue("prismicx_postgres_database")
        database = await databases(f"demo-{request.param}", _prepared(request.param))
        given |= {"postgres_dsn": database.dsn, "postgres_admin_dsn": database.admin_dsn}
    if request.param in ("mongo", "both"):
        names: MongoDatabases = request.getfixturevalue("prismicx_mongo_database")
        place = names()
        given |= {"mongo_uri": place.uri, "mongo_database": place.name}
    return Settings.load(given)


def _prepared(kind: str) -> Callable[[PostgresDatabase], Awaitable[None]]:
    async def prepare(database: PostgresDatabase) -> None:
        given = {"postgres_dsn": database.dsn, "postgres_admin_dsn": database.admin_dsn}
        if kind == "both":
            given["mongo_uri"] = "mongodb://nowhere"
        for preparation in preparations(container(Settings.load(given))):
            if preparation.database == "postgres":
                await preparation.carry_out()

    return prepare


@pytest.fixture
async def wired(settings: Settings) -> AsyncIterator[Container]:
    """The service's container, started, with two tenants that have the CRM plugin."""
    made = container(settings)
    if settings.postgres_dsn is not None and "nowhere" in settings.postgres_dsn.get_secret_value():
        use_memory(made)
    for preparation in preparations(made):
        await preparation.carry_out()
    async with running(made):
        plugin = crm_plugin()
        for version, migration in zip(plugin.versions, plugin.migrations, strict=True):
            script = migration if settings.postgres_dsn is not None else None  # MongoDB has no scripts
            await made.plugins().publish(NAME, plugin.type, version, script)
        for tenant in (ACME, GLOBEX):
            await made.tenants().create(str(tenant), region=Region("eu"), tier=Tier("standard"), tenant_id=tenant)
            await made.plugins().install(tenant, NAME, version=WITH_NOTES if tenant is ACME else FIRST)
        yield made


@pytest.fixture
def service(wired: Container) -> ReferenceService:
    """The use cases over the container's databases."""
    return reference_service(wired)
