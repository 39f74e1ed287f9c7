"""A relay: at least once, in order for each tenant, and never in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Self

import pytest

from prismicx.adapters.memory import MemoryBackend
from prismicx.application.relay import DeadEvents, OutboxRelay, RelayOptions, Unobserved
from prismicx.domain.errors import DatabaseUnavailableError, PrismicxError, PublisherUnavailableError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import Claim, EntryStatus, OutboxEntry, Publisher, StoredEvent
from prismicx.testing.contracts.selling import Sold, kept, sell
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


class Consumer(Publisher):
    """Keeps what it was given, and refuses the numbers that it is told to."""

    def __init__(self, *refused: int, error: type[Exception] = ValueError) -> None:
        self.batches: list[list[int]] = []
        self.refused = set(refused)
        self.error = error
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        assert self.is_open
        numbers = [event.read_as(Sold).number for event in events]
        self.batches.append(numbers)
        if self.refused.intersection(numbers):
            raise self.error("not this one")


class Clock:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.moment = utc_now()

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Heard(Unobserved):
    """Remembers what a relay tells."""

    def __init__(self) -> None:
        self.failures: list[tuple[bool, float]] = []
        self.overtakings = 0
        self.interruptions = asyncio.Queue[float]()

    def failed(self, tenant: TenantId | None, *, entry: OutboxEntry, reason: str, dead: bool, wait: float) -> None:
        self.failures.append((dead, wait))

    def overtaken(self, tenant: TenantId | None) -> None:
        self.overtakings += 1

    def interrupted(self, error: PrismicxError, *, wait: float) -> None:
        self.interruptions.put_nowait(wait)


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with MemoryBackend(EXAMPLE_MAPPINGS, outbox=True) as backend:
        yield backend


def relay(backend: MemoryBackend, publisher: Publisher, clock: Clock | None = None, **given: Any) -> OutboxRelay:
    observer = given.pop("observer", None)
    options = RelayOptions(**{"interval": 0.01, "uniform": lambda low, high: high, **given})
    return OutboxRelay(backend.outbox, publisher, options=options, observer=observer, now=clock or utc_now)


async def test_events_are_delivered_in_order_and_in_batches(backend: MemoryBackend) -> None:
    await sell(backend, ACME, *range(1, 6))
    consumer = Consumer()

    assert await relay(backend, consumer, batch=2).deliver_waiting() == 5
    assert consumer.batches == [[1, 2], [3, 4], [5]]
    assert await kept(backend, ACME) == []


async def test_what_failed_together_goes_alone_and_the_rest_together_again(backend: MemoryBackend) -> None:
    await sell(backend, ACME, *range(1, 6))
    consumer, clock = Consumer(2), Clock()
    delivering = relay(backend, consumer, clock, batch=3, tries=3, base=1.0)

    for _ in range(4):
        await delivering.deliver_waiting()
        clock.forward(10)

    assert consumer.batches == [[1, 2, 3], [1], [2], [2]]
    (dead,) = await backend.outbox.entries(status=EntryStatus.DEAD)
    assert (dead.event.read_as(Sold).number, dead.attempts, dead.reason) == (2, 3, "not this one")
    consumer.refused.clear()
    assert await backend.outbox.retry(event=dead.event.id) == 1
    assert await delivering.deliver_waiting() == 4
    assert consumer.batches[4:] == [[2], [3], [4, 5]]


async def test_a_dead_event_holds_its_tenant_and_no_other(backend: MemoryBackend) -> None:
    await sell(backend, ACME, 1, 2)
    await sell(backend, GLOBEX, 3)
    consumer = Consumer(1)

    await relay(backend, consumer, batch=1, tries=1).deliver_waiting()

    assert consumer.batches == [[1], [3]]
    assert await kept(backend, ACME) == [(1, 1), (2, 2)]


async def test_a_dead_event_can_be_stepped_over(backend: MemoryBackend) -> None:
    await sell(backend, ACME, 1, 2)
    consumer = Consumer(1)

    await relay(backend, consumer, batch=1, tries=1, dead=DeadEvents.STEP_OVER).deliver_waiting()
    await relay(backend, consumer, batch=1, tries=1, dead=DeadEvents.STEP_OVER).deliver_waiting()

    assert consumer.batches == [[1], [2]]
    assert await kept(backend, ACME) == [(1, 1)]


async def test_waits_double_up_to_the_cap(backend: MemoryBackend) -> None:
    await sell(backend, ACME, 1)
    heard, clock, consumer = Heard(), Clock(), Consumer(1)
    delivering = relay(backend, consumer, clock, base=1.0, cap=5.0, tries=5, observer=heard)

    for _ in range(5):
        await delivering.deliver_waiting()
        before = len(consumer.batches)
        if not heard.failures[-1][0]:
            clock.forward(heard.failures[-1][1] - 0.01)
            await delivering.deliver_waiting()
            clock.forward(0.01)
        assert len(consumer.batches) == before

    assert heard.failures == [(False, 1.0), (False, 2.0), (False, 4.0), (False, 5.0), (True, 0.0)]


async def test_an_outage_is_nobodys_fault(backend: MemoryBackend) -> None:
    await sell(backend, ACME, 1)
    heard, clock, consumer = Heard(), Clock(), Consumer(1, error=PublisherUnavailableError)
    delivering = relay(backend, consumer, clock, base=1.0, tries=1, observer=heard)

    for _ in range(3):
        await delivering.deliver_waiting()
        clock.forward(60)

    assert heard.failures == [(False, 1.0), (False, 2.0), (False, 4.0)]
    assert [entry.attempts for entry in await backend.outbox.entries()] == [0]


async def test_a_publisher_that_hangs_is_given_up_within_the_lease(backend: MemoryBackend) -> None:
    class Hanging(Consumer):
        async def publish(self, events: Sequence[StoredEvent]) -> None:
            await asyncio.Event().wait()

    await sell(backend, ACME, 1)

    assert await relay(backend, Hanging(), lease=0.02).deliver_waiting() == 0
    (entry,) = await backend.outbox.entries()
    assert (entry.attempts, entry.reason) == (1, "TimeoutError")


async def test_two_relays_do_not_deliver_one_tenant_at_once(backend: MemoryBackend) -> None:
    consumer, other = Consumer(), Consumer()
    for number in range(50):
        await sell(backend, ACME, number)

    async with relay(backend, consumer, batch=5), relay(backend, other, batch=5):
        await emptied(backend)

    assert sorted(chain(*consumer.batches, *other.batches)) == list(range(50))
    for batches in (consumer.batches, other.batches):
        numbers = list(chain(*batches))
        assert numbers == sorted(numbers)


async def test_a_relay_that_was_overtaken_stops_at_once(backend: MemoryBackend) -> None:
    clock, heard = Clock(), Heard()

    class Overtaken(Consumer):
        async def publish(self, events: Sequence[StoredEvent]) -> None:
            await super().publish(events)
            clock.forward(60)
            if len(self.batches) == 1:
                assert await relay(backend, other, clock).deliver_waiting() == 2

    await sell(backend, ACME, 1, 2)
    consumer, other = Overtaken(), Consumer()

    assert await relay(backend, consumer, clock, batch=1, observer=heard).deliver_waiting() == 0
    assert heard.overtakings == 1
    assert (consumer.batches, other.batches) == ([[1]], [[1, 2]])


async def test_leaving_lets_the_batch_under_way_come_to_its_end(backend: MemoryBackend) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Consumer):
        async def publish(self, events: Sequence[StoredEvent]) -> None:
            begun.set()
            await go_on.wait()
            await super().publish(events)

    await sell(backend, ACME, 1, 2)
    consumer = Slow()
    delivering = relay(backend, consumer, batch=1)
    running = asyncio.create_task(delivering.run())
    await begun.wait()
    delivering.stop()
    go_on.set()
    await running

    assert consumer.batches == [[1]]
    assert await kept(backend, ACME) == [(2, 2)]
    assert not consumer.is_open


async def test_a_database_that_does_not_answer_is_waited_for(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, heard, consumer = type(backend.outbox), Heard(), Consumer()
    waiting, claim = outbox.waiting, outbox.claim
    failing = {"waiting": 2, "claim": 1}

    def fails(name: str) -> None:
        if failing[name]:
            failing[name] -= 1
            raise DatabaseUnavailableError("nowhere", "wait")

    async def waiting_or_failing(self: Any, **given: Any) -> Sequence[TenantId | None]:
        fails("waiting")
        return await waiting(self, **given)

    async def claim_or_fail(self: Any, tenant: TenantId, **given: Any) -> Claim | None:
        fails("claim")
        return await claim(self, tenant, **given)

    monkeypatch.setattr(outbox, "waiting", waiting_or_failing)
    monkeypatch.setattr(outbox, "claim", claim_or_fail)
    await sell(backend, ACME, 1)

    async with relay(backend, consumer, base=0.001, observer=heard):
        await emptied(backend)

    assert heard.interruptions.qsize() == 3
    assert consumer.batches == [[1]]


async def test_many_tenants_have_their_turns_and_few_places(backend: MemoryBackend) -> None:
    at_once, most = 0, 0

    class Counting(Consumer):
        async def publish(self, events: Sequence[StoredEvent]) -> None:
            nonlocal at_once, most
            at_once, most = at_once + 1, max(most, at_once + 1)
            await asyncio.sleep(0)
            await super().publish(events)
            at_once -= 1

    for number in range(20):
        await sell(backend, TenantId(f"tenant-{number}"), number)
    consumer = Counting()

    async with relay(backend, consumer, tenants=3):
        await emptied(backend)

    assert most == 3
    assert sorted(chain(*consumer.batches)) == list(range(20))


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"tries": 0}, {"tenants": 0}, {"lease": 0}, {"interval": 0}, {"base": 0}, {"cap": 0.1}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        RelayOptions(**wrong)


async def emptied(backend: MemoryBackend) -> None:
    """Return once there is nothing left to deliver."""
    async with asyncio.timeout(10):
        while await backend.outbox.entries():  # noqa: ASYNC110 -- what it waits for is in another task's hands
            await asyncio.sleep(0.005)
