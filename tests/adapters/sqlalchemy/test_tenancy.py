"""What `prismicx db init` makes, and the roles that may not serve tenants."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME, backend_on, login, prepare

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.errors import DatabaseError, MappingError, PermissionDeniedError, UnsafeRoleError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets


@asynccontextmanager
async def superuser(database: PostgresDatabase) -> AsyncIterator[Connection]:
    client = DatabaseClient.from_dsn(database.superuser_dsn, min_pool_size=1)
    connection = await client.connect()
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def empty(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database()


async def test_it_can_be_run_again_and_by_several_at_once(empty: PostgresDatabase) -> None:
    await asyncio.gather(*(prepare(empty) for _ in range(4)))
    await prepare(empty)

    async with backend_on(empty) as backend, backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 0


async def test_the_sql_can_be_read_and_holds_no_password(empty: PostgresDatabase) -> None:
    backend = backend_on(empty)
    _, password = login(empty.dsn)

    assert any("FORCE ROW LEVEL SECURITY" in statement for statement in backend.setup_sql)
    assert all(password not in statement for statement in backend.setup_sql)


async def test_a_role_that_is_missing_is_made_with_the_clients_password(empty: PostgresDatabase) -> None:
    role = f"prismicx_test_{secrets.token_hex(4)}"
    reference = backend_on(empty)
    client = DatabaseClient.from_dsn(empty.dsn.replace(login(empty.dsn)[0], role), min_pool_size=1)
    admin = DatabaseClient.from_dsn(empty.admin_dsn, min_pool_size=1)
    backend = SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin)
    await backend.initialise_database()
    async with backend, backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(Widget())
        await uow.commit()

    async with superuser(empty) as connection:
        stored = await connection.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
        assert stored.startswith("SCRAM-SHA-256$")
        await connection.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
    assert reference.setup_sql


async def test_a_database_that_was_not_prepared_says_what_to_run(empty: PostgresDatabase) -> None:
    with pytest.raises(DatabaseError, match="run `prismicx db init`"):
        await backend_on(empty).start()


async def test_the_owner_cannot_serve_tenants(database: PostgresDatabase) -> None:
    owner = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)

    with pytest.raises(UnsafeRoleError, match=r"it owns .*widgets") as caught:
        await SqlAlchemyBackend(owner, EXAMPLE_MAPPINGS).start()
    assert any("CREATEROLE" in reason for reason in caught.value.reasons)


async def test_a_superuser_cannot_serve_tenants(database: PostgresDatabase) -> None:
    root = DatabaseClient.from_dsn(database.superuser_dsn, min_pool_size=1)

    with pytest.raises(UnsafeRoleError, match="it is a superuser; it has BYPASSRLS"):
        await SqlAlchemyBackend(root, EXAMPLE_MAPPINGS).start()


async def test_a_member_of_a_powerful_role_cannot_serve_tenants(database: PostgresDatabase) -> None:
    application, password = login(database.dsn)
    member, power = (f"prismicx_test_{secrets.token_hex(4)}" for _ in range(2))
    client = DatabaseClient.from_dsn(database.dsn.replace(application, member), min_pool_size=1)
    async with superuser(database) as connection:
        await connection.execute(f"CREATE ROLE {power} BYPASSRLS")
        await connection.execute(f"CREATE ROLE {member} LOGIN NOINHERIT PASSWORD '{password}' IN ROLE {power}")
        with pytest.raises(UnsafeRoleError, match=f"it is a member of {power}"):
            await SqlAlchemyBackend(client, EXAMPLE_MAPPINGS).start()
        await connection.execute(f"DROP ROLE {member}; DROP ROLE {power}")


async def test_everything_that_is_missing_of_a_table_is_said_at_start(database: PostgresDatabase) -> None:
    async with superuser(database) as connection:
        await connection.execute("ALTER TABLE widgets DROP COLUMN grade")
        await connection.execute("ALTER TABLE widgets NO FORCE ROW LEVEL SECURITY")
        await connection.execute("DROP POLICY prismicx_tenant ON widgets")
        await connection.execute(f'REVOKE DELETE ON widgets FROM "{login(database.dsn)[0]}"')
        with pytest.raises(MappingError) as caught:
            await backend_on(database).start()
        assert len(caught.value.problems) == 4

        await connection.execute("DROP TABLE widgets")
    with pytest.raises(MappingError, match=r"there is no table public\.widgets"):
        await backend_on(database).start()


async def test_a_dropped_policy_shows_nothing_and_takes_nothing(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with superuser(database) as connection:
        await connection.execute("DROP POLICY prismicx_tenant ON widgets")

    async with backend.unit_of_work(TenantId("acme")) as uow:
        uow.repository(Widgets).add(Widget())
        with pytest.raises(PermissionDeniedError):
            await uow.commit()


async def test_default_privileges_do_not_let_the_application_empty_a_table_that_all_tenants_share(
    empty: PostgresDatabase,
) -> None:
    application, _ = login(empty.dsn)
    owner = await DatabaseClient.from_dsn(empty.admin_dsn).connect()
    for rights in ("SELECT ON TABLES TO PUBLIC", f'ALL ON TABLES TO "{application}"'):
        await owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT {rights}")
    await owner.close()
    await prepare(empty)
    await prepare(empty)

    async with backend_on(empty) as backend:
        async with backend._client.connection() as connection:
            held = {name: sorted(rights) for name, rights in await connection.fetch(_RIGHTS)}
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("TRUNCATE widgets")
        async with backend.unit_of_work(ACME) as uow:
            uow.repository(Widgets).add(Widget())
            await uow.commit()
    everything = ["DELETE", "INSERT", "SELECT", "UPDATE"]
    assert held == {"prismicx_applied_units": everything, "widgets": everything}


_RIGHTS = """
SELECT c.oid::regclass::text, array_agg(held.privilege_type)
FROM pg_class c CROSS JOIN aclexplode(c.relacl) held
WHERE c.relnamespace IN ('public'::regnamespace, 'prismicx'::regnamespace) AND c.relkind = 'r'
AND held.grantee IN (0, current_user::regrole) GROUP BY c.oid"""
