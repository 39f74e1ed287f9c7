"""A MongoDB server that steps down, hangs up or says nothing: the right error, and work again without a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.faults.history import TENANTS
from tests.faults.line import Line
from tests.faults.mongo import FAIL_POINTS, MongoWorld

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    PrismicxError,
    TransactionConflictError,
)
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.embedded import EmbeddedMongo
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME, _ = TENANTS
ONCE = Retry(tries=1)
PATIENTLY = Retry(tries=10, base=0.01, cap=0.05)


@pytest.fixture
async def world(mongo: MongoWorld) -> AsyncIterator[MongoWorld]:
    yield mongo
    await mongo.recover()
    await mongo.stored()


async def add(uow: UnitOfWork) -> None:
    uow.repository(Widgets).add_many([Widget(), Widget()])  # two, so that it takes a transaction


async def count(backend: Backend) -> int:
    async with backend.unit_of_work(ACME) as uow:
        return await uow.repository(Widgets).count()


@pytest.mark.parametrize("kind", FAIL_POINTS)
async def test_a_unit_that_is_run_is_stored_once_whatever_failed_once(world: MongoWorld, kind: str) -> None:
    await world.fail(kind, times=1)
    await world.backend.run(ACME, add, retry=PATIENTLY)

    assert await count(world.backend) == 2


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("connection closed", (ConnectionLostError, DatabaseUnavailableError)),
        ("not primary", (ConnectionLostError, DatabaseUnavailableError)),
        ("write conflict", TransactionConflictError),
    ],
)
async def test_what_fails_before_commit_is_told_and_leaves_nothing(
    world: MongoWorld, kind: str, error: type[PrismicxError] | tuple[type[PrismicxError], ...]
) -> None:
    await world.fail(kind, times=20)
    async with world.backend.unit_of_work(ACME) as uow:
        await add(uow)
        with pytest.raises(error):
            await uow.flush()
    await world.recover()

    assert await count(world.backend) == 0
    await world.backend.run(ACME, add, retry=PATIENTLY)
    assert await count(world.backend) == 2


@pytest.mark.parametrize("kind", ["commit closed", "shutting down", "commit timed out"])
async def test_a_commit_that_is_never_answered_is_unknown(world: MongoWorld, kind: str) -> None:
    await world.fail(kind, times=50)
    with pytest.raises(CommitOutcomeUnknownError):
        await world.backend.run(ACME, add, retry=PATIENTLY)
    await world.recover()

    await world.backend.run(ACME, add, retry=PATIENTLY)
    assert await count(world.backend) == 2


async def test_a_server_that_says_nothing_is_waited_for_until_the_deadline(world: MongoWorld) -> None:
    async def add_in_silence(uow: UnitOfWork) -> None:
        world.line.say_nothing()
        await add(uow)

    with pytest.raises(DeadlineExceededError):
        await world.backend.run(ACME, add_in_silence, deadline=0.2)
    await world.recover()

    await world.backend.run(ACME, add, retry=PATIENTLY)
    assert await count(world.backend) == 2


async def test_a_server_that_refuses_connections_is_unavailable_until_it_takes_them(world: MongoWorld) -> None:
    world.line.close_the_door()
    with pytest.raises((DatabaseUnavailableError, ConnectionLostError)):
        await world.backend.run(ACME, add, retry=ONCE)
    world.line.heal()
    await world.backend.run(ACME, add, retry=PATIENTLY)

    assert await count(world.backend) == 2


async def test_a_server_that_is_restarted_elsewhere_is_found_again_and_has_everything() -> None:
    with TemporaryDirectory(prefix="prismicx-restart-") as folder, EmbeddedMongo(Path(folder), durable=True) as first:
        async with Line("127.0.0.1", first.port) as line:
            uri = f"mongodb://127.0.0.1:{line.port}/?directConnection=true&serverMonitoringMode=poll"
            client = MongoDBClient(uri, "restart", server_selection_seconds=0.3)
            async with BeanieBackend(client, EXAMPLE_MAPPINGS) as backend:
                await backend.initialise_database()
                await backend.run(ACME, add)
                first.__exit__()
                with pytest.raises((DatabaseUnavailableError, ConnectionLostError)):
                    await backend.run(ACME, add, retry=ONCE)
                with EmbeddedMongo(Path(folder), durable=True) as second:
                    line.lead_to("127.0.0.1", second.port)
                    await backend.run(ACME, add, retry=PATIENTLY)

                    assert await count(backend) == 4
