"""What a session's statements leave on their connection is gone before the next user has it; and the twins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text, func, insert, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from tests.adapters.sqlalchemy.conftest import GLOBEX, backend_on
from tests.adapters.sqlalchemy.test_session import unit

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, raw_sql
from prismicx.adapters.sqlalchemy.clearing import Clearing
from prismicx.adapters.sqlalchemy.leaving import leaves_nothing
from prismicx.adapters.sqlalchemy.pool import Leftover
from prismicx.domain.errors import CommitOutcomeUnknownError
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Widget, Widgets

MADE = """
GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC;
CREATE FUNCTION public.prepare_something() RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN EXECUTE format('PREPARE left_%s AS SELECT 1', txid_current()); END $$;
CREATE FUNCTION public.prepare_something(integer, integer) RETURNS integer LANGUAGE plpgsql
    AS $$ BEGIN PERFORM public.prepare_something(); RETURN 1; END $$;
CREATE OPERATOR public.<+> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = public.prepare_something);
CREATE SEQUENCE public.numbers;
GRANT USAGE ON SEQUENCE public.numbers TO PUBLIC;
CREATE TABLE public.numbered (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
GRANT SELECT, INSERT ON public.numbered TO PUBLIC"""

NUMBERED = Table(
    "numbered", MetaData(), Column("id", Integer, Identity(always=True), primary_key=True), Column("name", Text)
)

FOUND = """
SELECT coalesce(current_setting('prismicx.left_behind', true), ''),
    current_setting('work_mem') = '77MB',
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)"""
CLEAN = ("", False, 0, 0, 0, 0)


class LockedByExtension(FunctionElement[Any]):
    """What a team has taught SQLAlchemy: it becomes SQL past every rule for functions."""

    inherit_cache = True


@compiles(LockedByExtension)
def _locked(element: object, compiler: object, **options: object) -> str:
    return "pg_advisory_lock (7)"


LEAVING: dict[str, Callable[[], Any]] = {
    "a setting": lambda: raw_sql("SELECT set_config('prismicx.left_behind', 'x', false)"),
    "a setting of the server's": lambda: raw_sql("SELECT set_config('work_mem', '77MB', false)"),
    "a lock": lambda: raw_sql("SELECT pg_advisory_lock(7)"),
    "a lock by an expression": lambda: select(func.pg_advisory_lock(7)),
    "a lock by an extension": lambda: select(LockedByExtension()),
    "a temporary table": lambda: raw_sql("CREATE TEMPORARY TABLE IF NOT EXISTS left_behind AS SELECT 1"),
    "a channel": lambda: raw_sql("LISTEN left_behind"),
    "a prepared statement": lambda: raw_sql("SELECT public.prepare_something()"),
    "a prepared statement by an operator": lambda: select(literal(1, Integer).op("<+>")(literal(2, Integer))),
    "a prepared statement by an expression": lambda: select(func.public.prepare_something()),
}


@pytest.fixture
async def lonely(database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend with one connection, on a database whose users may leave what they like."""
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute(MADE.format(database=database.name))
    await owner.close()
    async with backend_on(database, connections=1) as backend:
        yield backend


async def left_by(backend: SqlAlchemyBackend, statement: Any, *, lasts: bool) -> tuple[Any, ...]:
    """Run a statement in a unit of work, and return what the next user of the pool finds."""
    async with unit(backend) as uow:
        await uow.session.execute(statement)
        if lasts:
            await uow.commit()
    pool = backend._client.pool
    connection = await pool.acquire()
    try:
        return tuple(await connection.fetchrow(FOUND))
    finally:
        pool.give_back(connection, Leftover.NOTHING)


@pytest.mark.parametrize("lasts", [True, False], ids=["committed", "discarded"])
async def test_nothing_is_left_of_what_a_statement_can_leave(lonely: SqlAlchemyBackend, *, lasts: bool) -> None:
    for name, statement in LEAVING.items():
        assert (name, await left_by(lonely, statement(), lasts=lasts)) == (name, CLEAN)


