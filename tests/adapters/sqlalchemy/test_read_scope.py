"""Reads in one trip: the tenant is set before a table is touched, gone afterwards, and never another's meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on, make_places, prepare

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.one_trip import is_fenced
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.errors import PrismicxError, StatementTimeoutError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import Gadget, Gadgets, Widget, Widgets

SETTING = "SELECT current_setting('app.current_tenant_id', true)"
OFTEN = 8
"""More than the five times after which PostgreSQL takes one plan for all values."""


@pytest.fixture
async def lonely15(prismicx_postgres15_database: PostgresDatabases) -> AsyncIterator[SqlAlchemyBackend]:
    """The same on PostgreSQL 15."""
    async with backend_on(await prismicx_postgres15_database("sqlalchemy", prepare), connections=1) as backend:
        await make_places(backend)
        yield backend


@pytest.fixture(params=["lonely", "lonely15"], ids=["18", "15"])
def either(request: pytest.FixtureRequest) -> SqlAlchemyBackend:
    backend: SqlAlchemyBackend = request.getfixturevalue(request.param)
    return backend


async def settle(backend: SqlAlchemyBackend) -> dict[TenantId, Widget]:
    """Store a widget for each of two tenants, with the same key and the tenant's name in it."""
    widgets = {tenant: Widget(code="one", name=tenant.value) for tenant in (ACME, GLOBEX)}
    for tenant, widget in widgets.items():
        async with backend.unit_of_work(tenant) as uow:
            uow.repository(Widgets).add(widget)
            uow.repository(Gadgets).add(Gadget(name=tenant.value))
            await uow.commit()
    return widgets


async def require_no_tenant(backend: SqlAlchemyBackend) -> None:
    """Assert that the connections that are back know no tenant, and that no transaction is open."""
    async with backend._client.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval(SETTING) in (None, "")


def verdicts(backend: SqlAlchemyBackend) -> list[bool]:
    """Return for each query that was looked at whether it may run in one trip."""
    return [verdict.one_trip is not None for verdict in backend._client.plans._known.values()]


async def test_no_tenant_is_left_after_a_query(either: SqlAlchemyBackend) -> None:
    widgets = await settle(either)

    for _ in range(OFTEN):
        async with either.read(ACME) as scope:
            assert (await scope.repository(Widgets).get(widgets[ACME].id)).name == "acme"
            await require_no_tenant(either)
            assert [gadget.name for gadget in await scope.repository(Gadgets).list(limit=5)] == ["acme"]
            await require_no_tenant(either)

    assert verdicts(either) == [True, True]


async def test_two_tenants_take_turns_on_one_prepared_statement(either: SqlAlchemyBackend) -> None:
    widgets = await settle(either)

    for _ in range(OFTEN):
        for tenant, other in ((ACME, GLOBEX), (GLOBEX, ACME)):
            async with either.read(tenant) as scope:
                repository = scope.repository(Widgets)
                assert await repository.find(widgets[other].id) is None
                assert [found.name for found in await repository.list(Widget.code == "one")] == [tenant.value]
                assert await repository.count() == 1

    assert verdicts(either) == [True] * 3


async def test_many_tasks_of_two_tenants_share_one_connection(lonely: SqlAlchemyBackend) -> None:
    widgets = await settle(lonely)

    async def read(tenant: TenantId, other: TenantId) -> None:
        for _ in range(OFTEN):
            async with lonely.read(tenant) as scope:
                repository = scope.repository(Widgets)
                assert (await repository.get(widgets[tenant].id)).name == tenant.value
                assert await repository.find(widgets[other].id) is None

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(read(ACME, GLOBEX))
            group.create_task(read(GLOBEX, ACME))
    await require_no_tenant(lonely)


async def test_a_connection_is_borrowed_for_a_query_and_not_for_the_scope(lonely: SqlAlchemyBackend) -> None:
    await settle(lonely)

    async with lonely.read(ACME) as first, lonely.read(GLOBEX) as second:
        assert [await scope.repository(Widgets).count() for scope in (first, second, first)] == [1, 1, 1]
        assert lonely._client.pool.idle == 1


