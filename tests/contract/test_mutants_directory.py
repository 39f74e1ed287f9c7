"""Twins of the directory, on real servers: what lets nobody into a suspended tenant, and what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.adapters.sqlalchemy.wire import Wire
from tests.contract.opened import initialised_by_contracts, opened_mongo, postgres_backend
from tests.mutants import assert_goes_red

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.lone_statements import lent
from prismicx.application.directory import TenantDirectory
from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.refreshing import Refresher
from prismicx.domain.errors import PrismicxError, TenantNotActiveError
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.testing.databases import MongoServer, PostgresDatabases

Patch = pytest.MonkeyPatch
ACME = TenantId("acme")

PATIENCE = 5.0
"""Seconds for a push to come."""


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class WatchedDirectory(TenantDirectory):
    """A directory that says when it has read anew in the background."""

    _refreshes: asyncio.Queue[None]

    async def __aenter__(self) -> Self:
        self._refreshes = asyncio.Queue()
        return await super().__aenter__()

    async def refresh(self) -> None:
        await super().refresh()
        self._refreshes.put_nowait(None)

    async def refreshed(self, seconds: float) -> bool:
        """Wait until it has read anew once more; tell whether it has within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._refreshes.get()
        except TimeoutError:
            return False
        return True


class Two:
    """A service, and another process that changes its tenants: each with a backend of its own on one database."""

    def __init__(self, here: TrackedBackend, elsewhere: TrackedBackend) -> None:
        self.clock = Clock()
        self.here = here
        self.elsewhere = elsewhere
        self.tenants = TenantProvisioning(elsewhere, [])
        self.backend = type(here).__name__

    def directory(self, *, max_age: float) -> WatchedDirectory:
        return WatchedDirectory(lambda: self.here, max_age=max_age, clock=self.clock)

    async def create(self, tenant: TenantId = ACME) -> None:
        await self.tenants.create("Acme", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant)


@pytest.fixture(params=["postgres", "mongo"])
async def two(
    request: pytest.FixtureRequest, prismicx_postgres_database: PostgresDatabases, prismicx_mongo_server: MongoServer
) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        if request.param == "postgres":
            database = await prismicx_postgres_database("contracts", initialised_by_contracts)
            here, elsewhere = [await stack.enter_async_context(postgres_backend(database)) for _ in range(2)]
            found = Two(here, elsewhere)
        else:
            served = await stack.enter_async_context(opened_mongo(prismicx_mongo_server, "directory_mutants"))
            client = MongoDBClient(prismicx_mongo_server.uri, "directory_mutants")
            found = Two(served, await stack.enter_async_context(BeanieBackend(client, [])))
        await found.create()
        yield found


async def is_refused(directory: TenantDirectory) -> bool:
    try:
        await directory.admit(ACME)
    except TenantNotActiveError:
        return True
    return False


@pytest.mark.control
async def test_a_tenant_suspended_elsewhere_is_refused_within_the_age(two: Two) -> None:
    directory = two.directory(max_age=5.0)
    await directory.admit(ACME)
    await two.tenants.suspend(ACME)

    two.clock.now += 5.0
    assert await is_refused(directory)


async def test_a_snapshot_that_answers_for_ever(two: Two, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TenantDirectory, "_is_fresh", lambda self: self._read_at is not None)
    await assert_goes_red(test_a_tenant_suspended_elsewhere_is_refused_within_the_age, two, backend=two.backend)


@pytest.mark.control
async def test_a_push_counts_at_once(two: Two) -> None:
    async with two.directory(max_age=3600.0) as directory:
        await directory.admit(ACME)
        await directory.refreshed(10.0)  # whoever begins to listen reads once more
        await two.tenants.suspend(ACME)

        assert await directory.refreshed(PATIENCE)
        assert await is_refused(directory)


