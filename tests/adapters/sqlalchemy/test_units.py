"""Units of work on a real server: cancelled, blocked, alternating, broken."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on, login, make_places
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.domain.errors import (
    BackendNotStartedError,
    ConcurrencyError,
    ConnectionLostError,
    DuplicateEntityError,
    PrismicxError,
    UnitOfWorkClosedError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import attribute
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Gadget, Gadgets, Widget, Widgets


async def store(backend: SqlAlchemyBackend, tenant: TenantId, *widgets: Widget) -> None:
    async with backend.unit_of_work(tenant) as uow:
        uow.repository(Widgets).add_many(widgets)
        await uow.commit()


async def somebody_waits(connection: Connection) -> None:
    """Return once a session of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not await connection.fetchval(waiting):
        pass


async def test_two_tenants_alternate_on_one_connection(database: PostgresDatabase) -> None:
    async with backend_on(database, connections=1) as backend:
        await make_places(backend)
        for tenant in (ACME, GLOBEX):
            await store(backend, tenant, Widget(name=f"{tenant}'s"))
            async with backend.unit_of_work(tenant) as uow:
                uow.repository(Gadgets).add(Gadget(name=f"{tenant}'s"))
                await uow.commit()

        for tenant in (ACME, GLOBEX) * 4:
            async with backend.unit_of_work(tenant) as uow:
                assert [widget.name for widget in await uow.repository(Widgets).list()] == [f"{tenant}'s"]
                assert [gadget.name for gadget in await uow.repository(Gadgets).list()] == [f"{tenant}'s"]


async def test_a_unit_that_is_cancelled_in_a_statement_leaves_nothing_behind(database: PostgresDatabase) -> None:
    widget = Widget(name="before")
    async with backend_on(database, connections=2) as backend, superuser(database) as observer:
        await store(backend, ACME, widget)

        async def change() -> None:
            async with backend.unit_of_work(ACME) as uow:
                uow.repository(Widgets).add(Widget(name="half"))
                await uow.flush()
                (await uow.repository(Widgets).get(widget.id)).name = "never"
                await uow.commit()

        async with backend.unit_of_work(ACME) as blocking:
            (await blocking.repository(Widgets).get(widget.id)).name = "after"
            await blocking.flush()
            changing = asyncio.create_task(change())
            await somebody_waits(observer)
            changing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await changing
            await blocking.commit()

        open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        assert await observer.fetchval(open_ones) == 0
        for _ in range(3):
            async with backend.unit_of_work(ACME) as uow, backend.unit_of_work(GLOBEX) as other:
                assert [found.name for found in await uow.repository(Widgets).list()] == ["after"]
                assert await other.repository(Widgets).count() == 0


async def test_a_unit_that_is_cancelled_while_it_begins_gives_its_connection_back(database: PostgresDatabase) -> None:
    async with backend_on(database, connections=1) as backend:
        for steps in range(12):
            unit = backend.unit_of_work(ACME)
            entering = asyncio.create_task(unit.__aenter__())
            for _ in range(steps):
                await asyncio.sleep(0)
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
            await unit.rollback()

        async with backend.unit_of_work(GLOBEX) as uow:
            assert await uow.repository(Widgets).count() == 0


async def test_a_backend_that_was_not_started_says_so(database: PostgresDatabase) -> None:
    with pytest.raises(BackendNotStartedError):
        async with backend_on(database).unit_of_work(ACME):
            pass


async def test_a_savepoint_is_taken_back_by_itself(backend: SqlAlchemyBackend) -> None:
    taken = Widget(code="taken")
    await store(backend, ACME, taken)
    async with backend.unit_of_work(ACME) as uow:
        widgets = uow.repository(Widgets)
        async with uow.savepoint():
            widgets.add(Widget(name="kept"))
        with pytest.raises(DuplicateEntityError) as caught:
            async with uow.savepoint():
                widgets.add(Widget(code="taken"))
        assert caught.value.key == ("code",)
        await uow.commit()

    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 2


