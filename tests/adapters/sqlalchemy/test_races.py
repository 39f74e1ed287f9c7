"""Several who make schemas at once on PostgreSQL: what passes is tried again, and looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.adapters.sqlalchemy.test_fences import until_waiting
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.provisioning import TenantDatabaseStep
from prismicx.adapters.sqlalchemy.races import despite_races
from prismicx.domain.errors import DatabaseError, ForeignObjectError, PrismicxError
from prismicx.domain.identifiers import TenantId, schema_role_name
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import example_tenant

NEW = TenantId("initech")
SCHEMA = "tenant_initech_db"


@pytest.fixture
def step(backend: SqlAlchemyBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, TenantDatabaseStep))
    return found


async def made(steps: Sequence[ProvisioningStep], tenant: TenantId) -> None:
    for step in steps:
        await step.ensure(example_tenant(tenant))


async def test_eight_at_once_make_eight_places(backend: SqlAlchemyBackend) -> None:
    tenants = [TenantId(f"new-{number}") for number in range(8)]

    await asyncio.gather(*(made(backend.steps(), tenant) for tenant in tenants))

    for tenant in tenants:
        for step in backend.steps():
            await step.verify(example_tenant(tenant))


async def test_eight_at_once_make_and_unmake_one_place(backend: SqlAlchemyBackend) -> None:
    await asyncio.gather(*(made(backend.steps(), NEW) for _ in range(8)))
    for step in backend.steps():
        await step.verify(example_tenant(NEW))

    for step in reversed(backend.steps()):
        await asyncio.gather(*(step.remove(example_tenant(NEW)) for _ in range(8)))
        assert not any((await step.contents(example_tenant(NEW))).values())


@asynccontextmanager
async def meanwhile(database: PostgresDatabase, *statements: str) -> AsyncIterator[Connection]:
    """Yield a transaction of the owner's that has run these statements and is not committed."""
    connection: Connection = await asyncpg.connect(database.admin_dsn)
    try:
        await connection.execute("BEGIN")
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        await connection.close()


async def test_a_schema_that_somebody_commits_meanwhile_is_looked_at(
    step: ProvisioningStep, database: PostgresDatabase
) -> None:
    async with meanwhile(database, f'CREATE SCHEMA "{SCHEMA}"') as other:
        making = asyncio.create_task(step.ensure(example_tenant(NEW)))
        await until_waiting(database, other)
        await other.execute("COMMIT")

        with pytest.raises(ForeignObjectError):
            await making


async def test_a_role_that_somebody_commits_meanwhile_is_used_if_it_is_ours(
    step: ProvisioningStep, database: PostgresDatabase
) -> None:
    role = schema_role_name(database.name, SCHEMA)
    ours = (
        f'CREATE ROLE "{role}" NOLOGIN',
        f'GRANT "{role}" TO CURRENT_USER',
        f"COMMENT ON ROLE \"{role}\" IS 'prismicx: tenant initech'",
    )
    async with meanwhile(database, *ours) as other:
        making = asyncio.create_task(step.ensure(example_tenant(NEW)))
        await until_waiting(database, other)
        await other.execute("COMMIT")

        await making

    await step.verify(example_tenant(NEW))


async def test_a_grant_that_somebody_commits_meanwhile_is_no_failure(
    step: ProvisioningStep, database: PostgresDatabase
) -> None:
    """PostgreSQL calls it "tuple concurrently updated" (XX000)."""
    await step.ensure(example_tenant(NEW))
    async with meanwhile(database, f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO pg_monitor') as other:
        making = asyncio.create_task(step.ensure(example_tenant(NEW)))
        await until_waiting(database, other)
        await other.execute("COMMIT")

        await making

    await step.verify(example_tenant(NEW))


@pytest.mark.parametrize("code", ["23505", "XX000", "42P06", "42P07", "42710", "42704", "3F000", "40P01", "40001"])
async def test_what_passes_is_tried_again_five_times(code: str) -> None:
    tries = 0

    async def failing(times: int) -> int:
        nonlocal tries
        tries += 1
        if tries <= times:
            cause = asyncpg.PostgresError("as the server says it")
            setattr(cause, "sqlstate", code)  # noqa: B010 -- the driver sets it by class, and has no types
            raise DatabaseError(code, "refused") from cause
        return tries

    assert await despite_races(lambda: failing(4)) == 5
    tries = 0
    with pytest.raises(DatabaseError):
        await despite_races(lambda: failing(5))
    assert tries == 5


async def test_what_is_no_race_is_not_tried_again() -> None:
    tries = 0

    async def failing() -> None:
        nonlocal tries
        tries += 1
        raise PrismicxError("for good")

    with pytest.raises(PrismicxError):
        await despite_races(failing)
    assert tries == 1


async def test_a_worker_that_stands_still_is_ended_by_the_server(
    step: ProvisioningStep, backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    """Otherwise its successor would wait for the fence for ever."""
    await step.ensure(example_tenant(NEW))
    seen: list[str] = []
    connect = backend._admin.connect

    async def connect_and_look() -> Connection:
        connection = await connect()
        execute = connection.execute

        async def look_at_commit(query: str, *arguments: object) -> str:
            if query == "COMMIT":
                seen.append(await connection.fetchval("SHOW idle_in_transaction_session_timeout"))
                seen.append(await connection.fetchval("SHOW lock_timeout"))
            return await execute(query, *arguments)

        return _With(connection, look_at_commit)  # type: ignore[return-value]  # it has what is used of one

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(backend._admin, "connect", connect_and_look)
        await step.ensure(example_tenant(NEW))

    assert seen == ["1min", "30s"]
    async with superuser(database) as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "0"


class _With:
    def __init__(self, connection: Connection, execute: object) -> None:
        self._connection = connection
        self.execute = execute

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)