async def test_a_push_that_is_ignored(two: Two, monkeypatch: Patch) -> None:
    wake = Refresher._wake
    heard: list[Refresher] = []

    def wake_once(self: Refresher) -> None:
        if not heard:
            wake(self)
        heard.append(self)

    monkeypatch.setattr(Refresher, "_wake", wake_once)
    monkeypatch.setattr(f"{__name__}.PATIENCE", 0.2)
    await assert_goes_red(test_a_push_counts_at_once, two, backend=two.backend)


@pytest.mark.control
async def test_a_snapshot_that_is_too_old_admits_nobody(two: Two) -> None:
    directory = two.directory(max_age=5.0)
    await directory.admit(ACME)
    await two.here.close()
    two.clock.now += 4.9
    await directory.admit(ACME)
    two.clock.now += 0.1

    assert await is_out_of_reach(directory)


async def is_out_of_reach(directory: TenantDirectory) -> bool:
    """Tell whether nobody is admitted, because the registry does not answer."""
    try:
        await directory.admit(ACME)
    except PrismicxError as error:
        return not isinstance(error, TenantNotActiveError)
    return False


async def test_a_snapshot_that_answers_while_the_registry_does_not(two: Two, monkeypatch: Patch) -> None:
    read = TenantDirectory._read

    async def read_leniently(self: TenantDirectory) -> None:
        try:
            await read(self)
        except PrismicxError:
            self._failure = None

    monkeypatch.setattr(TenantDirectory, "_read", read_leniently)

    await assert_goes_red(test_a_snapshot_that_is_too_old_admits_nobody, two, backend=two.backend)


# --- Ten thousand tenants, read over a wire that counts. ---

MANY = 10_000

_MULTIPLY = """
INSERT INTO prismicx.tenants SELECT (jsonb_populate_record(t, jsonb_build_object(
    'id', gen_random_uuid(), 'tenant_id', 'many-' || number))).*
FROM prismicx.tenants t, generate_series(1, $1::int) AS number WHERE t.tenant_id = 'acme'"""


class Counted:
    """A directory over a registry of many tenants, and how many bytes the registry answered it."""

    backend = "SqlAlchemyBackend"

    def __init__(self, two: Two, wire: Wire) -> None:
        self.two = two
        self.wire = wire
        self.directory = two.directory(max_age=5.0)

    async def refusal_costs(self) -> tuple[int, int]:
        """Suspend a tenant elsewhere, and return the trips and bytes that it takes to refuse it afterwards."""
        await self.two.tenants.suspend(ACME)
        self.two.clock.now += 5.0
        before = self.wire.trips, self.wire.answered
        assert await is_refused(self.directory)
        return self.wire.trips - before[0], self.wire.answered - before[1]


@pytest.fixture
async def counted(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[Counted]:
    database = await prismicx_postgres_database("contracts", initialised_by_contracts)
    parts = urlsplit(database.admin_dsn)
    assert parts.hostname
    assert parts.port
    async with Wire(parts.hostname, parts.port) as wire, postgres_backend(database) as elsewhere:
        through = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"))
        client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, through))
        async with SqlAlchemyBackend(client, [], admin=admin) as here:
            found = Counted(Two(here, elsewhere), wire)
            await found.two.create()
            async with lent(elsewhere._admin) as connection:
                await connection.execute(_MULTIPLY, MANY)
            await found.directory.admit(TenantId(f"many-{MANY}"))
            yield found


@pytest.mark.control
async def test_a_refresh_reads_what_has_changed_of_ten_thousand(counted: Counted) -> None:
    trips, answered = await counted.refusal_costs()

    assert trips <= 4  # the revision, then the one tenant; each is prepared first where it was not
    assert answered < 2000


async def test_a_refresh_that_reads_everything(counted: Counted, monkeypatch: Patch) -> None:
    monkeypatch.setattr("prismicx.application.directory._WHOLE_AFTER", 0.0)
    await assert_goes_red(test_a_refresh_reads_what_has_changed_of_ten_thousand, counted, backend=counted.backend)