async def test_a_savepoint_on_a_lost_connection_dooms_its_unit(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with superuser(database) as observer, backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        (pid,) = (await uow.transaction.fetch("SELECT pg_backend_pid()", []))[0]
        with pytest.raises(ConnectionLostError):  # noqa: PT012 -- the block is what is tested
            async with uow.savepoint():
                await observer.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
                await uow.repository(Widgets).count()
        with pytest.raises(UnitOfWorkClosedError):
            await uow.commit()


async def test_the_pool_replaces_connections_that_the_server_ended(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await store(backend, ACME, Widget())
    async with superuser(database) as observer:
        ending = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1"
        await observer.fetch(f"{ending} AND datname = current_database()", login(database.dsn)[0])

    async def count() -> int:
        async with backend.unit_of_work(ACME) as uow:
            return await uow.repository(Widgets).count()

    # The end of an idle connection may be heard of only when it is used: that unit fails, the next one does not.
    try:
        assert await count() == 1
    except ConnectionLostError:
        assert await count() == 1


async def test_every_stale_write_of_a_batch_is_named(backend: SqlAlchemyBackend) -> None:
    widgets = [Widget(), Widget(), Widget()]
    await store(backend, ACME, *widgets)
    async with backend.unit_of_work(ACME) as uow:
        mine = [await uow.repository(Widgets).get(widget.id) for widget in widgets]
        async with backend.unit_of_work(ACME) as other:
            (await other.repository(Widgets).get(widgets[0].id)).amount = 1
            other.repository(Widgets).remove(await other.repository(Widgets).get(widgets[2].id))
            await other.commit()
        for number, widget in enumerate(mine):
            widget.amount = number + 10
        with pytest.raises(ConcurrencyError) as caught:
            await uow.commit()

    assert set(caught.value.identities) == {widgets[0].id, widgets[2].id}


async def test_a_stream_is_read_in_batches(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, *(Widget(amount=number) for number in range(2500)))
    async with backend.unit_of_work(ACME) as uow:
        amounts = [widget.amount async for widget in uow.repository(Widgets).stream(attribute(Widget.amount) >= 10)]

    assert sorted(amounts) == list(range(10, 2500))


async def test_a_stream_lets_go_of_its_cursor_however_it_ends(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, *(Widget(amount=number) for number in range(1500)))
    async with backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        widgets = uow.repository(Widgets)
        async with aclosing(widgets.stream()) as left_early:  # type: ignore[type-var]  # a generator at run time
            await anext(left_early)
        assert len([widget async for widget in widgets.stream()]) == 1500

        assert not await uow.transaction.fetch("SELECT name FROM pg_cursors WHERE name <> ''", [])


async def test_a_stream_that_is_dropped_does_not_get_in_the_way(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, *(Widget(amount=number) for number in range(1500)))
    async with backend.unit_of_work(ACME) as uow:
        widgets = uow.repository(Widgets)
        async for _ in widgets.stream():
            break  # Python closes it in a task of its own
        await asyncio.sleep(0)
        uow.repository(Widgets).add(Widget())
        assert await widgets.count() == 1501
        await uow.commit()

    assert backend._client.pool.idle == backend._client.pool.size


async def test_a_unit_that_is_open_while_its_backend_closes_ends_as_usual(database: PostgresDatabase) -> None:
    backend = backend_on(database)
    await backend.start()
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(Widget())
        closing = asyncio.create_task(backend.close())
        await asyncio.sleep(0)
        await uow.commit()
    async with asyncio.timeout(5):  # half of what the pool would wait for a connection that does not come back
        await closing

    async with backend, backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 1


async def test_statements_are_kept_by_shape_and_not_for_ever(backend: SqlAlchemyBackend) -> None:
    unit = backend.unit_of_work(ACME)
    assert isinstance(unit, SqlAlchemyUnitOfWork)
    placed = unit.tables[Gadget]
    statements = Statements(backend._client.sessions.dialect, limit=2)
    first = statements.by_id(placed)
    assert statements.by_id(placed) is first
    statements.insert(placed, many=True)
    statements.delete(placed, many=True)

    assert statements.by_id(placed) is not first
    assert '"a""b".gadgets' in first.sql('a"b')
    assert "{schema}" not in first.sql("x")


async def test_a_unit_on_a_connection_that_breaks_while_it_begins_leaves_nothing_open(
    database: PostgresDatabase,
) -> None:
    async with backend_on(database, connections=1) as backend, superuser(database) as observer:
        await observer.execute("DROP FUNCTION prismicx.set_tenant(text)")
        for _ in range(3):
            with pytest.raises(PrismicxError):
                async with backend.unit_of_work(ACME):
                    pass
