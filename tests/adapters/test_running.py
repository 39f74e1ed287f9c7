"""A run counts its tries, waits between them, says in the log why it tries again, and stops in time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.running import Run
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.applied import AppliedUnit
from prismicx.domain.causes import Cause
from prismicx.domain.errors import AlreadyAppliedError, PrismicxError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.retry import Retry
from prismicx.testing.contracts.running import adding
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME = TenantId("acme")


class Clock:
    """Waits that are only noted."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend:
        yield backend


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(backend: MemoryBackend, clock: Clock, *errors: PrismicxError, tries: int = 4) -> Run[int]:
    """Return a run whose work fails as often as there are errors, with the longest waits."""

    def open_unit(seconds: float | None) -> TrackedUnitOfWork:
        return backend.unit_of_work(ACME)

    retry = Retry(tries=tries, base=1.0, cap=3.0)
    return Run(open_unit, adding(*errors), retry=retry, sleep=clock.sleep, uniform=lambda low, high: high)


async def test_the_waits_grow(backend: MemoryBackend, clock: Clock) -> None:
    conflict = TransactionConflictError("40001")

    assert await run(backend, clock, conflict, conflict, conflict).result() == 4

    assert clock.waits == [1.0, 2.0, 3.0]


async def test_each_try_is_logged_with_its_cause(backend: MemoryBackend, clock: Clock) -> None:
    with capture_logs() as logs:
        await run(backend, clock, TransactionConflictError("40P01", cause=Cause.DEADLOCK)).result()

    assert [(entry["event"], entry["tries"], entry["cause"], entry["wait"]) for entry in logs] == [
        ("unit_of_work.run_again", 1, "DEADLOCK", 1.0)
    ]


async def test_a_statement_that_is_stale_twice_is_no_accident(backend: MemoryBackend, clock: Clock) -> None:
    stale = TransactionConflictError("0A000", cause=Cause.STALE_STATEMENT)
    assert await run(backend, clock, stale).result() == 2

    with pytest.raises(TransactionConflictError):
        await run(backend, clock, stale, stale).result()


async def test_a_record_that_is_forgotten_while_it_is_looked_for_is_no_record(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backend.run(ACME, adding(), idempotency_key="order 1")

    async def gone(self: object, identity: object) -> None:
        """Find nothing."""

    monkeypatch.setattr(backend._wiring.repository_class, "_row", gone)

    with pytest.raises(TransactionConflictError):
        await backend.run(ACME, adding(), idempotency_key="order 1", retry=Retry(tries=1))


async def test_a_key_that_another_has_committed_meanwhile_is_applied_once(backend: MemoryBackend) -> None:
    async with backend.unit_of_work(ACME, idempotency_key="order 1") as uow:
        await backend.run(ACME, adding(), idempotency_key="order 1")

        with pytest.raises(AlreadyAppliedError):
            await uow.commit()


def test_a_key_has_one_identity() -> None:
    one, other = AppliedUnit.of("order 1"), AppliedUnit.of("order 1")

    assert one.id == other.id
    assert one.unit != other.unit
