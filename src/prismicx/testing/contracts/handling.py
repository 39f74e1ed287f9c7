"""Handling once: the record of it and what the handler wrote last together, or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prismicx.adapters.backend import TrackedBackend
from prismicx.application.handling import handled_once
from prismicx.domain.errors import CrossTenantError
from prismicx.domain.handled import HandledEvents
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import StoredEvent
from prismicx.domain.ports import UnitOfWork
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import stored_count
from prismicx.testing.examples import Widget, Widgets


def received(tenant: TenantId | None) -> StoredEvent:
    """Return an event as a consumer gets it."""
    return StoredEvent(id=new_id(), name="Sold", tenant=tenant, position=1, occurred_at=utc_now(), payload={})


async def add_widget(uow: UnitOfWork, event: StoredEvent) -> None:
    """Handle an event: by one more widget."""
    uow.repository(Widgets).add(Widget(name=event.name))


async def handle(
    backend: TrackedBackend, tenant: TenantId, event: StoredEvent, *, consumer: str = "sales", commit: bool = True
) -> bool:
    """Handle an event in a unit of the tenant; return whether the handler was run."""
    async with backend.unit_of_work(tenant) as uow:
        was_run = await handled_once(uow, event, add_widget, consumer=consumer)
        if commit:
            await uow.commit()
    return was_run


class HandlingContract(TwoTenants):
    """What `handled_once` promises on every backend."""

    async def test_an_event_is_handled_once(self, backend: TrackedBackend, acme: TenantId) -> None:
        event, other = received(acme), received(acme)

        assert [await handle(backend, acme, each) for each in (event, other, event)] == [True, True, False]
        assert await stored_count(backend, acme) == 2

    async def test_what_was_not_committed_is_handled_again(self, backend: TrackedBackend, acme: TenantId) -> None:
        event = received(acme)

        assert await handle(backend, acme, event, commit=False)
        assert await handle(backend, acme, event)
        assert await stored_count(backend, acme) == 1

    async def test_each_consumer_handles_it(self, backend: TrackedBackend, acme: TenantId) -> None:
        event = received(acme)

        assert [await handle(backend, acme, event, consumer=name) for name in ("sales", "mail")] == [True, True]

    async def test_another_tenants_event_is_refused(
        self, backend: TrackedBackend, acme: TenantId, globex: TenantId
    ) -> None:
        with pytest.raises(CrossTenantError):
            await handle(backend, globex, received(acme))

    async def test_an_event_of_the_registry_is_handled_once_by_each_tenant(
        self, backend: TrackedBackend, acme: TenantId, globex: TenantId
    ) -> None:
        event = received(None)

        assert [await handle(backend, each, event) for each in (acme, globex, acme)] == [True, True, False]

    async def test_old_records_are_forgotten(self, backend: TrackedBackend, acme: TenantId) -> None:
        for _ in range(3):
            await handle(backend, acme, received(acme))

        async with backend.unit_of_work(acme) as uow:
            records = uow.repository(HandledEvents)
            assert await records.forget(utc_now() - timedelta(days=1)) == 0
            assert await records.forget(utc_now() + timedelta(days=1), limit=2) == 2
            await uow.commit()
        async with backend.unit_of_work(acme, read_only=True) as uow:
            assert await uow.repository(HandledEvents).count() == 1
