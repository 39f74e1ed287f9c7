"""Dedicated tenants on real servers: what keeps them apart from all others, and what happens once that is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from tests.contract.dedicated import (
    ACME,
    GLOBEX,
    INITECH,
    Platform,
    mongo_platform,
    postgres_platform,
    postgres_secrets,
    prepared,
    tenants_in_mongo,
    tenants_in_postgres,
)
from tests.mutants import assert_goes_red

from prismicx.adapters.beanie import BeanieUnitOfWork
from prismicx.adapters.dedicated import DedicatedClients
from prismicx.adapters.sqlalchemy import SqlAlchemyUnitOfWork
from prismicx.adapters.sqlalchemy.database import Database
from prismicx.application.directory import TenantDirectory
from prismicx.domain.connections import ConnectionSecret, ConnectionSecrets, dedicated_address
from prismicx.domain.errors import PrismicxError, SecretNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.tenancy import DatabaseConfig
from prismicx.embedded import EmbeddedMongo
from prismicx.testing.databases import MongoServer, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widget, Widgets

Patch = pytest.MonkeyPatch
Served = Platform[Any]


class OnPostgres:
    """A platform on PostgreSQL with what its databases hold."""

    backend = "SqlAlchemyBackend"

    def __init__(self, platform: Served, shared: PostgresDatabase, own: dict[str, PostgresDatabase]) -> None:
        self.platform = platform
        self._shared = shared
        self._own = own

    async def shared(self) -> dict[str, int]:
        return await tenants_in_postgres(self._shared)

    async def own(self, name: str) -> dict[str, int]:
        return await tenants_in_postgres(self._own[name])

    def own_admin_dsn(self, name: str) -> str:
        return self._own[name].admin_dsn

    def add(self, name: str, database: PostgresDatabase) -> None:
        self._own[name] = database
        self.platform.secrets.add(name, postgres_secrets(database))


class OnMongo:
    """A platform on MongoDB with what its deployments hold."""

    backend = "BeanieBackend"

    def __init__(self, platform: Served, shared: str, own: dict[str, str]) -> None:
        self.platform = platform
        self._shared = shared
        self._own = own

    async def shared(self) -> dict[str, int]:
        return await tenants_in_mongo(self._shared)

    async def own(self, name: str) -> dict[str, int]:
        return await tenants_in_mongo(self._own[name])


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[OnPostgres]:
    shared = await prepared(prismicx_postgres_database)
    own = {"acme": await prismicx_postgres_database()}
    async with postgres_platform(shared, own, max_dedicated=1) as platform:
        yield OnPostgres(platform, shared, own)


@pytest.fixture
async def postgres_of_two(postgres: OnPostgres, prismicx_postgres_database: PostgresDatabases) -> OnPostgres:
    """The same, with a second dedicated database."""
    postgres.add("initech", await prismicx_postgres_database())
    return postgres


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with EmbeddedMongo() as server:
        yield server.uri


@pytest.fixture
async def mongo(prismicx_mongo_server: MongoServer, elsewhere: str) -> AsyncIterator[OnMongo]:
    own: dict[str, str] = {"acme": elsewhere, "initech": elsewhere}
    async with mongo_platform(prismicx_mongo_server, own, "dedicated_mutants", max_dedicated=1) as platform:
        yield OnMongo(platform, prismicx_mongo_server.uri, own)


@pytest.fixture(params=["postgres", "mongo"])
def served(request: pytest.FixtureRequest) -> OnPostgres | OnMongo:
    found: OnPostgres | OnMongo = request.getfixturevalue(request.param)
    return found


async def works(work: Awaitable[Any]) -> bool:
    """Tell whether it ends without an error of the framework."""
    try:
        await work
    except PrismicxError:
        return False
    return True


# --- Everything of a dedicated tenant is at its own address, and nothing of anybody else's. ---


@pytest.mark.control
async def test_everything_of_a_dedicated_tenant_is_at_its_own_address(served: OnPostgres | OnMongo) -> None:
    platform = served.platform
    await platform.create(ACME, connection="acme")
    await platform.create(GLOBEX)
    for tenant in (ACME, GLOBEX, ACME):
        assert await works(platform.store(tenant))

    assert await served.own("acme") == {"acme": 6}
    assert await served.shared() == {"globex": 3}


async def test_units_that_stay_where_others_are_on_postgres(postgres: OnPostgres, monkeypatch: Patch) -> None:
    monkeypatch.setattr(SqlAlchemyUnitOfWork, "_use", lambda self, client: None)
    await assert_goes_red(
        test_everything_of_a_dedicated_tenant_is_at_its_own_address, postgres, backend=postgres.backend
    )


async def test_units_that_stay_where_others_are_on_mongo(mongo: OnMongo, monkeypatch: Patch) -> None:
    monkeypatch.setattr(BeanieUnitOfWork, "_use", lambda self, client: None)
    await assert_goes_red(test_everything_of_a_dedicated_tenant_is_at_its_own_address, mongo, backend=mongo.backend)


async def test_a_directory_that_forgets_where_tenants_are(mongo: OnMongo, monkeypatch: Patch) -> None:
    admit = TenantDirectory.admit

    async def forgetful(self: TenantDirectory, tenant: TenantId) -> None:
        await admit(self, tenant)

    monkeypatch.setattr(TenantDirectory, "admit", forgetful)
    await assert_goes_red(test_everything_of_a_dedicated_tenant_is_at_its_own_address, mongo, backend=mongo.backend)


# --- Each connection has clients of its own, which nobody closes while they are in use. ---


@pytest.mark.control
async def test_each_connection_has_its_own_database(postgres_of_two: OnPostgres) -> None:
    platform = postgres_of_two.platform
    for tenant in (ACME, INITECH):
        await platform.create(tenant, connection=tenant.value)
    for tenant in (ACME, INITECH, ACME):
        assert await works(platform.store(tenant))

    assert [await postgres_of_two.own(name) for name in ("acme", "initech")] == [{"acme": 6}, {"initech": 3}]


async def test_one_client_for_all_connections(postgres_of_two: OnPostgres, monkeypatch: Patch) -> None:
    lease = DedicatedClients.lease
    asked: list[str] = []

    async def first_of_all(self: DedicatedClients[Any], connection: str) -> Any:
        asked.append(connection)
        return await lease(self, asked[0])

    monkeypatch.setattr(DedicatedClients, "lease", first_of_all)
    await assert_goes_red(test_each_connection_has_its_own_database, postgres_of_two, backend=postgres_of_two.backend)


@pytest.mark.control
async def test_a_client_in_use_stays_open(mongo: OnMongo) -> None:
    platform = mongo.platform
    for tenant in (ACME, INITECH):
        await platform.create(tenant, connection=tenant.value)

    async with platform.backend.unit_of_work(ACME) as unit:
        unit.repository(Widgets).add(Widget(name="of a long unit"))
        await platform.store(INITECH)
        assert await works(unit.commit())


async def test_clients_that_nobody_counts_the_users_of(mongo: OnMongo, monkeypatch: Patch) -> None:
    lease = DedicatedClients.lease

    async def not_held(self: DedicatedClients[Any], connection: str) -> Any:
        found = await lease(self, connection)
        assert found is not None
        found.release()
        return found

    monkeypatch.setattr(DedicatedClients, "lease", not_held)
    await assert_goes_red(test_a_client_in_use_stays_open, mongo, backend=mongo.backend)


# --- A dedicated database is opened only with its own address, and checked like the shared one. ---


@pytest.mark.control
async def test_a_missing_address_never_means_the_shared_one(postgres: OnPostgres) -> None:
    platform = postgres.platform
    await platform.create(GLOBEX)
    await platform.move(GLOBEX, DatabaseConfig.of(GLOBEX, connection="nowhere", dedicated=True))

    assert not await works(platform.store(GLOBEX))
    assert await postgres.shared() == {}


async def test_a_missing_address_that_means_the_shared_one(postgres: OnPostgres, monkeypatch: Patch) -> None:
    async def lenient(secrets: ConnectionSecrets, connection: str, secret: ConnectionSecret) -> SecretStr | None:
        try:
            return await dedicated_address(secrets, connection, secret)
        except SecretNotFoundError:
            return None

    monkeypatch.setattr("prismicx.adapters.sqlalchemy.dedicated.dedicated_address", lenient)
    await assert_goes_red(test_a_missing_address_never_means_the_shared_one, postgres, backend=postgres.backend)


@pytest.mark.control
async def test_the_owners_login_opens_no_units(postgres: OnPostgres) -> None:
    platform = postgres.platform
    await platform.create(ACME, connection="acme")
    platform.secrets.add("acme", {"postgres_dsn": postgres.own_admin_dsn("acme")})

    assert not await works(platform.store(ACME))


async def test_a_dedicated_database_that_is_opened_unchecked(postgres: OnPostgres, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Database, "start", lambda self: self.client.initialize())
    await assert_goes_red(test_the_owners_login_opens_no_units, postgres, backend=postgres.backend)
