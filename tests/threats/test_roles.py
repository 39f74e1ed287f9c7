"""Roles: each that passes by the policies leaks, and the backend serves on none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tests.threats.attacking import attacked, leaks, refusal
from tests.threats.service import MAPPINGS, TABLES, Bare

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.errors import UnsafeRoleError
from prismicx.testing.databases import APPLICATION_ROLE, OWNER_ROLE, PostgresDatabase

PLAIN = "tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')"
OURS = "SELECT tenant_id, name FROM public.items"


@pytest.fixture
async def role(superuser: asyncpg.Connection, database: PostgresDatabase) -> AsyncIterator[str]:
    """A role of the test's own, with the application's rights."""
    name = f"threat_{database.name}"
    await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {APPLICATION_ROLE}")
    yield name
    await superuser.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def address_for(database: PostgresDatabase, role: str) -> str:
    parts = urlsplit(database.dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))


async def start_on(dsn: str) -> None:
    client = DatabaseClient.from_dsn(dsn, min_pool_size=1, max_pool_size=1)
    async with SqlAlchemyBackend(client, MAPPINGS, tables=TABLES):
        """It must not come this far."""


@pytest.mark.parametrize("power", ["SUPERUSER", "BYPASSRLS"])
async def test_a_role_that_passes_by_policies_reads_all_and_is_not_served_on(
    postgres: SqlAlchemyBackend, bare: Bare, database: PostgresDatabase, role: str, power: str
) -> None:
    await bare.make(f"ALTER ROLE {role} {power}")
    assert leaks(await bare.as_application(OURS, role=role))

    with pytest.raises(UnsafeRoleError):
        await start_on(address_for(database, role))


async def test_a_member_of_the_owner_takes_the_walls_down_and_is_not_served_on(
    postgres: SqlAlchemyBackend, bare: Bare, database: PostgresDatabase, role: str
) -> None:
    await bare.make(f"GRANT {OWNER_ROLE} TO {role}")
    assert leaks(await bare.as_application("ALTER TABLE public.items DISABLE ROW LEVEL SECURITY", OURS, role=role))

    with pytest.raises(UnsafeRoleError):
        await start_on(address_for(database, role))


async def test_the_owner_and_the_superuser_are_not_served_on(
    postgres: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    for dsn in (database.admin_dsn, database.superuser_dsn):
        with pytest.raises(UnsafeRoleError):
            await start_on(dsn)


async def test_a_role_for_each_tenant_is_left_as_easily_as_it_is_entered(
    postgres: SqlAlchemyBackend, bare: Bare, superuser: asyncpg.Connection, database: PostgresDatabase
) -> None:
    await bare.items(policy="current_user LIKE 'threat\\_' || tenant_id || '\\_%'")
    roles = [f"threat_{tenant}_{database.name[-12:]}" for tenant in ("acme", "globex")]
    login = f"threat_login_{database.name[-12:]}"
    try:
        for name in (*roles, login):
            await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        await superuser.execute(f"GRANT {', '.join(roles)} TO {login}")
        await superuser.execute(
            f"GRANT USAGE ON SCHEMA bare TO {', '.join(roles)}; GRANT SELECT ON bare.items TO {', '.join(roles)}"
        )
        connection = await asyncpg.connect(address_for(database, login))
        everything = "SELECT tenant_id, name FROM bare.items"
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {roles[0]}")
            assert not leaks(await connection.fetch(everything))
            await connection.execute(f"SELECT set_config('role', '{roles[1]}', true)")
            assert leaks(await connection.fetch(everything))
        await connection.close()
    finally:
        for name in (*roles, login):
            await superuser.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")

    assert await attacked(postgres, "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole") == [
        (0,)
    ]
    for other in (OWNER_ROLE, "postgres"):
        assert await refusal(postgres, f"SELECT set_config('role', '{other}', true)") == "42501"


async def test_the_application_may_do_four_things_and_no_more(postgres: SqlAlchemyBackend) -> None:
    granted = await attacked(
        postgres,
        "SELECT DISTINCT privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee = current_user AND table_schema <> 'bare' ORDER BY 1",
    )
    assert granted == [("DELETE",), ("INSERT",), ("SELECT",), ("UPDATE",)]

    for statement in (
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE ROLE mine",
        'CREATE TABLE "tenant_globex_crm".mine (id int)',
        "CREATE VIEW public.mine AS SELECT 1",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ):
        assert await refusal(postgres, statement) == "42501", statement
