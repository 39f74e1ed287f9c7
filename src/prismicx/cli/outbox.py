"""`prismicx outbox …`: delivering what units of work have recorded, and looking after what could not be delivered."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias
from uuid import UUID

import typer
from pydantic import JsonValue

from prismicx.application.observing import ObservedPublisher
from prismicx.application.relay import DeadEvents, OutboxRelay, RelayOptions
from prismicx.cli.command import Call, command
from prismicx.cli.output import Answer, table
from prismicx.domain.errors import UnsupportedOperationError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import EntryStatus, Outbox, OutboxEntry, Publisher, key_of

if TYPE_CHECKING:
    from prismicx.container import Container
    from prismicx.settings import Settings

TenantOption: TypeAlias = Annotated[str | None, typer.Option(help="Only this tenant's.", metavar="TENANT")]

_DEFAULTS: Final = RelayOptions()

app: Final = typer.Typer(help="Deliver recorded events, and look after those that fail.", no_args_is_help=True)


@app.command("run")
@command
async def run(
    call: Call,
    *,
    publisher: Annotated[
        str,
        typer.Option(
            help="Where events go: `log`, or a Publisher, or a function from Settings to one.",
            metavar="log|MODULE:ATTRIBUTE",
        ),
    ],
    batch: Annotated[int, typer.Option(min=1, help="Events handed over at once.")] = _DEFAULTS.batch,
    interval: Annotated[
        float, typer.Option(min=0.01, help="Seconds between two looks where there was nothing.")
    ] = _DEFAULTS.interval,
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds that others wait after a relay was killed.")
    ] = _DEFAULTS.lease,
    tries: Annotated[int, typer.Option(min=1, help="Failed tries after which an event is dead.")] = _DEFAULTS.tries,
    tenants: Annotated[int, typer.Option(min=1, help="Tenants served at the same time.")] = _DEFAULTS.tenants,
    dead: Annotated[
        DeadEvents, typer.Option(help="What a dead event means for those of its tenant that follow it.")
    ] = _DEFAULTS.dead,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due now, and end.")] = False,
) -> Answer:
    """Deliver events, in order for each tenant, until SIGTERM or SIGINT; any number may run at the same time.

    What is being published then comes to its end first. Each event is delivered at least once: after a crash or a
    failure some come again.
    """
    from prismicx.adapters.publishers import LoggedRelay  # noqa: PLC0415  # loads the log

    options = RelayOptions(batch=batch, interval=interval, lease=lease, tries=tries, tenants=tenants, dead=dead)
    async with call.services() as services:
        target, telemetry = _publisher(publisher, call.settings()), services.telemetry()
        if telemetry is not None:
            target = ObservedPublisher(target, telemetry)
        observer = LoggedRelay()
        relays = [
            OutboxRelay(outbox, target, options=options, observer=observer) for outbox in _outboxes(services).values()
        ]
        if once:
            count = sum([await relay.deliver_waiting() for relay in relays])
            return Answer({"delivered": count}, f"Delivered {count}.")
        with _stopped_by_signals(relays):
            await asyncio.gather(*(relay.run() for relay in relays))
    return Answer({"stopped": True}, "Stopped.")


@app.command("list")
@command
async def entries(
    call: Call,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead events.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Only events that wait.")] = False,
    tenant: TenantOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Events at most, for each database.")] = 100,
) -> Answer:
    """List the events that have not been delivered, by tenant and position."""
    if dead and pending:
        raise typer.BadParameter("give one of them, or neither", param_hint="--dead, --pending")
    status = EntryStatus.DEAD if dead else EntryStatus.PENDING if pending else None
    only = None if tenant is None else TenantId(tenant)
    async with call.services() as services:
        found = [
            (database, entry)
            for database, outbox in _outboxes(services).items()
            for entry in await outbox.entries(status=status, tenant=only, limit=limit)
        ]
    rows = [
        (str(entry.event.id), *_place(entry), entry.event.name, entry.status, str(entry.attempts), entry.reason or "")
        for _, entry in found
    ]
    headings = ("event", "tenant", "position", "name", "status", "tries", "reason")
    data: dict[str, JsonValue] = {"events": [entry_data(database, entry) for database, entry in found]}
    return Answer(data, table(headings, rows, empty="The outbox is empty."))


@app.command("retry")
@command
async def retry(
    call: Call,
    event: Annotated[UUID | None, typer.Argument(metavar="[EVENT]", help="The event's id.")] = None,
    *,
    tenant: TenantOption = None,
) -> Answer:
    """Ask for a dead event again, or for all of a tenant's: they are pending, as if they had never been tried."""
    if (event is None) is (tenant is None):
        raise typer.BadParameter("give one of them", param_hint="EVENT, --tenant")
    only = None if tenant is None else TenantId(tenant)
    async with call.services() as services:
        count = sum([await outbox.retry(event=event, tenant=only) for outbox in _outboxes(services).values()])
    return Answer({"retried": count}, f"{count} dead event(s) are pending again.")


def entry_data(database: str, entry: OutboxEntry) -> dict[str, JsonValue]:
    """Return what `--json` says of an event; its payload stays where it is."""
    tenant, position = _place(entry)
    return {
        "id": str(entry.event.id),
        "database": database,
        "tenant": None if entry.event.tenant is None else tenant,
        "position": int(position),
        "name": entry.event.name,
        "occurred_at": entry.event.occurred_at.isoformat(),
        "status": entry.status.value,
        "attempts": entry.attempts,
        "reason": entry.reason,
    }


def _place(entry: OutboxEntry) -> tuple[str, str]:
    return key_of(entry.event.tenant), str(entry.event.position)


def _outboxes(services: "Container") -> dict[str, Outbox]:
    """Return the outboxes by the addresses of their databases."""
    from prismicx.adapters.backend import TrackedBackend  # noqa: PLC0415  # loads the log

    backends = [backend for backend in services.backends() if isinstance(backend, TrackedBackend)]
    found = {str(getattr(backend, "address", "memory")): backend.outbox for backend in backends if backend.has_outbox}
    if not found:
        raise UnsupportedOperationError("an outbox until PRISMICX_OUTBOX is set", "this service")
    return found


def _publisher(name: str, settings: "Settings") -> Publisher:
    from prismicx.adapters.publishers import LogPublisher  # noqa: PLC0415  # loads the log
    from prismicx.cli.service import imported  # noqa: PLC0415  # loads the drivers

    if name == "log":
        return LogPublisher()
    found = imported(name, hint="--publisher")
    made = found(settings) if callable(found) and not isinstance(found, Publisher) else found
    if not isinstance(made, Publisher):
        raise typer.BadParameter(
            f"{name} is neither a Publisher nor a function returning one", param_hint="--publisher"
        )
    return made


@contextmanager
def _stopped_by_signals(relays: Sequence[OutboxRelay]) -> Iterator[None]:
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        for relay in relays:
            relay.stop()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
