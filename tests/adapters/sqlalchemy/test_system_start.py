"""When a backend does not start for want of a sound login for work over all tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.adapters.sqlalchemy.test_system import run
from tests.contract.opened import initialised_by_contracts, postgres_backend

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.errors import (
    DatabaseUnavailableError,
    MappingError,
    UnsafeRoleError,
)
from prismicx.domain.findings import AuditScope
from prismicx.domain.holes import Hole
from prismicx.testing.databases import APPLICATION_ROLE, SYSTEM_ROLE, PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS


@pytest.fixture
async def database(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database("contracts", initialised_by_contracts)


async def starting_is_refused(database: PostgresDatabase, *, system: str) -> UnsafeRoleError:
    backend = SqlAlchemyBackend(
        DatabaseClient.from_dsn(database.dsn, min_pool_size=1),
        EXAMPLE_MAPPINGS,
        admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1),
        system=DatabaseClient.from_dsn(system, min_pool_size=1),
    )
    with pytest.raises(UnsafeRoleError) as refused:
        await backend.start()
    return refused.value


async def test_the_applications_login_is_not_the_systems(database: PostgresDatabase) -> None:
    refused = await starting_is_refused(database, system=database.dsn)

    assert refused.role == APPLICATION_ROLE


@pytest.mark.parametrize("login", ["superuser_dsn", "admin_dsn"])
async def test_neither_a_superuser_nor_the_owner_is_the_systems_login(database: PostgresDatabase, login: str) -> None:
    await starting_is_refused(database, system=getattr(database, login))


@pytest.fixture
async def mighty(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend whose application's role is a member of the system's; both are this test's own."""
    database = await prismicx_postgres_database()
    application, system = "prismicx_mighty_app", "prismicx_mighty_system"
    logins = [database.dsn.replace(APPLICATION_ROLE, application), database.system_dsn.replace(SYSTEM_ROLE, system)]
    client, beyond = (DatabaseClient.from_dsn(login, min_pool_size=1) for login in logins)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    backend = SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, system=beyond)
    try:
        await backend.initialise_database()
        await run(database.superuser_dsn, f"GRANT {system} TO {application}")
        yield backend
    finally:
        for role in (application, system):
            await run(database.superuser_dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_the_applications_role_must_not_become_the_systems(mighty: SqlAlchemyBackend) -> None:
    with pytest.raises(UnsafeRoleError) as refused:
        await mighty.start()

    assert refused.value.role == "prismicx_mighty_app"


async def test_the_audit_finds_an_application_that_can_become_the_system(mighty: SqlAlchemyBackend) -> None:
    assert Hole.ROLE_MEMBER in {found.hole for found in (await mighty.audit(AuditScope())).findings}


@pytest.mark.parametrize("right", ["DELETE", "UPDATE (reason)", "TRUNCATE"])
async def test_a_system_that_could_rewrite_the_record_is_refused(database: PostgresDatabase, right: str) -> None:
    await run(database.admin_dsn, f"GRANT {right} ON prismicx.system_accesses TO {SYSTEM_ROLE}")

    refused = await starting_is_refused(database, system=database.system_dsn)

    assert refused.reasons == ("it could rewrite the record of accesses",)


@pytest.mark.parametrize(
    "missing",
    [
        "DROP POLICY prismicx_system ON public.widgets",
        f"REVOKE DELETE ON public.widgets FROM {SYSTEM_ROLE}",
        f"REVOKE INSERT ON prismicx.system_accesses FROM {SYSTEM_ROLE}",
    ],
)
async def test_a_database_that_does_not_let_the_system_in_is_named(database: PostgresDatabase, missing: str) -> None:
    await run(database.admin_dsn, missing)

    with pytest.raises(MappingError, match="prismicx db init"):
        await postgres_backend(database).start()


async def test_a_system_login_that_the_server_refuses_closes_everything(database: PostgresDatabase) -> None:
    backend = SqlAlchemyBackend(
        DatabaseClient.from_dsn(database.dsn, min_pool_size=1),
        EXAMPLE_MAPPINGS,
        admin=DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1),
        system=DatabaseClient.from_dsn(database.system_dsn.replace(SYSTEM_ROLE, "nobody_at_all"), min_pool_size=1),
    )

    with pytest.raises(DatabaseUnavailableError):
        await backend.start()
    await backend.close()
