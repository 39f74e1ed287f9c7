"""SQLAlchemy's own session inside a unit of work: same connection, same transaction, same tenant, same walls."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, raw_sql
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.errors import (
    DatabaseError,
    PermissionDeniedError,
    ReadOnlyUnitOfWorkError,
    StatementTimeoutError,
    TransactionControlError,
    UnitOfWorkClosedError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Gadget, Gadgets, Widget, Widgets


def unit(backend: SqlAlchemyBackend, tenant: TenantId = ACME, *, read_only: bool = False) -> SqlAlchemyUnitOfWork:
    opened = backend.unit_of_work(tenant, read_only=read_only)
    assert isinstance(opened, SqlAlchemyUnitOfWork)
    return opened


async def names(session: AsyncSession) -> list[str]:
    return list((await session.scalars(raw_sql("SELECT name FROM public.widgets ORDER BY name"))).all())


async def store(backend: SqlAlchemyBackend, tenant: TenantId, *widgets: Widget) -> None:
    async with unit(backend, tenant) as uow:
        uow.repository(Widgets).add_many(widgets)
        await uow.commit()


async def test_raw_sql_sees_the_tenants_own_rows_only(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, Widget(name="acme's"))
    await store(backend, GLOBEX, Widget(name="globex's"))

    for tenant in (ACME, GLOBEX, ACME):
        async with unit(backend, tenant) as uow:
            assert await names(uow.session) == [f"{tenant}'s"]


async def test_without_a_tenant_there_is_nothing(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    await store(backend, ACME, Widget(), Widget())
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    await client.initialize()

    async with client.connection() as connection:
        assert await connection.fetch("SELECT * FROM public.widgets") == []
        await connection.execute("SELECT prismicx.set_tenant('acme')")
        assert await connection.fetch("SELECT * FROM public.widgets") == []
    await client.close()


async def test_raw_sql_reaches_no_other_tenants_schema(backend: SqlAlchemyBackend) -> None:
    async with unit(backend, GLOBEX) as uow:
        uow.repository(Gadgets).add(Gadget(name="globex's"))
        await uow.commit()

    async with unit(backend) as uow:
        assert (await uow.session.execute(raw_sql('SELECT name FROM "tenant_globex_crm".gadgets'))).all() == []


async def test_raw_sql_writes_no_row_of_another_tenant(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, Widget())

    async with unit(backend) as uow:
        with pytest.raises(PermissionDeniedError, match="row-level security"):
            await uow.session.execute(raw_sql("UPDATE public.widgets SET tenant_id = 'globex'"))


async def test_the_session_sees_what_the_unit_holds_and_the_unit_what_the_session_wrote(
    backend: SqlAlchemyBackend,
) -> None:
    async with unit(backend) as uow:
        widgets = uow.repository(Widgets)
        widgets.add(Widget(name="tracked"))
        assert await names(uow.session) == ["tracked"]

        await uow.session.execute(raw_sql("UPDATE public.widgets SET amount = 7"))
        assert await widgets.exists(Widget.amount == 7)
        await uow.commit()
    async with unit(backend) as uow:
        assert await uow.repository(Widgets).exists(Widget.amount == 7)


async def test_what_the_session_wrote_is_discarded_with_the_unit(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, Widget(name="kept"))
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql("DELETE FROM public.widgets"))

    async with unit(backend) as uow:
        assert await names(uow.session) == ["kept"]


async def test_begin_nested_is_a_savepoint(backend: SqlAlchemyBackend) -> None:
    widget = Widget(name="first")
    await store(backend, ACME, widget)
    async with unit(backend) as uow:
        with pytest.raises(IntegrityError):  # noqa: PT012 -- the block is what is tested
            async with uow.session.begin_nested():
                await uow.session.execute(raw_sql("UPDATE public.widgets SET name = 'second'"))
                await uow.session.execute(raw_sql("INSERT INTO public.widgets SELECT * FROM public.widgets"))
        await uow.commit()

    async with unit(backend) as uow:
        assert await names(uow.session) == ["first"]


async def test_large_results_are_streamed(backend: SqlAlchemyBackend) -> None:
    await store(backend, ACME, *(Widget() for _ in range(120)))
    async with unit(backend) as uow:
        stream = await uow.session.stream(raw_sql("SELECT id FROM public.widgets"))
        assert len([row async for row in stream]) == 120


@pytest.mark.parametrize("method", ["commit", "rollback", "close", "reset", "invalidate"])
async def test_the_session_ends_nothing(backend: SqlAlchemyBackend, method: str) -> None:
    async with unit(backend) as uow:
        await names(uow.session)
        with pytest.raises(TransactionControlError):
            await getattr(uow.session, method)()
        with pytest.raises(TransactionControlError):
            await uow.session.begin()


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "  rollback",
        "/* a note */ end",
        "-- a note\nSTART  TRANSACTION",
        "ROLLBACK WORK",
        "SET LOCAL app.current_tenant_id = 'globex'",
        "RESET ROLE",
        "SET ROLE none",
        "DISCARD ALL",
        "PREPARE TRANSACTION 'x'",
    ],
)
async def test_sql_that_ends_the_transaction_or_changes_its_tenant_is_refused(
    backend: SqlAlchemyBackend, statement: str
) -> None:
    async with unit(backend) as uow:
        with pytest.raises(TransactionControlError):
            await uow.session.execute(raw_sql(statement))
        assert await names(uow.session) == []


async def test_a_transaction_that_was_ended_behind_the_units_back_is_noticed(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        await uow.transaction.execute("COMMIT")
        with pytest.raises(TransactionControlError):
            await uow.commit()


async def test_a_transaction_that_the_session_broke_does_not_commit(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        uow.repository(Widgets).add(Widget(name="lost"))
        with pytest.raises(DBAPIError):
            await uow.session.execute(raw_sql("SELECT 1 / 0"))
        with pytest.raises(DatabaseError, match="25P02"):
            await uow.commit()

    async with unit(backend) as uow:
        assert await names(uow.session) == []


async def test_the_session_is_of_no_use_after_the_unit(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        session = uow.session
        await names(session)
        await uow.commit()

    with pytest.raises(UnitOfWorkClosedError):
        await names(session)
    with pytest.raises(UnitOfWorkClosedError):
        _ = uow.session


async def test_nothing_of_a_session_is_left_on_the_connection(database: PostgresDatabase) -> None:
    backend = backend_on(database, connections=1)
    await backend.start()
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql("SELECT set_config('work_mem', '77MB', false), pg_advisory_lock(5)"))
        await uow.commit()

    async with unit(backend, GLOBEX) as uow:
        assert await uow.session.scalar(raw_sql("SELECT current_setting('work_mem')")) != "77MB"
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5"
        assert await uow.session.scalar(raw_sql(locks)) == 0
    await backend.close()


async def test_a_read_only_unit_writes_nothing_by_sql_either(backend: SqlAlchemyBackend) -> None:
    async with unit(backend, read_only=True) as uow:
        with pytest.raises(ReadOnlyUnitOfWorkError):
            await uow.transaction.execute("DELETE FROM public.widgets")


async def test_a_statement_that_takes_too_long_is_named_so(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql("SET LOCAL statement_timeout = 1"))
        with pytest.raises(StatementTimeoutError):
            await uow.transaction.fetch("SELECT pg_sleep(10)", [])


async def test_the_registry_has_no_session(backend: SqlAlchemyBackend) -> None:
    async with backend.registry() as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        with pytest.raises(TransactionControlError):
            _ = uow.session


async def test_the_application_cannot_touch_the_registry(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        with pytest.raises(PermissionDeniedError):
            await uow.transaction.fetch("SELECT * FROM prismicx.tenants", [])


# --- The client's own session. ---


async def test_a_clients_session_keeps_what_was_committed_and_nothing_else(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await store(backend, ACME, Widget(name="before"))
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    await client.initialize()

    async with client.session(ACME) as session:
        await session.execute(raw_sql("UPDATE public.widgets SET name = 'discarded'"))
    async with client.session(ACME) as session:
        assert await names(session) == ["before"]
        await session.execute(raw_sql("UPDATE public.widgets SET name = 'after'"))
        await session.commit()
        with pytest.raises(UnitOfWorkClosedError):
            await names(session)
        with pytest.raises(UnitOfWorkClosedError):
            await session.commit()
    async with client.session(ACME) as session:
        assert await names(session) == ["after"]
    async with client.session(GLOBEX) as session:
        assert await names(session) == []
    await client.close()
