"""SQLAlchemy's session with the walls of the database away: what loader criteria let by, `uow.session` does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import (
    Column,
    MetaData,
    Table,
    Text,
    column,
    delete,
    event,
    exists,
    func,
    insert,
    literal,
    select,
    table,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, aliased, selectinload, with_loader_criteria
from tests.threats.attacking import id_of_globex, leaks, unit
from tests.threats.service import GLOBEX, ITEMS, NOTES, OTHER, UNMAPPED, Bare, ItemRow, NoteRow

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import (
    UnsupportedOperationError,
)
from prismicx.testing.databases import PostgresDatabase

ALIAS, SAMPLE = aliased(ItemRow, name="alias"), ITEMS.tablesample(100)
BY_HAND = table("items", column("name"), column("tenant_id"), schema="public")


@pytest.fixture
async def bare_session(open_database: SqlAlchemyBackend, database: PostgresDatabase) -> AsyncIterator[AsyncSession]:
    """A session with loader criteria on both classes, as SQLAlchemy's documentation has it."""
    engine = create_async_engine(database.dsn.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncSession(engine) as session:

        def add_criteria(state: ORMExecuteState) -> None:
            for row in (ItemRow, NoteRow):
                state.statement = state.statement.options(
                    with_loader_criteria(row, row.tenant_id == "acme", include_aliases=True)
                )

        event.listen(session.sync_session, "do_orm_execute", add_criteria)
        yield session
    await engine.dispose()


SAME = OTHER.c.name != ITEMS.c.name
READS: dict[str, Any] = {
    "a table": select(ITEMS.c.name),
    "an alias": select(OTHER.c.name),
    "a sample": select(SAMPLE.c.name),
    "a table written by hand": select(BY_HAND.c.name),
    "a table that is not mapped": select(UNMAPPED.c.name),
    "the right of an outer join": select(ItemRow.name, OTHER.c.name).join_from(ItemRow, OTHER, true(), isouter=True),
    "the left of an outer join": select(ITEMS.c.name).select_from(ITEMS.outerjoin(OTHER, SAME)),
    "a join inside of a join": select(NOTES.c.text).select_from(ITEMS.join(OTHER.join(NOTES, true()), true())),
    "a union": union_all(select(ItemRow.name), select(ITEMS.c.name)),
    "EXISTS": select(literal("globex")).where(exists().where(ITEMS.c.name == "globex's")),
    "a scalar subquery": select(select(func.string_agg(ITEMS.c.name, ",")).scalar_subquery()),
    "LATERAL": select(select(ITEMS.c.name).lateral("each").c.name),
    "a common table expression": select(select(ITEMS.c.name).cte("named").c.name),
    "from_statement": select(ItemRow.name).from_statement(select(ITEMS.c.name)),
    "rows to be locked": select(ITEMS.c.name).with_for_update(),
    "IN": select(literal("globex")).where(literal("globex's").in_(select(ITEMS.c.name))),
    "a write inside of a read": select(update(ITEMS).values(version=9).returning(ITEMS.c.name).cte("written").c.name),
}


@pytest.mark.parametrize("statement", READS.values(), ids=READS)
async def test_loader_criteria_let_core_by(bare_session: AsyncSession, statement: Any) -> None:
    assert leaks((await bare_session.execute(statement)).all())


@pytest.mark.parametrize("statement", READS.values(), ids=READS)
async def test_whatever_reads_is_given_the_tenant(open_database: SqlAlchemyBackend, statement: Any) -> None:
    async with unit(open_database) as uow:
        assert not leaks((await uow.session.execute(statement)).all())
    async with unit(open_database, GLOBEX) as uow:  # the same statement, compiled already
        assert leaks((await uow.session.execute(statement)).all())


async def test_the_orm_is_given_the_tenant(open_database: SqlAlchemyBackend) -> None:
    foreign = (GLOBEX.value, await id_of_globex(open_database))
    async with unit(open_database) as uow:
        session = uow.session
        assert [item.name for item in await session.scalars(select(ItemRow))] == ["acme's"]
        assert [name for (name,) in await session.execute(select(ALIAS.name))] == ["acme's"]
        assert await session.get(ItemRow, foreign) is None
        assert await session.scalar(select(func.count()).select_from(ItemRow)) == 1
        with_notes = (await session.scalars(select(ItemRow).options(selectinload(ItemRow.notes)))).one()
        assert [note.text for note in with_notes.notes] == ["acme's"]
        joined = await session.execute(select(ItemRow.name, NoteRow.text).outerjoin(NoteRow, true()))
        assert joined.all() == [("acme's", "acme's")]
        stream = await session.stream(select(ITEMS.c.name))
        assert [tuple(row) async for row in stream] == [("acme's",)]


async def test_an_outer_join_keeps_rows_without_a_partner(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        statement = select(ITEMS.c.name, OTHER.c.name).select_from(ITEMS.outerjoin(OTHER, SAME))
        assert (await uow.session.execute(statement)).all() == [("acme's", None)]
        with pytest.raises(UnsupportedOperationError, match="full outer join"):
            await uow.session.execute(select(ITEMS.c.name).select_from(ITEMS.outerjoin(OTHER, SAME, full=True)))
        halves = [select(ITEMS.c.name).subquery(), select(OTHER.c.name).subquery()]
        whole = halves[0].outerjoin(halves[1], true(), full=True)
        assert (await uow.session.execute(select(*halves).select_from(whole))).all() == [("acme's", "acme's")]


WRITES: dict[str, Callable[[], Any]] = {
    "an update": lambda: update(ITEMS).values(amount=99),
    "an update in order": lambda: update(ITEMS).ordered_values((ITEMS.c.amount, 99)),
    "an update of the class": lambda: update(ItemRow).values(amount=99),
    "an update that joins": lambda: update(ITEMS).values(amount=99).where(SAME),
    "an update from another": lambda: update(ITEMS).values(amount=OTHER.c.amount).where(SAME),
    "a delete": lambda: delete(NOTES),
    "a delete of the class": lambda: delete(NoteRow),
    "a delete that joins": lambda: delete(NOTES).where(NOTES.c.text != OTHER.c.name),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_whatever_writes_is_given_the_tenant(
    open_database: SqlAlchemyBackend, superuser: asyncpg.Connection, write: Callable[[], Any]
) -> None:
    async with unit(open_database) as uow:
        await uow.session.execute(write())
        await uow.transaction.commit()
    stored = "SELECT amount FROM public.items WHERE tenant_id = 'globex'"
    assert await superuser.fetch(stored) == [(7,)]
    assert await superuser.fetchval("SELECT count(*) FROM public.items WHERE amount = 7") == 1
    assert await superuser.fetchval("SELECT count(*) FROM public.notes WHERE tenant_id = 'globex'") == 1


async def test_core_writes_reach_all_where_nobody_adds_the_tenant(bare_session: AsyncSession) -> None:
    assert (await bare_session.execute(update(ITEMS).values(amount=99))).rowcount == 2  # type: ignore[attr-defined]  # a cursor's
    await bare_session.execute(insert(ITEMS).values(tenant_id="globex", id=uuid4(), version=1, name="new", amount=1))
    bare_session.add(NoteRow(tenant_id="globex", id=uuid4(), version=1, text="new"))
    await bare_session.flush()
    await bare_session.execute(update(ITEMS).values(tenant_id="acme").where(ITEMS.c.name == "new"))
    await bare_session.execute(text("DELETE FROM public.notes"))
    assert await bare_session.scalar(select(func.count()).select_from(NOTES)) == 0


async def test_a_table_of_no_tenant_is_everybodys(open_database: SqlAlchemyBackend, bare: Bare) -> None:
    currencies = Table("currencies", MetaData(), Column("code", Text), schema="bare")
    await bare.make("CREATE TABLE bare.currencies (code text)", "GRANT ALL ON bare.currencies TO prismicx_test_app")
    async with unit(open_database) as uow:
        await uow.session.execute(insert(currencies).values(code="eur"))
        await uow.session.execute(update(currencies).values(code="chf"))
        joined = select(currencies.c.code, ITEMS.c.name).join_from(currencies, ITEMS, true())
        assert (await uow.session.execute(joined)).all() == [("chf", "acme's")]
    await bare.make("DROP TABLE bare.currencies")
