"""Whatever fails, and whenever: what was reported done is there once, what was not is absent, the rest is unknown."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from tests.faults.history import TENANTS, Step, World, histories, play
from tests.faults.ledger import Ledger, Outcome
from tests.faults.mongo import MongoWorld
from tests.faults.postgres import PostgresWorld

from prismicx.domain.errors import CommitOutcomeUnknownError, ConnectionLostError, TransactionConflictError
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.testing.examples import Widget, Widgets

HISTORIES = int(os.environ.get("PRISMICX_SOAK_HISTORIES", "50"))

SUPPRESSED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@settings(max_examples=HISTORIES, suppress_health_check=SUPPRESSED)
@given(history=histories(PostgresWorld.kinds))
async def test_on_postgresql_what_is_stored_is_what_was_reported(postgres: PostgresWorld, history: list[Step]) -> None:
    assert await play(history, postgres) == []


@settings(max_examples=HISTORIES, suppress_health_check=SUPPRESSED)
@given(history=histories(MongoWorld.kinds))
async def test_on_mongodb_what_is_stored_is_what_was_reported(mongo: MongoWorld, history: list[Step]) -> None:
    assert await play(history, mongo) == []


@pytest.fixture(params=["postgres", "mongo"])
def world(request: pytest.FixtureRequest, postgres: PostgresWorld, mongo: MongoWorld) -> World:
    return postgres if request.param == "postgres" else mongo


async def reported(world: World, *, tries: int) -> list[str]:
    """Let a unit lose the answer to its commit, and the line be whole again if it is tried again; see `violations`."""
    ledger = Ledger()
    opened = 0

    async def work(uow: UnitOfWork) -> None:
        nonlocal opened
        opened += 1
        world.line.heal()
        uow.repository(Widgets).add(Widget(name="lost"))
        await uow.flush()
        if opened == 1:
            world.line.cut_after = world.commit

    try:
        await world.backend.run(TENANTS[0], work, retry=Retry(tries=tries, base=0.001, cap=0.001))
        outcome = Outcome.DONE
    except CommitOutcomeUnknownError:
        outcome = Outcome.UNKNOWN
    except ConnectionLostError:
        outcome = Outcome.NOT_DONE
    ledger.enter("lost", outcome, writes=1)
    await world.recover()
    return ledger.violations(await world.stored())


async def test_a_lost_commit_is_reported_as_unknown_and_not_repeated(world: World) -> None:
    assert await reported(world, tries=2) == []


async def test_an_adapter_that_reports_a_lost_commit_as_not_done_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_lost_commits_for_failures(monkeypatch)

    assert await reported(world, tries=1) == ["lost was reported not done, and 1 of 1 are stored"]


async def test_an_adapter_that_repeats_a_lost_commit_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_lost_commits_for_failures(monkeypatch)

    assert await reported(world, tries=2) == ["lost was reported done, and 2 of 1 are stored"]


async def reported_of_a_lone_write(world: MongoWorld) -> list[str]:
    """Let the driver's second try of a unit's only write be refused for what the first has done."""
    ledger = Ledger()

    async def work(uow: UnitOfWork) -> None:
        uow.repository(Widgets).add(Widget(name="lone"))
        await world.refuse_what_is_sent_again()

    try:
        await world.backend.run(TENANTS[0], work, retry=Retry(tries=1))
        outcome = Outcome.DONE
    except CommitOutcomeUnknownError:
        outcome = Outcome.UNKNOWN
    except TransactionConflictError:
        outcome = Outcome.NOT_DONE
    ledger.enter("lone", outcome, writes=1)
    await world.recover()
    return [outcome.value, *ledger.violations(await world.stored())]


async def test_a_lone_write_that_is_refused_after_a_lost_answer_is_reported_as_unknown(mongo: MongoWorld) -> None:
    assert await reported_of_a_lone_write(mongo) == ["unknown"]


async def test_an_adapter_that_believes_such_a_refusal_is_found_out(
    mongo: MongoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prismicx.adapters.beanie.unit_of_work.has_lost_an_answer", lambda session: False)

    violation = "lone was reported not done, and 1 of 1 are stored"
    assert await reported_of_a_lone_write(mongo) == ["not done", violation]


def take_lost_commits_for_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the bug: as if nothing were written whenever a connection breaks."""
    for adapter in ("sqlalchemy", "beanie"):
        monkeypatch.setattr(f"prismicx.adapters.{adapter}.errors.CommitOutcomeUnknownError", ConnectionLostError)
