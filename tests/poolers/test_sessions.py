"""What one client does through PgBouncer in transaction mode, piece by piece, and the mutants that this catches."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest
from tests.poolers.bouncer import PgBouncer
from tests.poolers.load import make_counters
from tests.poolers.residue import CLEAN, residues
from tests.poolers.work import LEAVE, TENANTS, Report, Worker

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof, raw_sql
from prismicx.adapters.sqlalchemy.clearing import Clearing
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.errors import DatabaseError, DatabaseUnavailableError, SettingsError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME, GLOBEX, *_ = TENANTS


def unit(backend: SqlAlchemyBackend, tenant: TenantId = ACME) -> SqlAlchemyUnitOfWork:
    opened = backend.unit_of_work(tenant)
    assert isinstance(opened, SqlAlchemyUnitOfWork)
    return opened


async def looked_for(backend: SqlAlchemyBackend, bouncer: PgBouncer, database: PostgresDatabase) -> list[str]:
    """Let four tasks work, end a session each way, and return what they, or a look at the server's, found wrong."""
    await make_counters(database.dsn, database.admin_dsn, "none")
    report = Report()
    await asyncio.gather(*(Worker(backend, f"0.{task}", report).run(40) for task in range(4)))
    left = await residue_of_all(bouncer, database)
    for lasts in (True, False):
        await leave(backend, lasts=lasts)
        left += await residue_of_all(bouncer, database)
    return [*report.errors, *report.wrong, *left]


async def leave(backend: SqlAlchemyBackend, *, lasts: bool) -> None:
    """Leave a setting and a lock in a session that is committed, or rolled back."""
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql(LEAVE), {"tenant": str(ACME)})
        if lasts:
            await uow.commit()


async def residue_of_all(bouncer: PgBouncer, database: PostgresDatabase) -> list[str]:
    """Return what is left in the server's sessions."""
    return [str(residue) for residue in (await residues(bouncer.before(database.dsn))).values() if residue != CLEAN]


async def test_nothing_is_wrong_and_nothing_is_left(
    backend: SqlAlchemyBackend, pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    assert await looked_for(backend, pgbouncer, database) == []


@pytest.mark.parametrize(
    ("place", "mutant"),
    [
        (
            "prismicx.adapters.sqlalchemy.client.opening_message",
            lambda begin, tenant, **_: f"{begin}; SELECT set_config('app.current_tenant_id', '{tenant}', false)",
        ),
        (
            "prismicx.adapters.sqlalchemy.transaction.DeclaredCursor.of",
            lambda connection, sql, arguments: connection.cursor(sql, *arguments),
        ),
        ("prismicx.adapters.sqlalchemy.transaction.CLEAR_ALL", Clearing("SELECT")),
        ("prismicx.adapters.sqlalchemy.pool.CLEAR_ALL", Clearing("SELECT")),
    ],
    ids=[
        "a tenant set for the session",
        "streams over prepared statements",
        "a commit that clears nothing",
        "a rollback that clears nothing",
    ],
)
async def test_a_mutant_leaves_something(
    place: str,
    mutant: object,
    backend: SqlAlchemyBackend,
    pgbouncer: PgBouncer,
    database: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, mutant)

    assert await looked_for(backend, pgbouncer, database)


async def test_streams_run_beside_each_other_and_end_early(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        uow.repository(Widgets).add_many([Widget(amount=number) for number in range(1500)])
        await uow.commit()

    async with unit(backend) as uow:
        widgets = uow.repository(Widgets)
        first, second = widgets.stream(), widgets.stream(Widget.amount < 10)
        pairs = [(await anext(first), each) async for each in second]
        await first.aclose()  # type: ignore[attr-defined]  # streams are generators
        assert len(pairs) == 10
        assert await widgets.count() == 1500
        await uow.commit()


async def test_a_failed_transaction_is_not_taken_for_a_committed_one(backend: SqlAlchemyBackend) -> None:
    async with unit(backend) as uow:
        uow.repository(Widgets).add(Widget(code="lost"))
        await uow.flush()
        with suppress(Exception):
            await uow.session.execute(raw_sql("SELECT 1/0"))
        with pytest.raises(DatabaseError, match="25P02"):
            await uow.commit()

    async with unit(backend) as uow:
        assert not await uow.repository(Widgets).exists()


async def test_temporary_tables_do_not_reach_the_next_client(
    backend: SqlAlchemyBackend, pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    owner = await asyncpg.connect(database.superuser_dsn)
    await owner.execute(f'GRANT TEMPORARY ON DATABASE "{database.name}" TO PUBLIC')
    await owner.close()
    async with unit(backend) as uow:
        await uow.session.execute(raw_sql("CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS one"))
        await uow.commit()
    async with unit(backend, GLOBEX) as uow:
        await uow.session.execute(raw_sql("CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS one"))

    assert set((await residues(pgbouncer.before(database.dsn))).values()) == {CLEAN}


async def test_what_a_lent_connection_did_lasts_and_leaves_nothing(
    pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    client = DatabaseClient.from_dsn(pgbouncer.before(database.dsn), min_pool_size=1, pooler="transaction")
    await client.initialize()
    async with client.connection() as connection:
        await connection.execute("SELECT set_config('prismicx.left_behind', 'x', false), pg_advisory_lock(1)")
        assert await connection.fetchval("SELECT current_setting('prismicx.left_behind')") == "x"
        assert await connection.fetchval("SELECT $1::int[]", [1, 2]) == [1, 2]
    with pytest.raises(DatabaseError, match="22012"):
        async with client.connection() as connection:
            await connection.execute("SELECT 1/0")
    await client.close()

    assert set((await residues(pgbouncer.before(database.dsn))).values()) == {CLEAN}


async def test_a_client_that_does_not_know_of_the_pooler_is_told(
    pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    with pytest.raises(DatabaseUnavailableError, match="PRISMICX_POOLER=transaction"):
        await DatabaseClient.from_dsn(pgbouncer.before(database.dsn)).initialize()


async def test_a_statement_that_another_client_has_prepared_is_told_apart(
    lenient_pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    client = DatabaseClient.from_dsn(lenient_pgbouncer.before(database.dsn), min_pool_size=1)
    await client.initialize()
    with pytest.raises(DatabaseError, match="PRISMICX_POOLER=transaction"):
        async with client.connection() as connection:
            await connection.execute("PREPARE mine AS SELECT 1; PREPARE mine AS SELECT 1")
    await client.close()


def test_a_tenant_proof_is_refused(pgbouncer: PgBouncer, database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(pgbouncer.before(database.dsn), pooler="transaction")

    with pytest.raises(SettingsError):
        SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, tenant_proof=TenantProof("k" * 32))
