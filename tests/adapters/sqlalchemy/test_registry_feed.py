"""The registry's feed on PostgreSQL: a connection of its own that listens, and a revision that one message reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tests.adapters.sqlalchemy.wire import Wire

from prismicx.adapters.logged_refresh import LoggedRefresh
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, registry_feed
from prismicx.application.directory import TenantDirectory
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import ConnectionLostError, TenantNotActiveError
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.registry_feed import REMEMBERED_CHANGES
from prismicx.testing.databases import PostgresDatabase

ACME = TenantId("acme")


class Heard(LoggedRefresh):
    """Hears what goes wrong, and lets tests wait for it."""

    def __init__(self) -> None:
        self.silences: asyncio.Queue[Exception] = asyncio.Queue()
        self.failures: asyncio.Queue[Exception] = asyncio.Queue()

    def not_refreshed(self, error: Exception) -> None:
        super().not_refreshed(error)
        self.failures.put_nowait(error)

    def not_listening(self, error: Exception, *, wait: float) -> None:
        super().not_listening(error, wait=wait)
        self.silences.put_nowait(error)


class Directory(TenantDirectory):
    """A directory that says when it has read anew in the background."""

    refreshes: asyncio.Queue[None]

    async def refresh(self) -> None:
        await super().refresh()
        self.refreshes.put_nowait(None)


@pytest.fixture
async def backend(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, database.admin_dsn))
    backend = SqlAlchemyBackend(client, [], admin=admin)
    await backend.initialise_database()
    async with backend:
        tenants = TenantProvisioning(backend, [])
        await tenants.create("Acme", region=Region("eu"), tier=Tier("standard"), tenant_id=ACME)
        yield backend


def directory_of(backend: SqlAlchemyBackend, heard: Heard) -> Directory:
    directory = Directory(lambda: backend, max_age=3600.0, observer=heard)
    directory.refreshes = asyncio.Queue()
    return directory


async def run(dsn: str, sql: str, *values: Any) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql, *values)
    finally:
        await connection.close()


_LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN \"prismicx_tenants\"'"


async def test_a_killed_connection_listens_again(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    heard = Heard()
    async with asyncio.timeout(30), directory_of(backend, heard) as directory:
        await directory.admit(ACME)
        await directory.refreshes.get()
        killed = await run(database.superuser_dsn, f"SELECT count(pg_terminate_backend(pid)) {_LISTENERS}")
        await directory.refreshes.get()  # what was changed meanwhile is read once it listens again
        await TenantProvisioning(backend, []).suspend(ACME)
        await directory.refreshes.get()

        assert killed == 1
        assert isinstance(heard.silences.get_nowait(), ConnectionLostError)
        with pytest.raises(TenantNotActiveError):
            await directory.admit(ACME)


async def test_leaving_ends_both_tasks_and_the_connection(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    before = asyncio.all_tasks()
    async with directory_of(backend, Heard()) as directory:
        assert asyncio.all_tasks() == before
        await directory.admit(ACME)
        await directory.refreshes.get()
        assert len(asyncio.all_tasks() - before) == 2

    assert asyncio.all_tasks() == before
    async with asyncio.timeout(10):
        while await run(database.superuser_dsn, f"SELECT count(*) {_LISTENERS}"):
            pass


async def test_a_connection_that_says_nothing_any_more_is_noticed(
    backend: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_feed, "_PING_AFTER", 0.02)
    async with wired(database.admin_dsn) as (wire, through):
        client = DatabaseClient.from_dsn(through)
        wire.cut_before = b"SELECT 1"

        with pytest.raises(ConnectionLostError):
            await registry_feed.SqlAlchemyRegistryFeed(client).listen(lambda: None)


async def test_nobody_listens_behind_a_transaction_pooler(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.admin_dsn, pooler="transaction")
    calls: list[None] = []

    await registry_feed.SqlAlchemyRegistryFeed(client).listen(lambda: calls.append(None))

    assert not calls


@asynccontextmanager
async def wired(dsn: str) -> AsyncIterator[tuple[Wire, str]]:
    """Yield a wire to the address, and the address through it."""
    parts = urlsplit(dsn)
    assert parts.hostname
    assert parts.port
    async with Wire(parts.hostname, parts.port) as wire:
        yield wire, urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"))


async def test_opening_a_unit_asks_the_registry_nothing_and_a_refresh_is_one_trip(database: PostgresDatabase) -> None:
    async with wired(database.admin_dsn) as (wire, through):
        client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, through))
        directory = TenantDirectory(lambda: served, max_age=3600.0)
        served = SqlAlchemyBackend(client, [], admin=admin, admission=directory)
        await served.initialise_database()
        async with served:
            await directory.refresh()  # nobody has changed anything yet
            tenants = TenantProvisioning(served, [])
            await tenants.create("Acme", region=Region("eu"), tier=Tier("standard"), tenant_id=ACME)
            for _ in range(2):  # the second one finds its statement prepared
                await directory.refresh()
            before = wire.trips
            for _ in range(5):
                async with served.unit_of_work(ACME) as unit:
                    await unit.commit()
            opened = wire.trips
            await directory.refresh()

            assert (opened - before, wire.trips - opened) == (0, 1)


async def test_who_has_missed_more_than_is_remembered_reads_everything(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    known = (await backend.registry_feed.read(None)).revision
    names = [f"tenant-{number}" for number in range(REMEMBERED_CHANGES)]
    await run(database.superuser_dsn, registry_feed.ANNOUNCE, names)

    at_its_end = await backend.registry_feed.read(known)
    await run(database.superuser_dsn, registry_feed.ANNOUNCE, names[:1])
    behind = await backend.registry_feed.read(known)

    assert (at_its_end.is_whole, len(at_its_end.standings)) == (False, REMEMBERED_CHANGES)
    assert (behind.is_whole, set(behind.standings)) == (True, {ACME})


async def test_a_refresh_that_fails_is_heard_of_and_tried_again(backend: SqlAlchemyBackend) -> None:
    heard = Heard()
    directory = Directory(lambda: backend, max_age=0.08, observer=heard)
    directory.refreshes = asyncio.Queue()
    async with asyncio.timeout(30), directory:
        await directory.admit(ACME)
        await backend.close()
        await heard.failures.get()
        await heard.failures.get()
        await backend.start()
        await directory.refreshes.get()
