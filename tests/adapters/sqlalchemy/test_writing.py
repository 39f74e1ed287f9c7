"""Writing by key on PostgreSQL: what it leaves in the table, and what it does when somebody else is at the same key."""

from __future__ import annotations

import asyncio

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, backend_on
from tests.adapters.sqlalchemy.test_tenancy import superuser
from tests.adapters.sqlalchemy.test_units import somebody_waits, store

from prismicx.domain.errors import TransactionConflictError
from prismicx.domain.isolation import Isolation
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Widget, Widgets


async def test_what_is_there_is_got_without_a_write(database: PostgresDatabase) -> None:
    async with backend_on(database) as backend, superuser(database) as observer:
        await store(backend, ACME, Widget(code="there"))
        row = "SELECT (ctid, xmin, xmax)::text FROM public.widgets"
        before = await observer.fetchval(row)

        for _ in range(3):
            async with backend.unit_of_work(ACME) as uow:
                await uow.repository(Widgets).get_or_create(Widget(code="there"), on=Widget.code)
                await uow.commit()

        assert await observer.fetchval(row) == before


@pytest.mark.parametrize("isolation", [None, Isolation.REPEATABLE_READ])
async def test_who_is_about_to_write_the_key_is_waited_for(
    database: PostgresDatabase, isolation: Isolation | None
) -> None:
    theirs = Widget(code="one", name="theirs")
    async with backend_on(database) as backend, superuser(database) as observer:

        async def late() -> tuple[Widget, bool]:
            async with backend.unit_of_work(ACME, isolation=isolation) as uow:
                await uow.repository(Widgets).count()
                made = await uow.repository(Widgets).get_or_create(Widget(code="one"), on=Widget.code)
                await uow.commit()
                return made

        async with backend.unit_of_work(ACME) as early:
            await early.repository(Widgets).upsert(theirs, on=Widget.code)
            waiting = asyncio.create_task(late())
            await somebody_waits(observer)
            await early.commit()

        if isolation is None:
            assert await waiting == (theirs, False)
        else:
            with pytest.raises(TransactionConflictError):
                await waiting


async def test_who_gives_the_key_up_leaves_it_to_the_next(database: PostgresDatabase) -> None:
    async with backend_on(database) as backend, superuser(database) as observer:

        async def late() -> bool:
            async with backend.unit_of_work(ACME) as uow:
                _, was_created = await uow.repository(Widgets).get_or_create(Widget(code="one"), on=Widget.code)
                await uow.commit()
                return was_created

        async with backend.unit_of_work(ACME) as early:
            await early.repository(Widgets).upsert(Widget(code="one"), on=Widget.code)
            waiting = asyncio.create_task(late())
            await somebody_waits(observer)
            await early.rollback()

        assert await waiting
