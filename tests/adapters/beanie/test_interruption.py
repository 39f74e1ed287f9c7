"""A unit of work over one connection to MongoDB: interrupted wherever it awaits, out of time, cut off in commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from tests.adapters.beanie.examples import Commands, Faults

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.domain.causes import Cause
from prismicx.domain.errors import (
    AlreadyAppliedError,
    CommitOutcomeUnknownError,
    DeadlineExceededError,
    TransactionConflictError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.retry import Retry
from prismicx.testing.contracts.interruption import cancel_everywhere, overdue_everywhere
from prismicx.testing.contracts.running import adding
from prismicx.testing.databases import MongoDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets
from prismicx.testing.interruption import Moment

ACME, GLOBEX = TenantId("acme"), TenantId("globex")

STOPS = 12
"""At how many places the program waits at least, so that nobody interrupts nothing."""


@pytest.fixture
async def lonely(database: MongoDatabase, commands: Commands) -> AsyncIterator[BeanieBackend]:
    """A backend that has one connection for all its tenants."""
    separator = "&" if "?" in database.uri else "?"
    client = MongoDBClient(f"{database.uri}{separator}maxPoolSize=1", database.name)
    async with BeanieBackend(client, EXAMPLE_MAPPINGS) as backend:
        await backend.initialise_database()
        commands.forget()
        yield backend


async def test_cancelled_at_every_await_it_leaves_no_transaction(lonely: BeanieBackend) -> None:
    for moment in Moment:
        assert await cancel_everywhere(lonely, ACME, GLOBEX, moment) >= STOPS


async def test_out_of_time_at_every_await_it_leaves_no_transaction(lonely: BeanieBackend) -> None:
    for moment in (Moment.WAITING, Moment.ARRIVED):
        assert await overdue_everywhere(lonely, ACME, GLOBEX, moment) >= STOPS


async def test_a_cancelled_unit_whose_transaction_goes_on(
    lonely: BeanieBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[AsyncClientSession] = []

    async def leave_open(session: AsyncClientSession, *, unanswered: bool) -> None:
        left.append(session)

    monkeypatch.setattr("prismicx.adapters.beanie.ending._ended", leave_open)

    with pytest.raises((AssertionError, TimeoutError, TransactionConflictError)):
        async with asyncio.timeout(2):
            await cancel_everywhere(lonely, ACME, GLOBEX, Moment.WAITING)
    for session in left:
        await session.end_session()


async def test_every_command_has_what_is_left_of_the_time(lonely: BeanieBackend, commands: Commands) -> None:
    async with lonely.unit_of_work(ACME, deadline=30) as uow:
        uow.repository(Widgets).add_many((Widget(), Widget()))
        await uow.repository(Widgets).count()
        await uow.commit()

    limits = [command.get("maxTimeMS") for command in commands.bodies]
    assert len(limits) >= 3
    assert all(limit is not None and limit <= 30_250 for limit in limits)


async def test_repeatable_reads_are_in_one_transaction(lonely: BeanieBackend, commands: Commands) -> None:
    async with lonely.unit_of_work(ACME, isolation=Isolation.REPEATABLE_READ, read_only=True) as uow:
        await uow.repository(Widgets).count()

    assert commands.bodies[0]["startTransaction"] is True


async def test_a_slow_server_is_waited_for_no_longer(lonely: BeanieBackend, faults: Faults) -> None:
    with faults("aggregate", "find", blockConnection=True, blockTimeMS=3000), pytest.raises(DeadlineExceededError):
        async with lonely.unit_of_work(ACME, deadline=0.1) as uow:
            await uow.repository(Widgets).list()


async def test_time_that_is_over_in_a_single_write_leaves_the_outcome_unknown(
    lonely: BeanieBackend, faults: Faults
) -> None:
    with faults("insert", blockConnection=True, blockTimeMS=3000):
        async with lonely.unit_of_work(ACME, deadline=0.1) as uow:
            uow.repository(Widgets).add(Widget())
            with pytest.raises(CommitOutcomeUnknownError) as unknown:
                await uow.commit()

    assert unknown.value.cause is Cause.DEADLINE_IN_COMMIT


async def test_a_commit_whose_answers_are_lost_is_asked_for_by_the_key(lonely: BeanieBackend, faults: Faults) -> None:
    work = adding()
    # The unit sends it three times, and the driver repeats each: six closed connections. Then the session is ended.
    with faults("commitTransaction", times=6, closeConnection=True):
        tries = await lonely.run(ACME, work, retry=Retry(base=0.001, cap=0.001), idempotency_key="order 1")

    assert tries == work.tries == 1
    with pytest.raises(AlreadyAppliedError):
        await lonely.run(ACME, work, idempotency_key="order 1")
    async with lonely.unit_of_work(ACME) as uow:
        assert await uow.repository(Widgets).count() == 1
