"""What the children do: create a tenant, or delete one, on PostgreSQL or MongoDB.

`level` says what their points are: `recorded` is each commit to the registry and each call of a step, before and after;
`sent` is each message to the server, in whatever it is part of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.crash.points import Points, watch, watch_commits, watch_sends

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient, TenantLogins
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.tenancy import Tenant
from prismicx.testing.examples import EXAMPLE_MAPPINGS, EXAMPLE_PLUGIN_TYPE


async def create(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Create a tenant of this id."""
    async with _watched(points, level, address) as service:
        await create_tenant(service, TenantId(tenant))


async def delete(points: Points, *, level: str, tenant: str, **address: str) -> None:
    """Delete the tenant of this id."""
    async with _watched(points, level, address) as service:
        await service.delete(TenantId(tenant))


def backend_at(address: Mapping[str, str]) -> SqlAlchemyBackend | BeanieBackend:
    """Return a backend on these addresses: `dsn` and `admin_dsn`, or `uri`, `database` and, for users, `key`."""
    if "dsn" in address:
        client, admin = (
            DatabaseClient.from_dsn(address[name], min_pool_size=1, max_pool_size=4) for name in ("dsn", "admin_dsn")
        )
        return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin)
    logins = TenantLogins(address["key"]) if "key" in address else None
    return BeanieBackend(MongoDBClient(address["uri"], address["database"]), EXAMPLE_MAPPINGS, logins=logins)


async def create_tenant(service: TenantProvisioning, tenant_id: TenantId) -> Tenant:
    """Create a tenant with a schema for the example's gadgets."""
    return await service.create(
        "Killed", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id, plugin_types=[EXAMPLE_PLUGIN_TYPE]
    )


@asynccontextmanager
async def _watched(points: Points, level: str, address: Mapping[str, str]) -> AsyncIterator[TenantProvisioning]:
    if level == "sent":
        watch_sends(points)
    async with backend_at(address) as backend:
        steps = backend.steps()
        if level == "recorded":
            watch_commits(points)
            for step in steps:
                watch(points, step, "ensure", "verify", "contents", "remove")
        points.begin()
        yield TenantProvisioning(backend, steps)
