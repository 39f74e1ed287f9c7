"""The door to all tenants on PostgreSQL: what its login may do, what nobody else may, and when it stays shut."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from tests.contract.opened import initialised_by_contracts, postgres_backend

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyRepository, TenantProof
from prismicx.domain.errors import (
    PermissionDeniedError,
    SystemScopeUnavailableError,
    UnsupportedOperationError,
)
from prismicx.domain.findings import AuditScope
from prismicx.domain.holes import Hole
from prismicx.domain.identifiers import TenantId
from prismicx.domain.registry import SystemAccessRepository
from prismicx.domain.system_unit import SystemUnitOfWork
from prismicx.testing.contracts.working import store
from prismicx.testing.databases import OWNER_ROLE, SYSTEM_ROLE, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
RECORD = "INSERT INTO prismicx.system_accesses SELECT gen_random_uuid(), 1, 'mallory', 'none', 'x', true, now()"


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("contracts", initialised_by_contracts)


@pytest.fixture
async def backend(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    async with postgres_backend(database) as backend:
        yield backend


def opened(backend: SqlAlchemyBackend, *, read_only: bool = True) -> SystemUnitOfWork:
    return backend.system_unit_of_work(reason="a test", actor="ada", read_only=read_only)


async def run(dsn: str, *statements: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        status = ""
        for statement in statements:
            status = await connection.execute(statement)
    finally:
        await connection.close()
    return str(status)


async def refused_by(dsn: str, statement: str) -> bool:
    try:
        await run(dsn, statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_without_a_login_of_its_own_there_is_no_door(database: PostgresDatabase) -> None:
    backend = SqlAlchemyBackend(DatabaseClient.from_dsn(database.dsn, min_pool_size=1), EXAMPLE_MAPPINGS)

    with pytest.raises(SystemScopeUnavailableError) as refused:
        opened(backend)

    assert "PRISMICX_POSTGRES_SYSTEM_DSN" in str(refused.value)
    assert not [statement for statement in backend.setup_sql if "prismicx_system" in statement]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE prismicx.system_accesses SET actor = 'somebody else'",
        "DELETE FROM prismicx.system_accesses",
        "TRUNCATE prismicx.system_accesses",
        "ALTER TABLE prismicx.system_accesses ADD COLUMN x int",
        "INSERT INTO public.widgets SELECT * FROM public.widgets",
        "TRUNCATE public.widgets",
        "UPDATE prismicx.tenants SET name = 'x'",
        "DELETE FROM prismicx.tenants",
        "CREATE TABLE public.mine (id int)",
        "CREATE ROLE mallory",
        f"SET ROLE {OWNER_ROLE}",
    ],
)
async def test_the_systems_login_can_do_no_more_than_its_work(
    backend: SqlAlchemyBackend, database: PostgresDatabase, statement: str
) -> None:
    assert await refused_by(database.system_dsn, statement)


async def test_the_systems_login_can_add_to_the_record(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    assert await run(database.system_dsn, RECORD) == "INSERT 0 1"


@pytest.mark.parametrize("statement", ["SELECT * FROM prismicx.system_accesses", RECORD, f"SET ROLE {SYSTEM_ROLE}"])
async def test_the_applications_login_does_not_reach_the_record(
    backend: SqlAlchemyBackend, database: PostgresDatabase, statement: str
) -> None:
    assert await refused_by(database.dsn, statement)


async def test_the_applications_policy_is_as_strict_as_before(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await store(backend, ACME, Widget())
    await store(backend, GLOBEX, Widget())

    connection = await asyncpg.connect(database.dsn)
    try:
        without = await connection.fetchval("SELECT count(*) FROM widgets")
        async with connection.transaction():
            await connection.execute("SELECT prismicx.set_tenant('acme')")
            seen = await connection.fetch("SELECT DISTINCT tenant_id FROM widgets")
            changed = await connection.execute("UPDATE widgets SET name = 'mine'")
    finally:
        await connection.close()

    assert without == 0
    assert [row[0] for row in seen] == ["acme"]
    assert changed == "UPDATE 1"


async def test_a_tenant_can_change_no_rows_tenant_by_the_systems_policy(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await store(backend, ACME, Widget())
    steal = "UPDATE widgets SET tenant_id = 'globex'"

    assert await refused_by(database.dsn, f"BEGIN; SELECT prismicx.set_tenant('acme'); {steal}")


async def test_read_only_is_what_the_database_is_told(backend: SqlAlchemyBackend) -> None:
    for read_only, word in ((True, "on"), (False, "off")):
        async with opened(backend, read_only=read_only) as uow:
            (row,) = await uow.transaction.fetch("SHOW transaction_read_only", ())  # type: ignore[attr-defined]  # the adapter's own

            assert row[0] == word


async def test_the_record_is_committed_before_the_unit_begins(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    """No record, no unit: where it cannot be written, nothing is read."""
    await run(database.admin_dsn, f"REVOKE INSERT ON prismicx.system_accesses FROM {SYSTEM_ROLE}")

    unit = opened(backend)
    with pytest.raises(PermissionDeniedError):
        async with unit:
            pytest.fail("it must not open")

    await run(database.admin_dsn, f"GRANT INSERT ON prismicx.system_accesses TO {SYSTEM_ROLE}")
    async with opened(backend) as uow:
        assert len(await uow.repository(SystemAccessRepository).list()) == 1


class SqlWidgets(Widgets, SqlAlchemyRepository[Widget]):
    """A team's own repository, with SQL."""

    async def by_sql(self) -> list[Widget]:
        return await self.entities(select(self.table))


