"""What SQLAlchemy makes of a connection stays with it from session to session; nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, backend_on
from tests.adapters.sqlalchemy.test_session import store, unit

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import TransactionConflictError, UnitOfWorkClosedError, UnitOfWorkSharedError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Widget, Widgets

SENT = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT public.widgets.tenant_id%'"


class Base(DeclarativeBase):
    """The team's base."""


class WidgetRow(Base):
    """Some of a widget."""

    __tablename__ = "widgets"
    __table_args__ = ({"schema": "public"},)
    tenant_id: Mapped[str] = mapped_column(Text, primary_key=True)
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)


async def codes(backend: SqlAlchemyBackend, tenant: TenantId) -> list[str]:
    async with unit(backend, tenant) as uow:
        found = (await uow.session.scalars(select(WidgetRow))).all()
        await uow.commit()
    return [row.code for row in found]


async def test_a_statement_is_prepared_once_for_the_sessions_of_all_tenants(database: PostgresDatabase) -> None:
    async with backend_on(database, connections=1) as backend:
        await store(backend, ACME, Widget(code="acme's"))
        await store(backend, GLOBEX, Widget(code="globex's"))
        for tenant in (ACME, GLOBEX, ACME):
            assert await codes(backend, tenant) == [f"{tenant}'s"]

        async with backend._client.connection() as connection:
            assert await connection.fetchval(SENT) == 1


async def test_a_table_that_changed_under_a_prepared_statement_is_a_conflict_once(database: PostgresDatabase) -> None:
    async with backend_on(database, connections=1) as backend:
        await store(backend, ACME, Widget(code="kept"))
        assert await codes(backend, ACME) == ["kept"]
        owner = await asyncpg.connect(database.superuser_dsn)
        await owner.execute("ALTER TABLE public.widgets ALTER COLUMN name TYPE varchar")
        await owner.close()
        with pytest.raises(TransactionConflictError):
            await codes(backend, ACME)

        assert await codes(backend, ACME) == ["kept"]


async def test_two_of_sqlalchemys_connections_at_once_do_not_get_in_each_others_way(backend: SqlAlchemyBackend) -> None:
    def beside_it(session: Any) -> list[str]:
        with session.get_bind().connect() as connection:
            return list(connection.scalars(select(WidgetRow.code)))

    async with unit(backend) as uow:
        uow.repository(Widgets).add(Widget(code="one"))
        assert list(await uow.session.scalars(select(WidgetRow.code))) == ["one"]
        assert await uow.session.run_sync(beside_it) == ["one"]
        assert list(await uow.session.scalars(select(WidgetRow.code))) == ["one"]


async def test_nothing_runs_on_a_connection_that_has_gone_back(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        engine: Any = await uow.session.run_sync(lambda session: session.get_bind())
        kept = await uow.session.run_sync(lambda _: engine.connect())
        session = uow.session
        await uow.commit()

    async with unit(backend, GLOBEX) as uow:
        with pytest.raises(UnitOfWorkClosedError):
            kept.execute(select(WidgetRow))
        with pytest.raises(UnitOfWorkClosedError):
            kept.exec_driver_sql("SELECT 1")
        with pytest.raises(UnitOfWorkClosedError):
            engine.connect()
        with pytest.raises(UnitOfWorkClosedError):
            await session.scalars(select(WidgetRow))
    kept.close()


async def test_the_session_is_of_the_task_that_opened_its_unit(backend: SqlAlchemyBackend) -> None:
    async def in_another_task(session: AsyncSession) -> None:
        await session.scalars(select(WidgetRow))

    async with unit(backend) as uow:
        session = uow.session
        with pytest.raises(UnitOfWorkSharedError):
            await asyncio.create_task(in_another_task(session))