@pytest.mark.parametrize("is_known", [True, False], ids=["in_one_trip", "in_the_look_at_its_plan"])
async def test_a_query_that_is_cancelled_leaves_no_tenant(
    lonely: SqlAlchemyBackend, database: PostgresDatabase, is_known: bool
) -> None:
    await settle(lonely)
    if is_known:
        async with lonely.read(ACME) as scope:
            await scope.repository(Widgets).count()

    async def count() -> None:
        async with lonely.read(ACME) as scope:
            await scope.repository(Widgets).count()

    async with _locked_widgets(database) as waits:
        task = asyncio.create_task(count())
        await waits()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await require_no_tenant(lonely)
    async with lonely.read(GLOBEX) as scope:
        assert [found.name for found in await scope.repository(Widgets).list()] == ["globex"]


async def test_a_query_that_the_server_ends_leaves_no_tenant(
    lonely: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await settle(lonely)
    async with lonely.read(ACME) as scope:
        await scope.repository(Widgets).count()
    pid = await _pid(lonely)

    async with _locked_widgets(database) as waits, asyncio.TaskGroup() as group:

        async def fail() -> None:
            async with lonely.read(ACME) as scope:
                with pytest.raises(StatementTimeoutError):
                    await scope.repository(Widgets).count()
                with pytest.raises(PrismicxError):
                    await scope.repository(Widgets).count()

        group.create_task(fail())
        await waits()
        await run_as(database.superuser_dsn, f"SELECT pg_cancel_backend({pid})")
    await require_no_tenant(lonely)
    assert await _pid(lonely) == pid


async def test_a_plan_that_reads_before_the_tenant_is_set_shows_nothing(either: SqlAlchemyBackend) -> None:
    await settle(either)
    set_tenant = "SELECT pg_catalog.set_config('app.current_tenant_id', $1::text, true) AS id"
    too_late = (
        f"SELECT found.* FROM (SELECT id FROM public.widgets OFFSET 0) AS found "
        f"CROSS JOIN LATERAL ({set_tenant}, found.id AS row) AS tenant"
    )

    async with either._client.connection() as connection:
        found = [await connection.fetch(too_late, tenant.value) for tenant in (ACME, GLOBEX) * OFTEN]
        plan = await connection.fetchval(f"EXPLAIN (VERBOSE, FORMAT JSON) {too_late}", ACME.value)

    assert found == [[]] * 2 * OFTEN
    assert not is_fenced(plan[0]["Plan"])


async def test_a_plan_is_looked_at_again(lonely: SqlAlchemyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    await settle(lonely)
    looked: list[str] = []
    look = type(lonely._client.plans).look

    async def watched(plans: Any, connection: Connection, sql: str, arguments: Any) -> Any:
        looked.append(sql)
        return await look(plans, connection, sql, arguments)

    monkeypatch.setattr("prismicx.adapters.sqlalchemy.plans.Plans.look", watched)
    seen = []
    for now in (0.0, 599.0, 601.0):
        monkeypatch.setattr("prismicx.adapters.sqlalchemy.plans.time", SimpleNamespace(monotonic=lambda at=now: at))
        async with lonely.read(ACME) as scope:
            await scope.repository(Widgets).count()
        seen.append(len(looked))

    assert seen == [1, 1, 2]


async def test_verdicts_that_nobody_has_asked_for_lately_are_forgotten(lonely: SqlAlchemyBackend) -> None:
    lonely._client.plans._limit = 2
    async with lonely.read(ACME) as scope:
        widgets = scope.repository(Widgets)
        await widgets.count()
        await widgets.exists()
        await widgets.count()
        await widgets.list()

    assert ["count(*)" in sql for sql in lonely._client.plans._known] == [True, False]


@asynccontextmanager
async def _locked_widgets(database: PostgresDatabase) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Open a block in which nobody can read the widgets; it is given what waits until somebody tries."""
    holder = await asyncpg.connect(database.superuser_dsn)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.widgets'::regclass"

    async def wait() -> None:
        while not await holder.fetchval(waiting):
            pass

    try:
        await holder.execute("BEGIN; LOCK TABLE public.widgets IN ACCESS EXCLUSIVE MODE")
        yield wait
    finally:
        await holder.close()


async def _pid(backend: SqlAlchemyBackend) -> int:
    async with backend._client.connection() as connection:
        return connection.get_server_pid()


async def run_as(dsn: str, *statements: str) -> None:
    """Run statements as the user of an address."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