async def test_a_teams_own_sql_is_refused_and_its_other_queries_are_not(database: PostgresDatabase) -> None:
    backend = SqlAlchemyBackend(
        DatabaseClient.from_dsn(database.dsn, min_pool_size=1),
        EXAMPLE_MAPPINGS,
        admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1),
        system=DatabaseClient.from_dsn(database.system_dsn, min_pool_size=1),
        repositories={Widgets: SqlWidgets},
    )
    async with backend:
        widget = Widget(code="own")
        await store(backend, ACME, widget)
        async with opened(backend) as uow:
            widgets = uow.repository(Widgets)
            assert isinstance(widgets, SqlWidgets)
            assert await widgets.by_code("own") is not None
            with pytest.raises(UnsupportedOperationError):
                _ = widgets.session
            with pytest.raises(UnsupportedOperationError):
                await widgets.by_sql()


# --- Preparing the database, and auditing it. ---


async def test_preparing_makes_the_role_with_its_password(prismicx_postgres_database: PostgresDatabases) -> None:
    database = await prismicx_postgres_database()
    login = "prismicx_made_system"
    dsn = database.system_dsn.replace(SYSTEM_ROLE, login)
    backend = SqlAlchemyBackend(
        DatabaseClient.from_dsn(database.dsn, min_pool_size=1),
        EXAMPLE_MAPPINGS,
        admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1),
        system=DatabaseClient.from_dsn(dsn, min_pool_size=1),
    )
    try:
        for _ in range(2):
            await backend.initialise_database()
        async with backend, opened(backend) as uow:
            assert await uow.repository(Widgets).count() == 0
    finally:
        await run(database.superuser_dsn, f"DROP OWNED BY {login}", f"DROP ROLE {login}")


async def test_the_audit_knows_the_systems_role_and_no_other(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    sound = await backend.audit(AuditScope())
    await run(database.admin_dsn, f"ALTER POLICY prismicx_system ON widgets TO {SYSTEM_ROLE}, {OWNER_ROLE}")
    widened = await backend.audit(AuditScope())

    assert sound.findings == ()
    assert {found.hole for found in widened.findings} == {Hole.POLICY_OTHER_ROLE}


async def test_it_works_beside_the_proof_of_tenant(prismicx_postgres_database: PostgresDatabases) -> None:
    database = await prismicx_postgres_database()
    backend = SqlAlchemyBackend(
        DatabaseClient.from_dsn(database.dsn, min_pool_size=1),
        EXAMPLE_MAPPINGS,
        admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1),
        system=DatabaseClient.from_dsn(database.system_dsn, min_pool_size=1),
        tenant_proof=TenantProof.parse(SecretStr("a-key-of-the-tests-that-is-long-enough")),
    )
    await backend.initialise_database()
    async with backend:
        for tenant in (ACME, GLOBEX):
            await store(backend, tenant, Widget(name="before"))
        async with opened(backend, read_only=False) as uow:
            for widget in await uow.repository(Widgets).list():
                widget.name = f"after, of {widget.tenant}"
            await uow.commit()
        async with opened(backend) as uow:
            names = {widget.name for widget in await uow.repository(Widgets).list()}

    assert names == {"after, of acme", "after, of globex"}
