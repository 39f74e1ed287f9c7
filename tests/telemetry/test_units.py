"""What is heard of units of work: each once, with its tenant, its try, its wait and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.poolers.conftest import prepare
from tests.telemetry.recording import Recording

from prismicx.adapters import unit_of_work
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.domain.errors import CommitOutcomeUnknownError, ConcurrencyError, TenantNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.domain.telemetry import SILENT, Activity, observed
from prismicx.testing.databases import PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, AdmissionByName, Widget, Widgets

ACME = TenantId("acme")


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
async def backend(recording: Recording) -> AsyncIterator[MemoryBackend]:
    async with MemoryBackend(EXAMPLE_MAPPINGS, admission=AdmissionByName(), telemetry=recording) as backend:
        yield backend


async def test_a_unit_is_heard_of_once_with_its_tenant_and_how_it_ended(
    backend: MemoryBackend, recording: Recording
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        await uow.commit()
    async with backend.unit_of_work(ACME, read_only=True):
        pass
    with pytest.raises(FileNotFoundError):
        async with backend.unit_of_work(ACME):
            raise FileNotFoundError("the team's own")
    with pytest.raises(TenantNotFoundError):
        async with backend.unit_of_work(TenantId("unknown-1")):
            pass

    assert recording.outcomes() == ["committed", "rolled back", "failed", "failed"]
    first, second, third, fourth = recording.heard
    assert (first.activity, first.tenant) == (Activity.UNIT, ACME)
    assert first.facts == {"backend": "MemoryBackend", "read_only": False, "try": 1}
    assert second.facts["read_only"] is True
    assert isinstance(third.error, FileNotFoundError)
    assert isinstance(fourth.error, TenantNotFoundError)


async def test_a_commit_that_failed_is_heard_of_even_where_its_error_is_caught(
    backend: MemoryBackend, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(unit: object) -> None:
        raise CommitOutcomeUnknownError("lost")

    monkeypatch.setattr("prismicx.adapters.memory.unit_of_work.MemoryUnitOfWork._commit", lose)
    async with backend.unit_of_work(ACME) as uow:
        with pytest.raises(CommitOutcomeUnknownError):
            await uow.commit()

    assert recording.outcomes() == ["unknown"]


async def test_an_error_after_the_commit_does_not_undo_it(backend: MemoryBackend, recording: Recording) -> None:
    async def commit_and_fail(uow: UnitOfWork) -> None:
        await uow.commit()
        raise FileNotFoundError("later")

    with pytest.raises(FileNotFoundError):
        await backend.run(ACME, commit_and_fail)

    assert recording.outcomes() == ["committed"]


async def test_each_try_is_heard_of_with_its_number(backend: MemoryBackend, recording: Recording) -> None:
    async def work(uow: UnitOfWork) -> None:
        if len(recording.heard) < 3:
            raise ConcurrencyError("Widget", [])

    await backend.run(ACME, work, retry=Retry(base=0.0001, cap=0.0001))

    assert [(heard.facts["try"], heard.outcome) for heard in recording.heard] == [
        (1, "failed"),
        (2, "failed"),
        (3, "committed"),
    ]


async def test_the_wait_for_a_connection_is_measured(
    recording: Recording, prismicx_postgres_database: PostgresDatabases
) -> None:
    database = await prismicx_postgres_database("poolers", prepare)
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, telemetry=recording) as backend:

        async def count(uow: UnitOfWork) -> None:
            await uow.repository(Widgets).count()

        async with backend.unit_of_work(ACME) as first:
            second = asyncio.create_task(backend.run(ACME, count))
            for _ in range(50):
                await first.repository(Widgets).exists()
            await first.commit()
        await second

    of_first, of_second = (float(heard.facts["pool_wait"]) for heard in recording.heard)
    assert of_first < of_second


def test_a_block_is_heard_of_as_done_or_failed(recording: Recording) -> None:
    with observed(recording, Activity.STEP, tenant=ACME, step="schemas") as observation:
        observation.note(action="ensure")
    with pytest.raises(FileNotFoundError), observed(recording, Activity.DELIVERY, tenant=None, events=2):
        raise FileNotFoundError

    assert recording.outcomes() == ["done", "failed"]
    assert recording.heard[0].facts == {"step": "schemas", "action": "ensure"}


def test_nobody_hears_the_silent_one() -> None:
    with observed(SILENT, Activity.STEP, tenant=ACME) as observation:
        observation.note(step="schemas")


async def test_without_telemetry_nothing_of_a_unit_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_of_work, "ObservedUnit", None)  # whoever makes one fails
    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend, backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(Widget())
        await uow.commit()
