"""Short ways to say what most contract tests begin or end with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.specification import Criteria, Order
from prismicx.testing.examples import Widget, Widgets

PATIENCE: Final = 20.0
"""Seconds after which a contract takes what has not happened for what never will."""


async def reached(event: asyncio.Event, by: asyncio.Task[Any]) -> None:
    """Wait until a task has set the event.

    Raises:
        Exception: the task has ended before, with this error.
        AssertionError: it has ended before, without any.
        TimeoutError: it has not come there in `PATIENCE` seconds.
    """
    waiting = asyncio.create_task(event.wait())
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait((waiting, by), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not event.is_set():
        await by
        raise AssertionError("it came to its end without coming this far")


async def store(backend: Backend, tenant: TenantId, *widgets: Widget) -> None:
    """Add the widgets in a unit of work of their own, and commit."""
    async with backend.unit_of_work(tenant) as uow:
        uow.repository(Widgets).add_many(widgets)
        await uow.commit()


async def stored(backend: Backend, tenant: TenantId, widget: Widget) -> Widget | None:
    """Return the widget of the same identity as a unit of work of its own finds it, or `None`."""
    async with backend.unit_of_work(tenant, read_only=True) as uow:
        return await uow.repository(Widgets).find(widget.id)


async def listed(
    backend: Backend, tenant: TenantId, criteria: Criteria | None = None, order_by: Sequence[Order] = ()
) -> list[Widget]:
    """Return what a unit of work of its own lists."""
    async with backend.unit_of_work(tenant, read_only=True) as uow:
        return await uow.repository(Widgets).list(criteria, order_by=order_by)


async def named(backend: Backend, tenant: TenantId, criteria: Criteria) -> set[str]:
    """Return the names of the widgets that meet the criteria."""
    return {widget.name for widget in await listed(backend, tenant, criteria)}


async def stored_count(backend: Backend, tenant: TenantId) -> int:
    """Return how many widgets a unit of work of its own counts."""
    async with backend.unit_of_work(tenant, read_only=True) as uow:
        return await uow.repository(Widgets).count()
