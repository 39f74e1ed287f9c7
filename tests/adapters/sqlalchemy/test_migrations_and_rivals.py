"""Plugin scripts and whoever else is at work: the way back, rivals, locks that are taken, and statements that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME
from tests.adapters.sqlalchemy.test_migrations import CRM
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.migrations import SqlAlchemyPluginSchemas
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import (
    ChecksumMismatchError,
    DatabaseError,
    InvalidMigrationError,
    LeaseLostError,
    PluginInstallationError,
    TransactionConflictError,
)
from prismicx.domain.identifiers import Region, TenantId, Tier, Version
from prismicx.domain.installations import TenantPluginStatus
from prismicx.domain.plugins import PluginVersion, SchemaMigration
from prismicx.testing.databases import PostgresDatabase

ONE, TWO, THREE = Version("1.0.0"), Version("1.1.0"), Version("1.2.0")
FIRST = SchemaMigration(
    version_to=ONE,
    script="CREATE TABLE ${schema}.notes (id int PRIMARY KEY); CREATE SEQUENCE ${schema}.numbers;",
    down="DROP SEQUENCE ${schema}.numbers; DROP TABLE ${schema}.notes;",
)
SECOND = SchemaMigration(
    version_from=ONE,
    version_to=TWO,
    script="""
        ALTER TABLE ${schema}.notes ADD body text;
        CREATE INDEX notes_body ON ${schema}.notes (body);
        CREATE VIEW ${schema}.bodies WITH (security_invoker) AS SELECT body FROM ${schema}.notes;
    """,
    down="DROP VIEW ${schema}.bodies; ALTER TABLE ${schema}.notes DROP body;",
)
THIRD = SchemaMigration(
    version_from=TWO,
    version_to=THREE,
    script="""
        ALTER TABLE ${schema}.notes ADD stars int;
        CREATE TABLE ${schema}.stars (id int PRIMARY KEY);
    """,
    down="DROP TABLE ${schema}.stars; ALTER TABLE ${schema}.notes DROP stars;",
)
CHAIN = [FIRST, SECOND, THIRD]


async def relations(database: PostgresDatabase, schema: str = "tenant_acme_crm") -> list[str]:
    """Return the columns of all that scripts made in a schema."""
    async with superuser(database) as connection:
        rows = await connection.fetch(
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = $1 "
            "AND table_name IN ('notes', 'bodies', 'stars') ORDER BY 1",
            schema,
        )
        return [row[0] for row in rows]


async def test_down_scripts_lead_back_newest_first(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    schemas = backend.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", CHAIN, fence=1)

    await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1, back=CHAIN)

    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0"]
    assert await relations(database) == ["notes.id"]
    await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)
    await schemas.migrate(ACME, CRM, "desk", [], fence=1, back=CHAIN)
    assert await schemas.applied(ACME, CRM, "desk") == []
    assert await relations(database) == []


async def test_the_ledger_says_which_script_was_run_and_when(backend: SqlAlchemyBackend) -> None:
    await backend.plugin_schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)

    first, second = await backend.plugin_schemas.ledger(ACME, CRM, "desk")

    assert (first.version, first.checksum) == (ONE, FIRST.checksum)
    assert first.applied_at <= second.applied_at


async def test_without_a_way_back_nothing_is_run(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    schemas = backend.plugin_schemas
    one_way = SchemaMigration(version_from=ONE, version_to=TWO, script=SECOND.script)
    await schemas.migrate(ACME, CRM, "desk", [FIRST, one_way], fence=1)
    before = await relations(database)

    for back in ((), [FIRST, one_way]):
        with pytest.raises(InvalidMigrationError):
            await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1, back=back)
    with pytest.raises(ChecksumMismatchError):
        await schemas.migrate(
            ACME, CRM, "desk", [SchemaMigration(version_to=ONE, script="SELECT 1 -- ${schema}")], fence=1, back=CHAIN
        )

    assert await relations(database) == before
    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0", "1.1.0"]


async def test_a_down_script_that_fails_leaves_the_schema_as_it_was(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    schemas = backend.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)
    async with superuser(database) as connection:
        await connection.execute('CREATE VIEW public.theirs AS SELECT body FROM "tenant_acme_crm".bodies')
    before = await relations(database)

    with pytest.raises(DatabaseError):
        await schemas.migrate(ACME, CRM, "desk", [], fence=1, back=CHAIN)

    assert await relations(database) == before
    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0", "1.1.0"]


async def test_who_was_overtaken_runs_nothing(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    schemas = backend.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=7)

    with pytest.raises(LeaseLostError, match="plugin/acme/desk: fencing number 6 is outdated"):
        await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=6)
    await schemas.migrate(ACME, CRM, "other", [], fence=1)

    assert await relations(database) == ["notes.id"]


async def test_who_is_overtaken_while_it_waits_for_the_lock_runs_nothing(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    schemas = backend.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    async with scripts_locked(database):
        waiting = asyncio.create_task(schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=2))
        await until_somebody_waits(database)
        async with superuser(database) as connection:
            await connection.execute("UPDATE prismicx.fences SET fence = 3 WHERE subject = 'plugin/acme/desk'")

    with pytest.raises(LeaseLostError):
        await waiting

    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0"]


async def test_two_workers_do_not_run_scripts_of_one_schema_at_once(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    schemas = SqlAlchemyPluginSchemas(backend._provisioner, lock_timeout=0.05)
    async with scripts_locked(database):
        with pytest.raises(TransactionConflictError, match="55P03"):
            await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)

    await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0"]


async def test_a_lock_that_is_not_to_be_had_in_time_is_tried_for_again(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    tenant_id = await a_tenant(backend, "locked")
    service = PluginInstallation(backend, SqlAlchemyPluginSchemas(backend._provisioner, lock_timeout=0.05), pause=pause)
    await publish(service)
    await service.install(tenant_id, "desk", version=ONE)
    async with superuser(database) as reader:
        await reader.execute('BEGIN; LOCK TABLE "tenant_locked_crm".notes IN ACCESS SHARE MODE')
        waits.clear()
        released.clear()
        upgrading = asyncio.create_task(service.upgrade(tenant_id, "desk"))
        await released.wait()
        await reader.execute("ROLLBACK")

    assert (await upgrading).installed_version == THREE
    assert waits
    assert all(0 <= seconds <= 5 for seconds in waits)


waits: list[float] = []
released = asyncio.Event()


async def pause(seconds: float) -> None:
    """Take note of the wait, and let the test go on."""
    waits.append(seconds)
    released.set()
    await asyncio.sleep(0.02)


async def test_whichever_statement_fails_the_schema_stays_at_the_old_version(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    tenant_id = await a_tenant(backend, "broken")
    service = PluginInstallation(backend, backend.plugin_schemas)
    await publish(service)
    await service.install(tenant_id, "desk", version=ONE)
    before = await relations(database, "tenant_broken_crm")
    number, upgraded = 0, None
    async with failing_statements(database) as fail_at:
        while upgraded is None:
            number += 1
            await fail_at(number)
            try:
                upgraded = await (service.retry if number > 1 else service.upgrade)(tenant_id, "desk")
            except PluginInstallationError:
                (record,) = await service.list(tenant_id)
                assert (record.status, record.installed_version) == (TenantPluginStatus.FAILED, ONE)
                assert record.error_message == f"statement {number} fails"
                assert await relations(database, "tenant_broken_crm") == before
                assert await backend.plugin_schemas.applied(tenant_id, CRM, "desk") == ["1.0.0"]

    assert upgraded.installed_version == THREE
    assert number > 6, "every statement of both scripts failed once, and those that protect what they made"
    print(f"{number - 1} statements failed, one after the other")


@asynccontextmanager
async def failing_statements(database: PostgresDatabase) -> AsyncIterator[Any]:
    """Make the DDL statement of a given number, of each transaction of a schema's role, fail; 0 lets all pass."""
    async with superuser(database) as connection:
        await connection.execute("""
            CREATE TABLE public.failing (number int);
            INSERT INTO public.failing VALUES (0);
            CREATE FUNCTION public.fail() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE number int := coalesce(nullif(current_setting('test.number', true), '')::int, 0) + 1;
            BEGIN
                IF session_user LIKE '%crm%' THEN
                    PERFORM set_config('test.number', number::text, true);
                    IF number = (SELECT f.number FROM public.failing f) THEN
                        RAISE 'statement % fails', number;
                    END IF;
                END IF;
            END $$;
            CREATE EVENT TRIGGER failing ON ddl_command_start EXECUTE FUNCTION public.fail();
        """)

        async def fail_at(number: int) -> None:
            await connection.execute("UPDATE public.failing SET number = $1", number)

        try:
            yield fail_at
        finally:
            await connection.execute("DROP EVENT TRIGGER failing")


@asynccontextmanager
async def scripts_locked(database: PostgresDatabase) -> AsyncIterator[None]:
    """Hold the lock that a worker holds while it runs scripts of acme's schema."""
    async with superuser(database) as connection:
        await connection.execute("BEGIN")
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "prismicx scripts of tenant_acme_crm"
        )
        yield
        await connection.execute("ROLLBACK")


async def until_somebody_waits(database: PostgresDatabase) -> None:
    """Return once a session waits for an advisory lock."""
    connection: asyncpg.Connection = await asyncpg.connect(database.superuser_dsn)
    try:
        while not await connection.fetchval(  # noqa: ASYNC110  # the server tells nobody
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            await asyncio.sleep(0)
    finally:
        await connection.close()


async def a_tenant(backend: SqlAlchemyBackend, name: str) -> TenantId:
    tenant_id = TenantId(name)
    provisioning = TenantProvisioning(backend, [])
    await provisioning.create("One", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id, plugin_types=[])
    return tenant_id


async def publish(service: PluginInstallation) -> None:
    for migration in CHAIN:
        await service.publish("desk", CRM, PluginVersion(version=migration.version_to), migration)
