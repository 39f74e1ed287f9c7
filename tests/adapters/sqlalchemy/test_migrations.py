"""Plugin scripts: all or none, in one schema and nowhere else."""

from __future__ import annotations

import asyncio

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork, raw_sql
from prismicx.domain.errors import (
    ChecksumMismatchError,
    ConstraintViolationError,
    DatabaseError,
    PermissionDeniedError,
)
from prismicx.domain.identifiers import PluginType, TenantId, Version, schema_role_name
from prismicx.domain.plugins import SchemaMigration
from prismicx.testing.databases import PostgresDatabase

CRM = PluginType("crm")

FIRST = SchemaMigration(
    version_to=Version("1.0.0"),
    script="""
        -- Several statements; a semicolon in a body; a table without a tenant, and one with.
        CREATE TABLE ${schema}.notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
        CREATE TABLE ${schema}.items (tenant_id text NOT NULL, id int, PRIMARY KEY (tenant_id, id));
        CREATE TABLE ${schema}.counters (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, serial_number serial);
        CREATE VIEW ${schema}.bodies WITH (security_invoker) AS SELECT body FROM ${schema}.notes;
        DO $$ BEGIN INSERT INTO ${schema}.notes (body) VALUES ('${schema}'); END $$;
    """,
)
SECOND = SchemaMigration(
    version_from=Version("1.0.0"),
    version_to=Version("1.1.0"),
    script="ALTER TABLE ${schema}.notes ADD COLUMN stars int; UPDATE ${schema}.notes SET stars = 5;",
)


def then(script: str) -> SchemaMigration:
    """Return a script that comes after the second."""
    return SchemaMigration(version_from=Version("1.1.0"), version_to=Version("2.0.0"), script=script)


async def rows(backend: SqlAlchemyBackend, tenant: TenantId, query: str) -> list[tuple[object, ...]]:
    unit = backend.unit_of_work(tenant)
    assert isinstance(unit, SqlAlchemyUnitOfWork)
    async with unit as uow:
        return [tuple(row) for row in (await uow.session.execute(raw_sql(query))).all()]


async def test_scripts_run_once_in_order_and_are_recorded(backend: SqlAlchemyBackend) -> None:
    schemas = backend.plugin_schemas
    assert await schemas.applied(ACME, CRM, "desk") == []
    await schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)

    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0", "1.1.0"]
    assert await schemas.applied(ACME, CRM, "another") == []
    assert await schemas.applied(GLOBEX, CRM, "desk") == []
    assert await rows(backend, ACME, 'SELECT body, stars FROM "tenant_acme_crm".notes') == [('"tenant_acme_crm"', 5)]
    assert await rows(backend, ACME, 'SELECT * FROM "tenant_acme_crm".bodies') == [('"tenant_acme_crm"',)]


async def test_a_schema_that_is_missing_is_made_first(backend: SqlAlchemyBackend) -> None:
    await backend.plugin_schemas.migrate(TenantId("initech"), PluginType("sales"), "desk", [FIRST], fence=1)

    assert await rows(backend, TenantId("initech"), 'SELECT count(*) FROM "tenant_initech_sales".notes') == [(1,)]


async def test_several_at_once_run_each_script_once(backend: SqlAlchemyBackend) -> None:
    schemas = backend.plugin_schemas
    await asyncio.gather(*(schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1) for _ in range(4)))

    assert await rows(backend, ACME, 'SELECT count(*) FROM "tenant_acme_crm".notes') == [(1,)]


async def test_another_tenant_sees_nothing_of_what_a_script_made(backend: SqlAlchemyBackend) -> None:
    await backend.plugin_schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    for table in ("notes", "bodies", "items", "prismicx_migrations"):
        assert await rows(backend, GLOBEX, f'SELECT * FROM "tenant_acme_crm".{table}') == []

    async with backend.unit_of_work(GLOBEX) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        with pytest.raises(PermissionDeniedError):
            await uow.transaction.execute("""INSERT INTO "tenant_acme_crm".notes (body) VALUES ('theirs')""")


