"""A deadline reaches the server in the message that begins, and so does an idempotency key: on real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME, backend_on, make_places
from tests.adapters.sqlalchemy.test_wire_trips import Wired, wired

from prismicx.adapters.running import Run
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, SqlAlchemyUnitOfWork, raw_sql
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.domain.causes import Cause
from prismicx.domain.errors import (
    AlreadyAppliedError,
    CommitOutcomeUnknownError,
    DeadlineExceededError,
    PrismicxError,
    StatementTimeoutError,
    TransactionConflictError,
)
from prismicx.domain.isolation import Isolation
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.testing.contracts.running import adding
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Widget, Widgets

__all__ = ["wired"]

SETTINGS = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "transaction_isolation")


async def shown(uow: UnitOfWork, name: str) -> str:
    """Return a setting as the unit's transaction has it."""
    assert isinstance(uow, SqlAlchemyUnitOfWork)
    return str((await uow.session.execute(raw_sql(f"SHOW {name}"))).scalar())


async def slowly(uow: UnitOfWork, seconds: float) -> None:
    """Keep the server busy."""
    assert isinstance(uow, SqlAlchemyUnitOfWork)
    await uow.session.execute(raw_sql(f"SELECT pg_sleep({seconds})"))


async def test_the_server_knows_the_limits_while_the_unit_lasts(backend: SqlAlchemyBackend) -> None:
    async with backend.unit_of_work(ACME, deadline=60, isolation=Isolation.SERIALIZABLE) as uow:
        during = [await shown(uow, name) for name in SETTINGS]
    async with backend.unit_of_work(ACME) as uow:
        after = [await shown(uow, name) for name in SETTINGS]

    assert "0" not in during[:3]
    assert during[3] == "serializable"
    assert after == ["0", "0", "0", "read committed"]


async def test_postgresql_15_has_the_limits_that_it_knows(backend15: SqlAlchemyBackend) -> None:
    async with backend15.unit_of_work(ACME, deadline=60) as uow:
        assert await shown(uow, "statement_timeout") != "0"
        assert await shown(uow, "idle_in_transaction_session_timeout") != "0"


