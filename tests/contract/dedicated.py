"""A platform with dedicated tenants: a backend that is its own registry, and databases elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from tests.contract.opened import initialised_by_contracts

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.connection_secrets import MappingSecrets
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.application.directory import TenantDirectory
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.connections import ConnectionSecret
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.registry import TenantRepository
from prismicx.domain.tenancy import DatabaseConfig, Tenant
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases
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

ACME, GLOBEX, INITECH = TenantId("acme"), TenantId("globex"), TenantId("initech")
"""Acme and Initech are dedicated tenants, behind connections of their names; Globex is where others are."""

EVERY_PLACEMENT: Any = ((Widgets, Widget), (Gadgets, Gadget), (Gizmos, Gizmo))

BackendT = TypeVar("BackendT", SqlAlchemyBackend, BeanieBackend)


class CountedSecrets(MappingSecrets):
    """Secrets that remember what was asked for."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(secrets)
        self.asked: list[tuple[str, str]] = []

    async def get(self, connection: str, secret: ConnectionSecret) -> SecretStr:
        self.asked.append((connection, secret.value))
        return await super().get(connection, secret)

    def add(self, connection: str, secrets: Mapping[str, str]) -> None:
        """Take these in place of what the connection had."""
        found = {ConnectionSecret(name): SecretStr(address) for name, address in secrets.items()}
        self._secrets[connection] = found


@dataclass
class Platform(Generic[BackendT]):
    """A running backend with everything around it."""

    backend: BackendT
    directory: TenantDirectory
    secrets: CountedSecrets

    @property
    def tenants(self) -> TenantProvisioning:
        return TenantProvisioning(self.backend, self.backend.steps(), directory=self.directory)

    async def create(self, tenant: TenantId, *, connection: str | None = None) -> Tenant:
        """Make a tenant's place, a dedicated one behind this connection."""
        return await self.tenants.create(
            tenant.value,
            region=Region("eu"),
            tier=Tier("standard"),
            tenant_id=tenant,
            plugin_types=(EXAMPLE_PLUGIN_TYPE,),
            dedicated_connection=connection,
        )

    async def move(self, tenant: TenantId, place: DatabaseConfig) -> None:
        """Say in the registry that the tenant is elsewhere now."""
        async with self.backend.registry() as unit:
            found = await unit.repository(TenantRepository).of(tenant)
            found.database_config = place
            await unit.commit()
        self.directory.observe(found)

    async def store(self, tenant: TenantId, name: str = "") -> None:
        """Store one aggregate in each placement."""
        async with self.backend.unit_of_work(tenant) as unit:
            for port, kind in EVERY_PLACEMENT:
                unit.repository(port).add(kind(name=name or tenant.value))
            await unit.commit()

    async def names(self, tenant: TenantId) -> list[str]:
        """Return the names of all that the tenant has, placement by placement."""
        async with self.backend.unit_of_work(tenant, read_only=True) as unit:
            return [each.name for port, _ in EVERY_PLACEMENT for each in await unit.repository(port).list()]


@asynccontextmanager
async def postgres_platform(
    shared: PostgresDatabase,
    own: Mapping[str, PostgresDatabase],
    *,
    kind: type[SqlAlchemyBackend] = SqlAlchemyBackend,
    **options: Any,
) -> AsyncIterator[Platform[SqlAlchemyBackend]]:
    """Yield a platform on a prepared database, whose connections lead to these."""
    secrets = CountedSecrets({name: postgres_secrets(found) for name, found in own.items()})
    client = DatabaseClient.from_dsn(shared.dsn, min_pool_size=1, max_pool_size=3)
    admin = DatabaseClient.from_dsn(shared.admin_dsn, min_pool_size=1, max_pool_size=2)
    directory = TenantDirectory(lambda: backend)
    backend = kind(client, EXAMPLE_MAPPINGS, admin=admin, admission=directory, secrets=secrets, **options)
    async with backend:
        yield Platform(backend, directory, secrets)


@asynccontextmanager
async def mongo_platform(
    server: MongoServer,
    own: Mapping[str, str],
    name: str,
    *,
    kind: type[BeanieBackend] = BeanieBackend,
    **options: Any,
) -> AsyncIterator[Platform[BeanieBackend]]:
    """Yield a platform on a prepared deployment, whose connections lead to these; what is made there is dropped."""
    secrets = CountedSecrets({connection: {"mongo_uri": uri} for connection, uri in own.items()})
    directory = TenantDirectory(lambda: backend)
    client = MongoDBClient(server.uri, name, server_selection_seconds=1)
    backend = kind(client, EXAMPLE_MAPPINGS, admission=directory, secrets=secrets, **options)
    before = {uri: set(await databases_at(uri)) for uri in (server.uri, *own.values())}
    try:
        async with backend:
            await backend.initialise_database()
            yield Platform(backend, directory, secrets)
    finally:
        for uri, known in before.items():
            async with AsyncMongoClient[dict[str, Any]](uri) as driver:
                for made in set(await driver.list_database_names()) - known:
                    await driver.drop_database(made)


def postgres_secrets(database: PostgresDatabase) -> dict[str, str]:
    """Return the secrets of a connection to this database."""
    return {"postgres_dsn": database.dsn, "postgres_admin_dsn": database.admin_dsn}


async def prepared(databases: PostgresDatabases) -> PostgresDatabase:
    """Return a database that `prismicx db init` has prepared."""
    return await databases("contracts", initialised_by_contracts)


async def tenants_in_postgres(database: PostgresDatabase) -> dict[str, int]:
    """Return, by tenant, the rows of all tables in all schemas that name one, as the superuser sees them."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns "
            "WHERE column_name = 'tenant_id' AND table_schema <> 'prismicx'"
        )
        found: dict[str, int] = {}
        for (table,) in tables:
            for tenant, rows in await connection.fetch(f"SELECT tenant_id, count(*) FROM {table} GROUP BY 1"):
                found[tenant] = found.get(tenant, 0) + rows
        return found
    finally:
        await connection.close()


async def value(dsn: str, query: str, *arguments: Any) -> Any:
    """Return what a query answers."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def databases_at(uri: str) -> list[str]:
    """Return the names of all databases of a deployment."""
    async with AsyncMongoClient[dict[str, Any]](uri) as driver:
        return await driver.list_database_names()


async def tenants_in_mongo(uri: str) -> dict[str, int]:
    """Return, by tenant, the documents of the examples' collections in all databases of a deployment."""
    found: dict[str, int] = {}
    async with AsyncMongoClient[dict[str, Any]](uri, uuidRepresentation="standard") as driver:
        for name in await driver.list_database_names():
            for collection in ("widgets", "gadgets", "gizmos"):
                async for document in driver[name][collection].find({}, {"tenant_id": 1}):
                    found[document["tenant_id"]] = found.get(document["tenant_id"], 0) + 1
    return found