async def test_the_application_does_not_write_the_ledger(backend: SqlAlchemyBackend) -> None:
    await backend.plugin_schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)

    async with backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        with pytest.raises(PermissionDeniedError):
            await uow.transaction.execute('DELETE FROM "tenant_acme_crm".prismicx_migrations')


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("CREATE TABLE ${schema}.half (id int); COMMIT; SELECT 1 / 0", DatabaseError),
        ("CREATE TABLE ${schema}.half (id int); ROLLBACK", DatabaseError),
        ("CREATE TABLE ${schema}.half (id int); BEGIN", DatabaseError),
        ("CREATE TABLE ${schema}.half (id int); DO $$ BEGIN COMMIT; END $$", DatabaseError),
        ("CREATE TABLE ${schema}.half (id int); SELECT 1 / 0", DatabaseError),
        (
            "CREATE TABLE ${schema}.half (id int); INSERT INTO ${schema}.notes VALUES (DEFAULT)",
            ConstraintViolationError,
        ),
        ("CREATE TABLE ${schema}.half (id int); RESET ROLE; DROP TABLE public.widgets", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); SET ROLE postgres", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); SET SESSION AUTHORIZATION postgres", PermissionDeniedError),
        ('CREATE TABLE ${schema}.half (id int); CREATE TABLE "tenant_globex_crm".mine (id int)', PermissionDeniedError),
        ('CREATE TABLE ${schema}.half (id int); TABLE "tenant_globex_crm".gadgets', PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); SELECT count(*) FROM public.widgets", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); SELECT count(*) FROM prismicx.tenants", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); CREATE TABLE public.mine (id int)", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); CREATE TEMP TABLE mine (id int)", PermissionDeniedError),
        ("CREATE TABLE ${schema}.half (id int); CREATE ROLE mine", PermissionDeniedError),
    ],
)
async def test_a_script_that_fails_or_reaches_beyond_leaves_the_schema_as_it_was(
    backend: SqlAlchemyBackend, database: PostgresDatabase, script: str, error: type[Exception]
) -> None:
    schemas = backend.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)
    with pytest.raises(error):
        await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND, then(script)], fence=1)

    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0", "1.1.0"]
    async with superuser(database) as connection:
        assert await connection.fetchval("SELECT to_regclass('tenant_acme_crm.half')") is None


async def test_an_applied_script_never_changes(backend: SqlAlchemyBackend) -> None:
    await backend.plugin_schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    changed = SchemaMigration(version_to=FIRST.version_to, script="SELECT 1 -- ${schema}")

    with pytest.raises(ChecksumMismatchError):
        await backend.plugin_schemas.migrate(ACME, CRM, "desk", [changed], fence=1)


async def test_nobody_can_log_in_as_a_schemas_role(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    await backend.plugin_schemas.migrate(ACME, CRM, "desk", [FIRST], fence=1)
    role = schema_role_name(database.name, "tenant_acme_crm")

    async with superuser(database) as connection:
        found = await connection.fetchrow(
            "SELECT rolcanlogin, rolpassword, rolsuper FROM pg_authid WHERE rolname = $1", role
        )
        assert tuple(found) == (False, None, False)


async def test_postgresql_15_runs_them_too(backend15: SqlAlchemyBackend) -> None:
    schemas = backend15.plugin_schemas
    await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND], fence=1)
    with pytest.raises(DatabaseError):
        await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND, then("DROP TABLE ${schema}.notes; COMMIT")], fence=1)
    with pytest.raises(PermissionDeniedError):
        await schemas.migrate(ACME, CRM, "desk", [FIRST, SECOND, then("TABLE public.widgets -- ${schema}")], fence=1)

    assert await schemas.applied(ACME, CRM, "desk") == ["1.0.0", "1.1.0"]