async def test_a_statement_is_stopped_on_the_server_too(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    with pytest.raises(DeadlineExceededError):
        async with backend.unit_of_work(ACME, deadline=0.1) as uow:
            await slowly(uow, 60)

    async with asyncio.timeout(10), backend.unit_of_work(ACME) as uow:
        await uow.repository(Widgets).count()
    connection = await asyncpg.connect(database.superuser_dsn)
    busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
    async with asyncio.timeout(10):
        while await connection.fetchval(busy):
            """It is asked again: the server stops a statement in its own time."""
    await connection.close()


async def test_a_service_that_hangs_is_stopped_by_the_server(backend: SqlAlchemyBackend) -> None:
    async with backend.unit_of_work(ACME, deadline=0.1) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        assert uow.deadline is not None
        assert uow.deadline._timer is not None
        uow.deadline._timer.cancel()
        uow.deadline._ends -= 1  # our clock is past it, and does not ring
        with pytest.raises(DeadlineExceededError):
            await uow.attempt(uow.transaction.fetch("SELECT pg_sleep(60)", []))


async def test_a_limit_of_the_teams_own_is_no_deadline(backend: SqlAlchemyBackend) -> None:
    async with backend.unit_of_work(ACME, deadline=60) as uow:
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        await uow.session.execute(raw_sql("SET LOCAL statement_timeout = 20"))
        with pytest.raises(StatementTimeoutError):
            await uow.attempt(uow.transaction.fetch("SELECT pg_sleep(60)", []))


async def test_waiting_for_a_connection_is_part_of_the_time(database: PostgresDatabase) -> None:
    async with backend_on(database, connections=1) as backend:
        await make_places(backend)
        async with backend.unit_of_work(ACME):
            with pytest.raises(DeadlineExceededError, match="waited for a connection"):
                async with backend.unit_of_work(ACME, deadline=0.05):
                    pass
        async with backend.unit_of_work(ACME) as uow:
            assert await uow.repository(Widgets).count() == 0


async def test_time_that_is_over_in_commit_leaves_the_outcome_unknown(backend: SqlAlchemyBackend) -> None:
    uow = backend.unit_of_work(ACME, deadline=60)
    async with uow:
        uow.repository(Widgets).add(Widget())
        await uow.flush()
        assert uow.deadline is not None
        asyncio.get_running_loop().call_soon(uow.deadline.interrupt)
        with pytest.raises(CommitOutcomeUnknownError) as unknown:
            await uow.commit()

    assert unknown.value.cause is Cause.DEADLINE_IN_COMMIT


# --- On the wire. ---


async def trips(wired: Wired, **options: Any) -> int:
    backend, wire = wired
    before = wire.trips
    async with backend.unit_of_work(ACME, **options) as uow:
        await uow.repository(Widgets).count()
        await uow.commit()
    return wire.trips - before


async def test_a_deadline_and_an_isolation_cost_no_trip(wired: Wired) -> None:
    await trips(wired)

    assert await trips(wired, deadline=30, isolation=Isolation.REPEATABLE_READ) == 3


async def test_a_key_costs_no_trip_or_one_with_a_proof_of_tenant(wired: Wired) -> None:
    await trips(wired)

    proven = wired[0]._client.proof is not None
    assert await trips(wired, idempotency_key="order 1") == (4 if proven else 3)
    with pytest.raises(AlreadyAppliedError):
        await trips(wired, idempotency_key="order 1")


@pytest.mark.parametrize(("moment", "tries"), [("cut_before", 2), ("cut_after", 1)])
async def test_a_wire_that_breaks_during_commit_is_asked_for_by_the_key(wired: Wired, moment: str, tries: int) -> None:
    backend, wire = wired
    work = adding()

    async def work_and_cut(uow: UnitOfWork) -> int:
        tried = await work(uow)
        setattr(wire, moment, b"COMMIT" if tried == 1 else None)
        return tried

    async def mend(seconds: float) -> None:
        setattr(wire, moment, None)

    def open_unit(seconds: float | None) -> SqlAlchemyUnitOfWork:
        unit = backend.unit_of_work(ACME, idempotency_key="order 1")
        assert isinstance(unit, SqlAlchemyUnitOfWork)
        return unit

    # What waits between two tries mends the wire.
    done = await Run(open_unit, work_and_cut, retry=Retry(), sleep=mend).result()

    assert done == work.tries == tries
    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 1


# --- Causes. ---


def named(error: BaseException, *, committing: bool) -> PrismicxError:
    """Return what a driver's error over an open connection becomes."""

    class Open:
        def is_closed(self) -> bool:
            return False

    connection: Any = Open()
    with pytest.raises(PrismicxError) as raised, Translation(connection, {}, committing=committing):
        raise error
    return raised.value


def test_a_shard_that_does_not_commit_leaves_the_outcome_unknown() -> None:
    broken = asyncpg.InternalServerError("could not commit transaction for shard 102449 on at least one active node")

    assert isinstance(named(broken, committing=True), CommitOutcomeUnknownError)
    assert named(broken, committing=True).cause is Cause.SHARDS_DISAGREE
    assert named(broken, committing=False).cause is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (asyncpg.SerializationError, Cause.SERIALIZATION),
        (asyncpg.DeadlockDetectedError, Cause.DEADLOCK),
        (asyncpg.LockNotAvailableError, Cause.LOCK_TAKEN),
        (asyncpg.InvalidCachedStatementError, Cause.STALE_STATEMENT),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_conflict_names_its_cause(error: type[asyncpg.PostgresError], cause: Cause) -> None:
    conflict = named(error("gave way"), committing=False)

    assert isinstance(conflict, TransactionConflictError)
    assert conflict.cause is cause


async def test_a_table_that_changes_under_a_prepared_statement_is_tried_again(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    widget = Widget()
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(widget)
        await uow.commit()
    owner = await asyncpg.connect(database.admin_dsn)
    tries = 0

    async def read_twice(uow: UnitOfWork) -> int:
        nonlocal tries
        tries += 1
        await uow.repository(Widgets).list(Widget.code == widget.code)
        return len(await uow.repository(Widgets).list(Widget.code == widget.code))

    assert await backend.run(ACME, read_twice) == 1
    await owner.execute("ALTER TABLE widgets ALTER COLUMN name TYPE varchar")
    await owner.close()

    assert await backend.run(ACME, read_twice, retry=Retry(base=0.001, cap=0.001)) == 1
    assert tries == 3
