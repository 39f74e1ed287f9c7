"""A unit of work is run again, whole and fresh, for the errors that leave nothing behind, after a random wait."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prismicx.adapters.memory.backend import MemoryBackend
from prismicx.application.retrying import RETRIED, retry_delays, run_unit_with_retry
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConnectionLostError,
    DatabaseUnavailableError,
    DuplicateEntityError,
    PrismicxError,
    StatementTimeoutError,
    TransactionConflictError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository, UnitOfWork

ACME = TenantId("acme")


class Counter(AggregateRoot):
    name: str
    value: int = 0


class CounterRepository(Repository[Counter]):
    async def named(self, name: str) -> Counter | None:
        return await self.find_one(Counter.name == name)


class Service:
    """Work that fails as often as it is told, in a backend in memory, with waits that are only noted."""

    def __init__(self, backend: MemoryBackend) -> None:
        self.backend = backend
        self.failures: list[BaseException] = []
        self.units: list[UnitOfWork] = []
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def count_up(self, unit: UnitOfWork) -> int:
        self.units.append(unit)
        counters = unit.repository(CounterRepository)
        counter = await counters.named("visits")
        if counter is None:
            counter = Counter(name="visits")
            counters.add(counter)
        counter.value += 1
        await unit.flush()
        if self.failures:
            raise self.failures.pop(0)
        return counter.value

    async def run(self, *, retries: int = 3) -> int:
        return await run_unit_with_retry(
            lambda: self.backend.unit_of_work(ACME),
            self.count_up,
            retries=retries,
            base=1.0,
            cap=3.0,
            sleep=self.sleep,
            uniform=lambda low, high: high,
        )

    async def stored(self) -> int:
        async with self.backend.unit_of_work(ACME) as unit:
            counter = await unit.repository(CounterRepository).named("visits")
            return 0 if counter is None else counter.value


@pytest.fixture
async def service() -> Service:
    backend = MemoryBackend([EntityMapping(Counter, "counters")])
    await backend.start()
    return Service(backend)


TRANSIENT = [
    ConcurrencyError("Counter", (1,)),
    ConnectionLostError("gone"),
    DatabaseUnavailableError("db:5432", "is it running?"),
    TransactionConflictError("40001"),
]


async def test_work_that_succeeds_is_run_once_and_committed(service: Service) -> None:
    assert await service.run() == 1

    assert await service.stored() == 1
    assert service.waits == []


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
async def test_what_left_nothing_behind_is_run_again_in_a_fresh_unit(service: Service, error: PrismicxError) -> None:
    service.failures = [error, error]

    assert await service.run() == 1

    assert await service.stored() == 1
    assert len({id(unit) for unit in service.units}) == 3
    assert service.waits == [1.0, 2.0]


async def test_the_last_error_is_raised_when_the_tries_are_used_up(service: Service) -> None:
    service.failures = [TransactionConflictError(code) for code in ("40001", "40P01", "55P03")]

    with pytest.raises(TransactionConflictError, match="55P03"):
        await service.run(retries=2)

    assert await service.stored() == 0
    assert service.waits == [1.0, 2.0]


async def test_no_retries_means_one_try(service: Service) -> None:
    service.failures = [TransactionConflictError("40001")]

    with pytest.raises(TransactionConflictError):
        await service.run(retries=0)

    assert len(service.units) == 1


@pytest.mark.parametrize(
    "error",
    [
        CommitOutcomeUnknownError("gone"),
        DuplicateEntityError("Counter", ("name",)),
        StatementTimeoutError("57014"),
        ValueError("a mistake"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_nothing_else_is_ever_run_again(service: Service, error: BaseException) -> None:
    service.failures = [error]

    with pytest.raises(type(error)):
        await service.run()

    assert len(service.units) == 1
    assert await service.stored() == 0


def test_an_unknown_outcome_is_none_of_the_errors_that_are_retried() -> None:
    assert not issubclass(CommitOutcomeUnknownError, RETRIED)


async def test_a_conflict_at_commit_is_run_again(service: Service) -> None:
    await service.run()

    async def count_up_while_another_does(unit: UnitOfWork) -> int:
        counter = await unit.repository(CounterRepository).named("visits")
        assert counter is not None
        if not service.waits:
            await service.run()
        counter.value += 1
        return counter.value

    counted = await run_unit_with_retry(
        lambda: service.backend.unit_of_work(ACME), count_up_while_another_does, sleep=service.sleep
    )

    assert counted == await service.stored() == 3


def test_waits_grow_up_to_the_cap() -> None:
    assert list(retry_delays(5, base=0.5, cap=3.0, uniform=lambda low, high: high)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_many_waits_stay_at_the_cap() -> None:
    assert list(retry_delays(5000, base=0.5, cap=3.0, uniform=lambda low, high: high))[-1] == 3.0


def test_no_attempts_yield_no_wait() -> None:
    assert list(retry_delays(0, base=0.5, cap=3.0)) == []


@given(st.integers(0, 30), st.floats(1e-6, 1e3), st.floats(1, 1e6))
def test_each_wait_lies_between_nothing_and_its_bound(attempts: int, base: float, factor: float) -> None:
    cap = base * factor
    waits = list(retry_delays(attempts, base=base, cap=cap))

    assert len(waits) == attempts
    assert all(0 <= wait <= min(cap, base * 2**number) for number, wait in enumerate(waits))


def test_the_bounds_never_shrink() -> None:
    bounds = list(retry_delays(20, base=0.1, cap=7.0, uniform=lambda low, high: high))

    assert all(one <= other for one, other in pairwise(bounds))


@pytest.mark.parametrize(
    ("attempts", "base", "cap"),
    [
        (-1, 1, 1),
        (1, 0, 1),
        (1, -1, 1),
        (1, 2, 1),
        (1, 1, float("inf")),
        (1, float("nan"), 1),
        (1, 1, float("nan")),
    ],
)
def test_an_argument_out_of_range_is_refused_at_once(attempts: int, base: float, cap: float) -> None:
    with pytest.raises(ValueError, match=r"must"):
        retry_delays(attempts, base=base, cap=cap)
