"""The limits that the documentation admits are real: each of these tests shows one, on the servers."""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import UUID

import pytest
from sqlalchemy import text

from prismicx import TenantId, UnitOfWorkSharedError, UnsupportedOperationError
from prismicx.adapters.beanie import MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.container import Container
from prismicx.demo.domain import Task, User, UserRepository
from prismicx.demo.service import ReferenceService
from prismicx.testing.databases import PostgresDatabase

ACME, GLOBEX = TenantId("tenant-ab12cd34"), TenantId("tenant-ef56ab78")


async def test_injected_sql_that_calls_set_config_moves_the_tenant(
    service: ReferenceService, database: DatabaseClient
) -> None:
    await service.register_user(GLOBEX, email="barbara@globex.test", name="Barbara")
    injected = f"""
        WITH moved AS MATERIALIZED (SELECT set_config('app.current_tenant_id', '{GLOBEX}', true))
        SELECT name FROM moved, public.users
    """

    async with database.session(ACME) as session:
        assert (await session.scalars(text(injected))).all() == ["Barbara"]


async def test_the_planner_tells_how_common_a_value_is_among_all_tenants(
    wired: Container, database: DatabaseClient
) -> None:
    for tenant, name in ((ACME, "Ada"), (GLOBEX, "Barbara")):
        async with wired.postgres().unit_of_work(tenant) as uow:
            users = [User(email=f"{number}@{tenant}.test", name=name) for number in range(500)]
            uow.repository(UserRepository).add_many(users)
            await uow.commit()
    async with wired.postgres_admin_client().connection() as connection:
        await connection.execute("ANALYZE public.users")

    async def expected_rows(name: str) -> int:
        async with database.session(ACME) as session:
            statement = f"EXPLAIN (FORMAT JSON) SELECT FROM public.users WHERE name = '{name}'"
            plan = await session.scalar(text(statement))
        plan = json.loads(plan) if isinstance(plan, str) else plan
        return int(plan[0]["Plan"]["Plan Rows"])

    assert await expected_rows("Barbara") > await expected_rows("Nobody")


async def test_sizes_of_shared_tables_are_seen_by_every_tenant(
    service: ReferenceService, database: DatabaseClient
) -> None:
    await service.register_user(GLOBEX, email="barbara@globex.test", name="Barbara")

    async with database.session(ACME) as session:
        assert await session.scalar(text("SELECT pg_relation_size('public.users')")) > 0
        assert await session.scalar(text("SELECT count(*) FROM public.users")) == 0


async def test_sessions_of_one_login_see_each_others_statements(wired: Container, postgres: PostgresDatabase) -> None:
    other = DatabaseClient.from_dsn(postgres.dsn, min_pool_size=1, max_pool_size=1)
    await other.initialize()
    activity = text(
        "SELECT query FROM pg_stat_activity WHERE query LIKE '%of the other tenant%' AND pid <> pg_backend_pid()"
    )

    async with other.session(GLOBEX) as theirs:
        await theirs.execute(text("SELECT 'of the other tenant'"))
        async with wired.postgres_client().session(ACME) as ours:
            assert (await ours.scalars(activity)).all() == ["SELECT 'of the other tenant'"]
    await other.close()


async def test_a_client_of_ones_own_is_outside_of_mongodbs_guard(
    service: ReferenceService, documents: MongoDBClient
) -> None:
    await service.add_tasks(GLOBEX, [Task(title="theirs")])

    assert [task["title"] async for task in documents.db["tasks"].find()] == ["theirs"]


async def test_mongodb_has_no_savepoints(wired: Container) -> None:
    async with wired.mongo().unit_of_work(ACME) as uow:
        with pytest.raises(UnsupportedOperationError):
            async with uow.savepoint():
                pytest.fail("it was entered")


async def test_wait_for_cannot_wrap_a_call_inside_a_unit_on_python_3_11(wired: Container) -> None:
    async with wired.postgres().unit_of_work(ACME) as uow:
        users = uow.repository(UserRepository)

        if sys.version_info < (3, 12):
            with pytest.raises(UnitOfWorkSharedError):
                await asyncio.wait_for(users.find(UUID(int=0)), timeout=30)
        async with asyncio.timeout(30):
            assert await users.find(UUID(int=0)) is None
