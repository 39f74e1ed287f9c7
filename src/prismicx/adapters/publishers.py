"""Publishers: what a relay hands events to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

import structlog

from prismicx.domain.errors import PrismicxError, PublisherUnavailableError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import OutboxEntry, Publisher, StoredEvent, key_of

_log = structlog.get_logger(__name__)


class LogPublisher(Publisher):
    """Writes a line for each event to the log, without its payload, which may hold what no log should."""

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        for event in events:
            facts = {"id": str(event.id), "tenant": key_of(event.tenant), "position": event.position}
            _log.info("outbox.event", name=event.name, occurred_at=event.occurred_at.isoformat(), **facts)


class CallablePublisher(Publisher):
    """Awaits a function with the events of one tenant, in order; what it raises is what `publish` would.

    Args:
        function: takes the events; its return says that they are taken care of.
    """

    def __init__(self, function: Callable[[Sequence[StoredEvent]], Awaitable[object]]) -> None:
        self._function = function

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        await self._function(events)


class Broker(Protocol):
    """What is used of a FastStream broker."""

    async def connect(self) -> Any: ...
    async def stop(self) -> None: ...

    @property
    def publish(self) -> Callable[..., Awaitable[Any]]:  # brokers call its second parameter what they like
        ...


def _destination(event: StoredEvent) -> str:
    return f"events.{event.name}"


def _no_options(event: StoredEvent) -> Mapping[str, Any]:
    return {}


_UNREACHABLE: Final[tuple[type[Exception], ...]] = (OSError,)  # TimeoutError is one of them


class FastStreamPublisher(Publisher):
    """Publishes to a broker of FastStream, one message after the other: `StoredEvent` as JSON.

    A consumer declares `async def handle(event: StoredEvent)`.

    An event counts as delivered once `broker.publish` returns, so make it one that waits for the server: with NATS,
    name the stream (`options=lambda event: {"stream": "events"}`), for without JetStream nobody confirms anything.

    Args:
        broker: of FastStream's; connected and stopped with the relay unless it is `shared`.
        destination: the subject, topic, queue or channel of an event; by default `events.` and its name.
        options: further arguments of `broker.publish`, for each event: `stream`, `key`, `headers`, as the broker has
            them.
        unreachable: the errors of the broker that mean that nobody answers, so that no try of the event is counted.
        shared: whether somebody else connects and stops the broker.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        destination: Callable[[StoredEvent], str] = _destination,
        options: Callable[[StoredEvent], Mapping[str, Any]] = _no_options,
        unreachable: tuple[type[Exception], ...] = _UNREACHABLE,
        shared: bool = False,
    ) -> None:
        self._broker = broker
        self._destination = destination
        self._options = options
        self._unreachable = unreachable
        self._shared = shared

    async def __aenter__(self) -> Self:
        if not self._shared:
            await self._broker.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._shared:
            await self._broker.stop()

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        for event in events:
            message, destination = event.model_dump(mode="json"), self._destination(event)
            try:
                await self._broker.publish(message, destination, correlation_id=str(event.id), **self._options(event))
            except self._unreachable as error:
                reason = str(error) or type(error).__name__
                raise PublisherUnavailableError(f"the broker did not take {event.name}: {reason}") from error


class LoggedRelay:
    """Writes what a relay does to the log."""

    def delivered(self, tenant: TenantId | None, *, events: int) -> None:
        _log.info("outbox.delivered", tenant=key_of(tenant), events=events)

    def failed(self, tenant: TenantId | None, *, entry: OutboxEntry, reason: str, dead: bool, wait: float) -> None:
        facts = {"tenant": key_of(tenant), "id": str(entry.event.id), "name": entry.event.name, "reason": reason}
        if dead:
            _log.error("outbox.dead", **facts, tries=entry.attempts + 1)
        else:
            _log.warning("outbox.failed", **facts, tries=entry.attempts + 1, wait=round(wait, 3))

    def overtaken(self, tenant: TenantId | None) -> None:
        _log.warning("outbox.overtaken", tenant=key_of(tenant))

    def interrupted(self, error: PrismicxError, *, wait: float) -> None:
        _log.warning("outbox.interrupted", reason=str(error), wait=round(wait, 3))
