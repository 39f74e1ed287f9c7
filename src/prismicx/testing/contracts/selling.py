"""Events to store, and short ways to say what tests of the outbox begin or end with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import Field

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import UnitOfWork
from prismicx.testing.examples import Widget, Widgets


class Sold(DomainEvent):
    """Something was sold."""

    number: int
    price: Decimal = Decimal("1.50")
    to: str = "Ada \x00 & “friends”"
    parts: dict[str, int] = Field(default_factory=lambda: {"a.b": 1, "$c": 2**70})


class Unspeakable(DomainEvent):
    """An event that JSON cannot hold."""

    thing: Any = object


async def sell(backend: TrackedBackend, tenant: TenantId, *numbers: int) -> None:
    """Commit a unit of work whose aggregate has recorded an event for each of these numbers."""

    async def work(uow: UnitOfWork) -> None:
        widget = Widget()
        uow.repository(Widgets).add(widget)
        for number in numbers:
            widget.record(Sold(number=number))

    await backend.run(tenant, work)


async def kept(backend: TrackedBackend, tenant: TenantId) -> list[tuple[int, int]]:
    """Return position and number of each event that the tenant has in the outbox."""
    entries = await backend.outbox.entries(tenant=tenant)
    return [(entry.event.position, entry.event.read_as(Sold).number) for entry in entries]
