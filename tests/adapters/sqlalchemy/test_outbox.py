"""The outbox on PostgreSQL: one more trip, in the order of commits, behind walls of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tests.adapters.sqlalchemy.wire import Wire
from tests.contract.outboxes import MAPPINGS, initialised_with_outbox, postgres_with_outbox

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof
from prismicx.domain.errors import ConnectionLostError, MappingError, UnsafeRoleError
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.testing.contracts.selling import Sold, kept, sell
from prismicx.testing.databases import APPLICATION_ROLE, SYSTEM_ROLE, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Widget, Widgets

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("outbox", initialised_with_outbox)


@pytest.fixture
async def backend(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with postgres_with_outbox(database, relay=True) as backend:
        yield backend


@pytest.mark.parametrize("proof", [None, TenantProof("k" * 32)], ids=["setting", "proof"])
async def test_events_cost_one_trip_and_no_events_none(
    prismicx_postgres_database: PostgresDatabases, proof: TenantProof | None
) -> None:
    database = await prismicx_postgres_database()
    parts = urlsplit(database.dsn)
    assert parts.hostname
    assert parts.port
    async with Wire(parts.hostname, parts.port) as wire:
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"
        through = DatabaseClient.from_dsn(urlunsplit(parts._replace(netloc=netloc)), min_pool_size=1, max_pool_size=1)
        admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
        backend = SqlAlchemyBackend(through, MAPPINGS, admin=admin, outbox=True, tenant_proof=proof)
        await backend.initialise_database()
        async with backend:
            for numbers, trips in (([1], 0), ([1], 4), (range(500), 4), ([], 3)):
                before = wire.trips
                await sell(backend, ACME, *numbers)
                assert trips in (0, wire.trips - before)  # the first time, statements are prepared


async def test_positions_follow_commits(backend: SqlAlchemyBackend) -> None:
    async with backend.unit_of_work(ACME) as early:
        early.repository(Widgets).add(widget := Widget())
        widget.record(Sold(number=1))
        await early.flush()
        await early._fill_outbox()
        late, elsewhere = asyncio.create_task(sell(backend, ACME, 2)), asyncio.create_task(sell(backend, GLOBEX, 3))
        await elsewhere
        done, _ = await asyncio.wait({late}, timeout=0.2)
        widget.take_events()
        await early.commit()
    await late

    assert not done
    assert await kept(backend, ACME) == [(1, 1), (2, 2)]


async def test_the_application_adds_to_its_own_tenants_outbox_and_reads_no_others(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await sell(backend, ACME, 1)
    await sell(backend, GLOBEX, 2)
    connection = await asyncpg.connect(database.dsn)

    async def seen(statement: str) -> object:
        async with connection.transaction():
            await connection.execute("SELECT prismicx.set_tenant('globex')")
            return await connection.fetchval(statement)

    try:
        for table in ("outbox", "outbox_heads"):
            assert await connection.fetchval(f"SELECT count(*) FROM prismicx.{table}") == 0
            assert await seen(f"SELECT string_agg(tenant_id, ',') FROM prismicx.{table}") == "globex"
        for refused in (
            "DELETE FROM prismicx.outbox",
            "UPDATE prismicx.outbox SET status = 'dead'",
            "DELETE FROM prismicx.outbox_heads",
            "SELECT count(*) FROM prismicx.outbox_claims",
            "INSERT INTO prismicx.outbox_heads VALUES ('acme-2', 9)",
            "INSERT INTO prismicx.outbox_heads VALUES ('(registry)', 9)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await seen(refused)
    finally:
        await connection.close()


async def test_the_relays_login_delivers_and_may_do_nothing_else(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await sell(backend, ACME, 1)
    connection = await asyncpg.connect(database.system_dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM prismicx.outbox") == 1
        for refused in (
            "UPDATE prismicx.outbox SET payload = '{}'",
            "INSERT INTO prismicx.outbox SELECT * FROM prismicx.outbox",
            "UPDATE prismicx.outbox_heads SET next = 1",
            "SELECT count(*) FROM public.widgets",
            "SELECT count(*) FROM prismicx.tenants",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(refused)
    finally:
        await connection.close()


async def test_work_over_all_tenants_stores_each_tenants_events(
    prismicx_postgres_database: PostgresDatabases,
) -> None:
    database = await prismicx_postgres_database()
    backend = postgres_with_outbox(database)
    await backend.initialise_database()
    async with backend:
        for tenant in (ACME, GLOBEX):
            await sell(backend, tenant, 1)

        async with backend.system_unit_of_work(reason="A test", actor="pytest", read_only=False) as system:
            for number, widget in enumerate(await system.repository(Widgets).list(), start=2):
                widget.amount += 1
                widget.record(Sold(number=number))
            await system.commit()

        assert [await kept(backend, tenant) for tenant in (ACME, GLOBEX)] == [[(1, 1), (2, 2)], [(1, 1), (2, 3)]]


async def test_an_audit_finds_nothing_in_what_is_made(backend: SqlAlchemyBackend) -> None:
    await sell(backend, ACME, 1)

    assert (await backend.audit(AuditScope())).findings == ()


@pytest.mark.parametrize(
    ("hole", "code"),
    [
        ("ALTER TABLE prismicx.outbox DISABLE ROW LEVEL SECURITY", "RLS_OFF"),
        ("ALTER POLICY prismicx_outbox ON prismicx.outbox TO prismicx_test_app", "POLICY_TRUE"),
        ("GRANT SELECT ON prismicx.outbox_claims TO prismicx_test_app", "REGISTRY_REACHABLE"),
    ],
)
async def test_an_audit_finds_a_hole_around_it(
    backend: SqlAlchemyBackend, database: PostgresDatabase, hole: str, code: str
) -> None:
    superuser = await asyncpg.connect(database.superuser_dsn)
    try:
        await superuser.execute(hole)
        assert code in {finding.code for finding in (await backend.audit(AuditScope())).findings}
    finally:
        await superuser.close()


async def test_an_application_that_can_become_the_relay_is_found_and_refused(
    prismicx_postgres_database: PostgresDatabases,
) -> None:
    database = await prismicx_postgres_database()
    application, relay = "prismicx_outbox_app", "prismicx_outbox_relay"  # its own: all databases share their roles
    dsn, system_dsn = (
        database.dsn.replace(APPLICATION_ROLE, application),
        database.system_dsn.replace(SYSTEM_ROLE, relay),
    )
    backend = postgres_with_outbox(replace(database, dsn=dsn, system_dsn=system_dsn), relay=True)
    superuser = await asyncpg.connect(database.superuser_dsn)
    try:
        await backend.initialise_database()
        await superuser.execute(f"GRANT {relay} TO {application}")

        assert "ROLE_MEMBER" in {finding.code for finding in (await backend.audit(AuditScope())).findings}
        with pytest.raises(UnsafeRoleError, match=relay):
            await backend.start()
    finally:
        for role in (application, relay):
            await superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await superuser.close()


async def test_a_backend_does_not_start_without_its_outbox(prismicx_postgres_database: PostgresDatabases) -> None:
    database = await prismicx_postgres_database()
    client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, database.admin_dsn))
    await SqlAlchemyBackend(client, MAPPINGS, admin=admin).initialise_database()

    with pytest.raises(MappingError, match="prismicx db init"):
        await postgres_with_outbox(database).start()


async def test_a_relays_login_that_is_the_applications_is_refused(database: PostgresDatabase) -> None:
    client, admin, relay = (
        DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, database.admin_dsn, database.dsn)
    )

    with pytest.raises(UnsafeRoleError, match="the relay's role"):
        await SqlAlchemyBackend(client, MAPPINGS, admin=admin, outbox=True, relay=relay).start()


async def test_the_owner_delivers_where_no_other_login_is_given(
    prismicx_postgres_database: PostgresDatabases,
) -> None:
    database = await prismicx_postgres_database()
    client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (database.dsn, database.admin_dsn))
    backend = SqlAlchemyBackend(client, MAPPINGS, admin=admin, outbox=True)
    await backend.initialise_database()
    await backend.initialise_database()
    async with backend:
        await sell(backend, ACME, 1)

        assert await kept(backend, ACME) == [(1, 1)]


async def test_a_connection_that_breaks_is_given_back_and_the_next_one_works(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await sell(backend, ACME, 1)
    superuser = await asyncpg.connect(database.superuser_dsn)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'prismicx_test_system'"
    try:
        await superuser.execute(f"{ended} AND datname = current_database()")
    finally:
        await superuser.close()

    with suppress(ConnectionLostError):  # unless the pool has heard of it before
        await kept(backend, ACME)

    assert await kept(backend, ACME) == [(1, 1)]
