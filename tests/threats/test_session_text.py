"""SQL as text in SQLAlchemy's session, with the walls of the database away: it has to say so."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    column,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable
from tests.threats.attacking import leaks, unit
from tests.threats.service import ITEMS, UNMAPPED, ItemRow

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, raw_sql
from prismicx.domain.errors import (
    TransactionControlError,
    UnsupportedOperationError,
)

TEXTS: dict[str, Any] = {
    "text": text("SELECT name FROM public.items"),
    "text with columns": text("SELECT name FROM public.items").columns(column("name")),
    "from_statement": select(ItemRow).from_statement(text("SELECT * FROM public.items")),
    "a condition": select(ITEMS.c.name).where(text("true) OR (true")),
    "a column": select(literal_column("(SELECT string_agg(name, ',') FROM public.items)")),
    "a prefix": select(ITEMS.c.name).prefix_with("(SELECT string_agg(name, ',') FROM public.items),"),
    "a hint": select(ITEMS.c.name).with_statement_hint("UNION ALL SELECT name FROM public.items"),
    "an operator": select(ITEMS.c.name).where(ITEMS.c.name.op("= '' OR '' =")("")),
    "a comment as an operator": select(ITEMS.c.name).where(ITEMS.c.name.op("-- ")("")),
    "an order": select(ITEMS.c.name).order_by(text("(SELECT 1)")),
    "DDL": CreateTable(UNMAPPED),
    "a function that runs text": select(func.query_to_xml("SELECT name FROM public.items", True, True, "")),
    "a function that reads a table": select(func.pg_catalog.table_to_xml("public.items", True, True, "")),
}


@pytest.mark.parametrize("statement", TEXTS.values(), ids=TEXTS)
async def test_sql_as_text_has_to_say_so(open_database: SqlAlchemyBackend, statement: Any) -> None:
    async with unit(open_database) as uow:
        with pytest.raises(UnsupportedOperationError, match="raw_sql"):
            await uow.session.execute(statement)


async def test_text_that_says_so_is_left_to_row_level_security(
    open_database: SqlAlchemyBackend, superuser: asyncpg.Connection
) -> None:
    statements = (
        raw_sql("SELECT name FROM public.items WHERE name <> :name"),
        raw_sql("SELECT name FROM public.items WHERE name <> :name").columns(column("name")),
    )
    for statement in statements:
        async with unit(open_database) as uow:
            assert leaks((await uow.session.execute(statement, {"name": ""})).all())
    await superuser.execute("ALTER TABLE public.items ENABLE ROW LEVEL SECURITY")
    for statement in statements:
        async with unit(open_database) as uow:
            assert not leaks((await uow.session.execute(statement, {"name": ""})).all())


async def test_options_of_a_statement_change_neither_tenant_nor_rule(open_database: SqlAlchemyBackend) -> None:
    options: dict[str, Any] = {"tenant": "globex", "takes_text": True}
    options["schema_translate_map"] = {"public": "tenant_globex_crm"}
    async with unit(open_database) as uow:
        with pytest.raises(UnsupportedOperationError):
            await uow.session.execute(text("SELECT name FROM public.items"), execution_options=options)
        del options["schema_translate_map"]
        assert (await uow.session.execute(select(ITEMS.c.name), execution_options=options)).all() == [("acme's",)]


async def test_text_that_says_so_does_not_speak_for_other_text(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        await uow.session.execute(raw_sql("SELECT 1"))
        with pytest.raises(UnsupportedOperationError):
            await uow.session.execute(text("SELECT 1"))
        condition = select(ITEMS.c.name).where(raw_sql("amount = 1"), ITEMS.c.name.op("~")("acme"))
        assert (await uow.session.execute(condition)).all() == [("acme's",)]


async def test_the_drivers_connection_is_out_of_reach(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        with pytest.raises(TransactionControlError):
            await uow.session.connection()
        with pytest.raises(TransactionControlError):
            await uow.session.run_sync(lambda session: session.connection())

        def by_the_engine(session: Session) -> None:
            engine: Any = session.get_bind()
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT name FROM public.items")

        with pytest.raises(UnsupportedOperationError, match="raw_sql"):
            await uow.session.run_sync(by_the_engine)
