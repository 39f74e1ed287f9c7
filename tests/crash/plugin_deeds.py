"""What the children do with plugins on PostgreSQL: bring one to a tenant, take it back, or bring it to every tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.crash.points import Points, watch, watch_commits, watch_sends

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.application.plugins import PluginInstallation
from prismicx.application.rollouts import PluginRollouts
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import PluginVersion, SchemaMigration
from prismicx.domain.rollouts import RolloutPlan
from prismicx.testing.examples import EXAMPLE_MAPPINGS

PLUGIN = "desk"
DESK = PluginType("crm")
ONE, TWO = Version("1.0.0"), Version("1.1.0")

OPENING = SchemaMigration(
    version_to=ONE,
    script="CREATE TABLE ${schema}.notes (id int PRIMARY KEY, body text); CREATE INDEX ON ${schema}.notes (body);",
    down="DROP TABLE ${schema}.notes",
)
WIDENING = SchemaMigration(
    version_from=ONE,
    version_to=TWO,
    script="ALTER TABLE ${schema}.notes ADD stars int; INSERT INTO ${schema}.notes VALUES (1, 'first', 5);",
    down="DELETE FROM ${schema}.notes WHERE id = 1; ALTER TABLE ${schema}.notes DROP stars;",
)


async def publish(service: PluginInstallation) -> None:
    """Publish both versions."""
    for version, migration in ((ONE, OPENING), (TWO, WIDENING)):
        await service.publish(PLUGIN, DESK, PluginVersion(version=version), migration)


async def install(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Install the first version for a tenant."""
    async with _watched(points, level, **address) as service:
        await service.install(TenantId(tenant), PLUGIN, version=ONE)


async def upgrade(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Upgrade a tenant that has the first version."""
    async with _watched(points, level, **address) as service:
        await service.upgrade(TenantId(tenant), PLUGIN)


async def downgrade(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Bring a tenant back to the first version."""
    async with _watched(points, level, **address) as service:
        await service.downgrade(TenantId(tenant), PLUGIN, ONE)


async def purge(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Take away what a tenant has."""
    async with _watched(points, level, **address) as service:
        await service.purge(TenantId(tenant), PLUGIN)


async def abandon(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Take back what has failed for a tenant."""
    async with _watched(points, level, **address) as service:
        await service.abandon(TenantId(tenant), PLUGIN)


async def roll_out(points: Points, **address: str) -> None:
    """Upgrade every tenant; each commit to the registry is a point."""
    async with backend_at(**address) as backend:
        rollouts = PluginRollouts(backend, PluginInstallation(backend, backend.plugin_schemas))
        watch_commits(points)
        points.begin()
        await rollouts.upgrade_all(PLUGIN, plan=RolloutPlan(concurrency=2))


def backend_at(*, dsn: str, admin_dsn: str) -> SqlAlchemyBackend:
    """Return a backend on these addresses."""
    client, admin = (DatabaseClient.from_dsn(each, min_pool_size=1, max_pool_size=4) for each in (dsn, admin_dsn))
    return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin)


@asynccontextmanager
async def _watched(points: Points, level: str, **address: str) -> AsyncIterator[PluginInstallation]:
    if level == "sent":
        watch_sends(points)
    async with backend_at(**address) as backend:
        schemas = backend.plugin_schemas
        if level == "recorded":
            watch_commits(points)
            watch(points, schemas, "migrate")
        points.begin()
        yield PluginInstallation(backend, schemas)
