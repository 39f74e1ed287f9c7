"""The tenant on a connection: how it gets lost, stays behind, or is changed, and that it does not here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tests.threats.attacking import attacked, leaks, refusal, unit
from tests.threats.conftest import backend_on
from tests.threats.service import ACME, GLOBEX, Bare, Item, ItemRow, Items

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, raw_sql
from prismicx.domain.errors import TransactionControlError
from prismicx.testing.databases import PostgresDatabase

CONTEXT = "SELECT current_setting('app.current_tenant_id', true)"
OURS = "SELECT tenant_id, name FROM public.items"
ATTACK = "WITH moved AS MATERIALIZED (SELECT set_config('app.current_tenant_id', 'globex', true))"


@pytest.fixture
async def narrow(postgres: SqlAlchemyBackend, database: PostgresDatabase) -> AsyncIterator[SqlAlchemyBackend]:
    """A backend with one connection, which everybody gets in turn."""
    async with backend_on(database, connections=1) as backend:
        yield backend


@pytest.fixture
async def bare_engine(postgres: SqlAlchemyBackend, database: PostgresDatabase) -> AsyncIterator[AsyncEngine]:
    """SQLAlchemy's engine as a team has it, with one connection."""
    address = database.dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(address, pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


# --- Pools. ---


async def test_a_tenant_of_the_session_stays_on_the_pooled_connection(
    bare_engine: AsyncEngine, narrow: SqlAlchemyBackend
) -> None:
    async with bare_engine.begin() as connection:
        await connection.execute(text("SET app.current_tenant_id = 'globex'"))
    async with bare_engine.connect() as connection:
        assert leaks((await connection.execute(text(OURS))).all())

    async with unit(narrow, GLOBEX) as uow:
        assert await uow.repository(Items).count() == 1
        await uow.commit()
    async with narrow._client.connection() as connection:
        assert await connection.fetchval(CONTEXT) in (None, "")
        assert await connection.fetch(OURS) == []


async def test_a_local_setting_outside_of_a_transaction_does_nothing(bare_engine: AsyncEngine) -> None:
    engine = bare_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT set_config('app.current_tenant_id', 'acme', true)"))
        assert (await connection.execute(text(OURS))).all() == []


async def test_what_sql_leaves_on_a_session_is_gone_for_the_next_user(
    narrow: SqlAlchemyBackend, bare_engine: AsyncEngine
) -> None:
    """A transaction pooler hands the session on as it is, so nothing of it is used; what SQL leaves is reset."""
    leave = "SELECT set_config('search_path', 'bare', false), pg_advisory_lock(42)"
    async with bare_engine.begin() as connection:
        await connection.execute(text(leave))
    async with bare_engine.connect() as connection:
        assert await connection.scalar(text("SHOW search_path")) == "bare"
        assert await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 1
        await connection.execute(text("SELECT pg_advisory_unlock_all()"))

    async with unit(narrow) as uow:
        await uow.session.execute(raw_sql(leave))
        await uow.commit()
    assert (await attacked(narrow, "SHOW search_path", tenant=GLOBEX)) != [("bare",)]
    assert await attacked(narrow, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


async def test_a_temporary_table_hides_the_real_one_from_the_next_user(narrow: SqlAlchemyBackend, bare: Bare) -> None:
    connection = bare.connection
    await connection.execute("CREATE TEMP TABLE items AS SELECT 'globex' AS tenant_id, 'globex''s' AS name")
    await connection.reset()  # what asyncpg's own pool does between two users
    assert leaks(await connection.fetch("SELECT tenant_id, name FROM items"))
    await connection.execute("DROP TABLE pg_temp.items")

    assert await refusal(narrow, "CREATE TEMP TABLE items (name text)") == "42501"


async def test_a_statement_prepared_in_sql_waits_for_the_next_user(
    narrow: SqlAlchemyBackend, postgres: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    """The driver runs a statement that it has prepared by its name, and SQL can give that name to another."""
    own = "SELECT 'the own statement' WHERE $1::text <> ''"
    find = "SELECT name FROM pg_prepared_statements WHERE statement = $1"
    connection = await asyncpg.connect(database.dsn)
    assert await connection.fetchval(own, "globex") == "the own statement"
    name = await connection.fetchval(find, own)
    await connection.execute(f'DEALLOCATE "{name}"; PREPARE "{name}" (text) AS SELECT $1 || \' is overheard\'')
    await connection.reset()  # what asyncpg's own pool does between two users
    assert await connection.fetchval(own, "globex") == "globex is overheard"
    await connection.close()

    async with unit(narrow) as uow:
        for statement in ("PREPARE one AS SELECT 1", "DEALLOCATE ALL", "EXECUTE one"):
            with pytest.raises(TransactionControlError):
                await uow.session.execute(raw_sql(statement))
    backends = []
    for prepare in (False, True, False):
        async with narrow._client.connection() as lent:
            backends.append(await lent.fetchval("SELECT pg_backend_pid()"))
            if prepare:
                await lent.execute("PREPARE one AS SELECT 1")
    assert backends[0] == backends[1] != backends[2]


async def test_behind_a_transaction_pooler_nothing_is_prepared_under_a_name(
    postgres: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    """PgBouncer itself is not here; this is what its transaction mode needs of a client."""
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1, pooler="transaction")
    await client.initialize()
    for _ in range(2):
        async with client.session(ACME) as session:
            assert [name for (name,) in await session.execute(select(ItemRow.name))] == ["acme's"]

    async with client.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
        assert await connection.fetchval(CONTEXT) in (None, "")
    await client.close()


# --- Plans. ---


async def test_prepared_plans_serve_tenants_in_turn(narrow: SqlAlchemyBackend) -> None:
    for turn in range(8):
        tenant = (ACME, GLOBEX)[turn % 2]
        async with unit(narrow, tenant) as uow:
            assert [item.name for item in await uow.repository(Items).list()] == [f"{tenant}'s"]
            assert await uow.session.scalar(select(ItemRow.name)) == f"{tenant}'s"
            assert await uow.session.scalar(raw_sql(OURS.replace("tenant_id, ", ""))) == f"{tenant}'s"


# --- Inside of a unit. ---


async def test_a_savepoint_keeps_a_changed_setting(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.items(policy="tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')")
    change = "SELECT set_config('app.current_tenant_id', 'globex', true)"
    bare_all = "SELECT tenant_id FROM bare.items"
    assert leaks(await bare.as_application("SAVEPOINT one", change, "RELEASE SAVEPOINT one", bare_all))
    assert not leaks(await bare.as_application("SAVEPOINT one", change, "ROLLBACK TO SAVEPOINT one", bare_all))

    async with unit(postgres) as uow:
        async with uow.savepoint():
            await uow.repository(Items).find_one(Item.name == "acme's")
        with pytest.raises(TransactionControlError):
            await uow.session.execute(raw_sql("SET LOCAL app.current_tenant_id = 'globex'"))
        async with uow.session.begin_nested():
            assert await uow.session.scalar(select(ItemRow.name)) == "acme's"
        assert await uow.session.scalar(raw_sql(CONTEXT)) == "acme"
        assert await uow.repository(Items).count() == 1


async def test_a_commit_inside_loses_the_tenant(postgres: SqlAlchemyBackend, bare_engine: AsyncEngine) -> None:
    async with bare_engine.connect() as connection:
        await connection.execute(text("SELECT set_config('app.current_tenant_id', 'acme', true)"))
        assert len((await connection.execute(text(OURS))).all()) == 1
        await connection.commit()
        assert (await connection.execute(text(OURS))).all() == []

    async with unit(postgres) as uow:
        for statement in ("COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN", "/* x */ commit"):
            with pytest.raises(TransactionControlError):
                await uow.session.execute(raw_sql(statement))
        for method in (uow.session.commit, uow.session.rollback, uow.session.close, uow.session.connection):
            with pytest.raises(TransactionControlError):
                await method()
        assert await uow.session.scalar(select(ItemRow.name)) == "acme's"


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL app.current_tenant_id = 'globex'",
        'SET LOCAL "app"."current_tenant_id" TO \'globex\'',
        "SET app . current_tenant_id = 'globex'",
        "RESET app.current_tenant_id",
        "RESET ALL",
        "SET ROLE postgres",
        "SET LOCAL ROLE postgres",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET LOCAL SESSION AUTHORIZATION DEFAULT",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET search_path = bare",
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "DO $$ BEGIN SET LOCAL app.current_tenant_id = 'globex'; END $$",
        "-- quietly\nSET LOCAL role = 'postgres'",
    ],
)
async def test_sql_that_changes_tenant_or_role_is_refused(postgres: SqlAlchemyBackend, statement: str) -> None:
    async with unit(postgres) as uow:
        with pytest.raises(TransactionControlError):
            await uow.session.execute(raw_sql(statement))


@pytest.mark.parametrize("statement", ["SET LOCAL statement_timeout = '5s'", "SET CONSTRAINTS ALL DEFERRED"])
async def test_sql_that_sets_what_ends_with_the_transaction_is_not(postgres: SqlAlchemyBackend, statement: str) -> None:
    async with unit(postgres) as uow:
        await uow.session.execute(raw_sql(statement))


async def test_injected_sql_that_calls_set_config_moves_the_tenant(postgres: SqlAlchemyBackend) -> None:
    """No cure with a policy on a setting, and docs/threats.md says so. The session's own statements hold beside it."""
    assert leaks(await attacked(postgres, f"{ATTACK} SELECT items.name FROM moved, public.items"))

    async with unit(postgres) as uow:
        for name in ("set_config", "SET_CONFIG"):
            call = getattr(func, name)("app.current_tenant_id", "globex", True)
            with pytest.raises(TransactionControlError):
                await uow.session.execute(select(call))
        with pytest.raises(TransactionControlError):
            await uow.session.execute(select(func.prismicx.set_tenant("globex")))
        await uow.session.execute(raw_sql(f"{ATTACK} SELECT * FROM moved"))
        assert (await uow.session.execute(select(ItemRow.name))).all() == []
        assert await uow.repository(Items).list() == []


# --- Cancellation. ---


async def test_a_cancelled_unit_leaves_no_tenant_and_no_write(narrow: SqlAlchemyBackend) -> None:
    asked = asyncio.Event()

    async def work() -> None:
        async with unit(narrow) as uow:
            uow.repository(Items).add(Item(name="never"))
            await uow.flush()
            asked.set()
            await uow.session.execute(raw_sql("SELECT pg_sleep(30)"))

    task = asyncio.create_task(work())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with narrow._client.connection() as connection:
        assert await connection.fetchval(CONTEXT) in (None, "")
    async with unit(narrow) as uow:
        assert [item.name for item in await uow.repository(Items).list()] == ["acme's"]


async def test_several_statements_in_one_text_are_an_error(postgres: SqlAlchemyBackend) -> None:
    async with unit(postgres) as uow:
        with pytest.raises(DBAPIError):
            await uow.session.execute(raw_sql("SELECT 1; SELECT 2"))