@pytest.mark.parametrize(
    "drawing", [select(func.nextval("public.numbers")), insert(NUMBERED).values(name="x")], ids=["call", "insert"]
)
async def test_the_last_number_of_a_sequence_is_not_remembered(lonely: SqlAlchemyBackend, drawing: Any) -> None:
    async with unit(lonely) as uow:
        await uow.session.execute(drawing)
        await uow.commit()

    async with unit(lonely, GLOBEX) as uow:
        with pytest.raises(Exception, match="lastval is not yet defined"):
            await uow.session.execute(raw_sql("SELECT lastval()"))


async def test_a_cursor_past_sqlalchemys_connection_is_cleared_up_after(lonely: SqlAlchemyBackend) -> None:
    def past_it(session: Any) -> None:
        with session.get_bind().raw_connection() as connection:
            connection.cursor().execute("SELECT set_config('prismicx.left_behind', 'x', false)")

    async with unit(lonely) as uow:
        await uow.session.run_sync(past_it)
        await uow.commit()

    async with unit(lonely, GLOBEX) as uow:
        left = raw_sql("SELECT coalesce(current_setting('prismicx.left_behind', true), '')")
        assert await uow.session.scalar(left) == ""


async def test_an_error_while_clearing_leaves_the_commit_in_doubt(
    lonely: SqlAlchemyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Clearing("SET statement_timeout = 1; SELECT pg_sleep(10)")
    monkeypatch.setattr("prismicx.adapters.sqlalchemy.transaction.CLEAR_AND_LOOK", slow)
    async with unit(lonely) as uow:
        uow.repository(Widgets).add(Widget())
        await uow.session.execute(raw_sql("SELECT now()"))
        with pytest.raises(CommitOutcomeUnknownError):
            await uow.commit()

    async with unit(lonely) as uow:
        assert await uow.repository(Widgets).count() == 1


@pytest.mark.parametrize(
    ("statement", "leaves"),
    [
        ("SELECT a.b, a.c FROM a WHERE a.b IN ($1::TEXT) AND (a.c = $2::UUID OR EXISTS (SELECT 1 FROM d))", False),
        ('INSERT INTO "a b".c (d, e) VALUES ($1::TEXT, $2::UUID)', True),
        ("INSERT INTO a.c (d, e) VALUES ($1::TEXT, $2::UUID) ON CONFLICT (d) DO UPDATE SET e = excluded.e", False),
        ("UPDATE a SET b=$1::TEXT WHERE a.c = $2::UUID", False),
        ("DELETE FROM a WHERE a.c = $2::UUID", False),
        ("SAVEPOINT sa_savepoint_1", False),
        ("SELECT count(*) FROM a", True),
        ('SELECT "lock" (1)', True),
        ("SELECT a.b INTO TEMPORARY c FROM a", True),
        ("SELECT 1; LISTEN a", True),
        ("SELECT lock/* */(1)", True),
        ("SELECT a.b FROM a WHERE a.b || $1::TEXT >= a.c AND a.d != $2::BIGINT - 1", False),
        ("SELECT a.b FROM a WHERE a.b <+> $1::BIGINT", True),
        ("LISTEN a", True),
        ("DECLARE a CURSOR WITH HOLD FOR SELECT 1", True),
    ],
)
def test_in_doubt_a_statement_leaves_something(statement: str, *, leaves: bool) -> None:
    assert leaves_nothing(statement) is not leaves


# --- The twins. ---


async def left_at_all(backend: SqlAlchemyBackend) -> list[str]:
    return [
        name
        for name, statement in LEAVING.items()
        for lasts in (True, False)
        if await left_by(backend, statement(), lasts=lasts) != CLEAN
    ]


@pytest.mark.parametrize(
    ("place", "mutant"),
    [
        ("transaction.CLEAR_AND_LOOK", Clearing("SELECT")),
        ("pool.CLEAR_AND_LOOK", Clearing("SELECT")),
        ("scope.TenantCompiler.leaves_nothing", True),
        ("scope.leaves_nothing", lambda sql: True),
    ],
    ids=[
        "a commit that clears nothing",
        "a rollback that clears nothing",
        "no statement leaves anything",
        "no SQL does",
    ],
)
async def test_a_mutant_leaves_something(
    lonely: SqlAlchemyBackend, place: str, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"prismicx.adapters.sqlalchemy.{place}", mutant)

    assert await left_at_all(lonely)
