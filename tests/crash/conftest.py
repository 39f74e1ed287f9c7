"""Where processes are killed: a database of each kind, and what has them killed."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient
from tests.contract.opened import initialised_by_contracts
from tests.crash import snapshots
from tests.crash.deeds import backend_at
from tests.crash.killing import Killing
from tests.crash.sites import Site
from tests.logins.platform import KEY, guarded_server

from prismicx.testing.databases import MongoServer, PostgresDatabases, PostgresServer


@pytest.fixture(scope="module")
async def killing() -> AsyncIterator[Killing]:
    async with Killing("tests.crash.mutants") as killing:
        yield killing


@pytest.fixture
async def postgres_site(prismicx_postgres_server: PostgresServer) -> AsyncIterator[Site]:
    databases = PostgresDatabases(prismicx_postgres_server)
    try:
        database = await databases("contracts", initialised_by_contracts)
        address = {"dsn": database.dsn, "admin_dsn": database.admin_dsn}
        async with backend_at(address) as backend:
            look = functools.partial(snapshots.of_postgres, database.superuser_dsn, backend)
            yield Site(address, backend, look, _at_once)
    finally:
        await databases.drop()


@pytest.fixture
async def mongo_site(prismicx_mongo_server: MongoServer) -> AsyncIterator[Site]:
    async with AsyncMongoClient[dict[str, object]](prismicx_mongo_server.uri) as driver:
        before = set(await driver.list_database_names())
        async with _site_on_mongo(driver, {"uri": prismicx_mongo_server.uri, "database": "crash"}) as site:
            yield site
        for made in set(await driver.list_database_names()) - before:
            await driver.drop_database(made)


@pytest.fixture
async def guarded_mongo_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A MongoDB with access control, on which each tenant has a user of its own."""
    with guarded_server(tmp_path) as uri:
        address = {"uri": uri, "database": "crash", "key": KEY}
        async with AsyncMongoClient[dict[str, object]](uri) as driver, _site_on_mongo(driver, address) as site:
            yield site


@asynccontextmanager
async def _site_on_mongo(
    driver: AsyncMongoClient[dict[str, object]], address: Mapping[str, str]
) -> AsyncIterator[Site]:
    async with backend_at(address) as backend:
        await backend.initialise_database()
        look = functools.partial(snapshots.of_mongo, address["uri"], address["database"], backend)
        # A transaction whose client was killed keeps its documents for up to a minute.
        yield Site(address, backend, look, lambda: driver.admin.command({"killAllSessions": []}))


@pytest.fixture(params=["postgres", "mongo", "guarded_mongo"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found


async def _at_once() -> None:
    """PostgreSQL ends a session whose client is gone as soon as it reads from or writes to it."""
