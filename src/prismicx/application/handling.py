"""Handling events that may come more than once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from prismicx.domain.errors import CrossTenantError
from prismicx.domain.handled import HandledEvent, HandledEvents
from prismicx.domain.outbox import StoredEvent
from prismicx.domain.ports import UnitOfWork

Handler: TypeAlias = Callable[[UnitOfWork, StoredEvent], Awaitable[None]]
"""Does what an event asks for, in a unit of work of its tenant."""


async def handled_once(uow: UnitOfWork, event: StoredEvent, handler: Handler, *, consumer: str) -> bool:
    """Run the handler if this consumer has not handled the event before, and record that it has.

    The record is written in the unit of work that the handler writes in: they last together or not at all, once the
    unit is committed, which is left to the caller. Whatever the handler does elsewhere may happen more than once.

    Args:
        uow: of the tenant that the event belongs to, on a backend that has `HANDLED_EVENTS` among its mappings. An
            event of the registry may be handled in any tenant's, once in each.
        handler: awaited with the unit and the event.
        consumer: names who handles it, for good; each consumer handles each event once.

    Returns:
        Whether the handler was run.

    Raises:
        CrossTenantError: the event is another tenant's.
        DuplicateEntityError, TransactionConflictError: it is being handled by somebody else at this moment; when the
            event comes again, it will be found handled, or free.
        NotMappedError: the backend has no mapping for `HandledEvent`.
    """
    if event.tenant is not None and event.tenant != uow.tenant:
        subject = f"event {event.name} {event.id}"
        raise CrossTenantError(unit=str(uow.tenant or "registry"), other=str(event.tenant), subject=subject)
    records = uow.repository(HandledEvents)
    if await records.find(HandledEvent.identity(consumer, event)) is not None:
        return False
    records.add(HandledEvent.by(consumer, event))
    await uow.flush()  # before the handler, so that of two at once one waits or fails here
    await handler(uow, event)
    return True
