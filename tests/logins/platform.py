"""A MongoDB with access control, and a platform on it whose tenants have users of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pymongo import AsyncMongoClient, MongoClient

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork, MongoDBClient, TenantLogins
from prismicx.adapters.beanie.login_step import TenantLoginStep
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.tenancy import Tenant
from prismicx.embedded import EmbeddedMongo
from prismicx.testing.examples import (
    EXAMPLE_MAPPINGS,
    EXAMPLE_PLUGIN_TYPE,
    Gadget,
    Gadgets,
    Gizmo,
    Gizmos,
    Widget,
    Widgets,
)

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
KEY, NEXT_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
EVERY_PLACEMENT: Final[Any] = ((Widgets, Widget), (Gadgets, Gadget), (Gizmos, Gizmo))

Driver = AsyncMongoClient[dict[str, Any]]


@contextmanager
def guarded_server(directory: Path) -> Iterator[str]:
    """Yield the address of a server that asks for a login, with its first user's."""
    with EmbeddedMongo(directory) as open_server, MongoClient[dict[str, Any]](open_server.uri) as driver:
        driver.admin.command("createUser", "root", pwd="of all", roles=["root"])
    with EmbeddedMongo(directory, access_control=True) as server:
        parts = urlsplit(server.uri)
        yield urlunsplit(parts._replace(netloc=f"root:of%20all@{parts.netloc}", path="/", query="authSource=admin"))


def backend_on(uri: str, name: str, *keys: str, kind: type[BeanieBackend] = BeanieBackend, **options: Any) -> Any:
    """Return a backend whose tenants have users, by these keys."""
    client = MongoDBClient(uri, name, server_selection_seconds=2)
    return kind(client, EXAMPLE_MAPPINGS, logins=TenantLogins(*keys), **options)


@asynccontextmanager
async def served(uri: str, name: str, **options: Any) -> AsyncIterator[BeanieBackend]:
    """Yield a running backend with Acme and Globex in place, each with an aggregate in every placement."""
    backend = backend_on(uri, name, KEY, **options)
    await backend.initialise_database()
    async with backend:
        for tenant in (ACME, GLOBEX):
            await create(backend, tenant)
            await store(backend, tenant)
        yield backend
    async with Driver(uri) as driver:
        for database in await driver.list_database_names():
            if database == name or database.startswith("tenant_"):
                await driver.drop_database(database)
        found = await driver[name].command("usersInfo", 1)
        for user in found["users"]:
            await driver[name].command("dropUser", user["user"])
        roles = await driver.admin.command("rolesInfo", 1)
        for role in roles["roles"]:
            await driver.admin.command("dropRole", role["role"])


def login_step_of(backend: BeanieBackend) -> TenantLoginStep:
    """Return the step that makes its tenants' users."""
    (step,) = (step for step in backend.steps() if isinstance(step, TenantLoginStep))
    return step


def provisioning(backend: BeanieBackend) -> TenantProvisioning:
    """Return the use cases of tenants on this backend, which is the registry too."""
    return TenantProvisioning(backend, backend.steps())


async def create(backend: BeanieBackend, tenant: TenantId) -> Tenant:
    """Make a tenant's place."""
    return await provisioning(backend).create(
        tenant.value,
        region=Region("eu"),
        tier=Tier("standard"),
        tenant_id=tenant,
        plugin_types=(EXAMPLE_PLUGIN_TYPE,),
    )


async def store(backend: BeanieBackend, tenant: TenantId) -> None:
    """Store one aggregate in each placement, in one transaction."""
    async with backend.unit_of_work(tenant) as unit:
        for port, kind in EVERY_PLACEMENT:
            unit.repository(port).add(kind(name=tenant.value))
        await unit.commit()


async def names(backend: BeanieBackend, tenant: TenantId) -> list[str]:
    """Return the names of all that the tenant has, placement by placement."""
    async with backend.unit_of_work(tenant, read_only=True) as unit:
        return [each.name for port, _ in EVERY_PLACEMENT for each in await unit.repository(port).list()]


def driver_of(unit: UnitOfWork) -> Driver:
    """Return the driver's client behind the unit, past every guard."""
    assert isinstance(unit, BeanieUnitOfWork)
    return unit.session.client


async def user_of(unit: UnitOfWork) -> str:
    """Return whom the unit has logged in as."""
    status = await driver_of(unit).admin.command("connectionStatus")
    (user,) = status["authInfo"]["authenticatedUsers"]
    return f"{user['db']}.{user['user']}"
