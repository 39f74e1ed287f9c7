"""What units of work do about the outbox where there is none, and where it cannot be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.errors import UnsupportedOperationError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.contracts.selling import Sold, Unspeakable, sell
from prismicx.testing.contracts.working import stored_count
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME = TenantId("acme")


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with MemoryBackend(EXAMPLE_MAPPINGS, outbox=True) as backend:
        yield backend


async def test_without_an_outbox_events_cost_nothing_and_may_be_anything() -> None:
    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend, backend.unit_of_work(ACME) as uow:
        uow.repository(Widgets).add(widget := Widget())
        widget.record(Unspeakable())
        await uow.commit()

    assert not backend.has_outbox
    with pytest.raises(UnsupportedOperationError, match="outbox=True"):
        _ = backend.outbox


async def test_work_over_all_tenants_stores_each_tenants_events(backend: MemoryBackend) -> None:
    tenants = [ACME, TenantId("globex")]
    for tenant in tenants:
        await sell(backend, tenant, 1)

    async with backend.system_unit_of_work(reason="A test", actor="pytest", read_only=False) as system:
        for widget in await system.repository(Widgets).list():
            widget.amount += 1
            widget.record(Sold(number=2))
        await system.commit()

    entries = [entry.event for entry in await backend.outbox.entries()]
    assert [(event.tenant, event.position) for event in entries] == [
        (each, place) for each in tenants for place in (1, 2)
    ]


async def test_a_dedicated_tenants_events_are_refused_before_anything_is_committed(backend: MemoryBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow._is_dedicated = True
        uow.repository(Widgets).add(widget := Widget())
        widget.record(Sold(number=1))
        with pytest.raises(UnsupportedOperationError, match="dedicated"):
            await uow.commit()

    assert await stored_count(backend, ACME) == 0


async def test_an_adapter_without_an_outbox_says_so(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    own: Any = TrackedBackend._outbox
    monkeypatch.setattr(MemoryBackend, "_outbox", own)
    monkeypatch.setattr(MemoryUnitOfWork, "_store_events", TrackedUnitOfWork._store_events)

    with pytest.raises(UnsupportedOperationError, match="an outbox"):
        _ = backend.outbox
    with pytest.raises(UnsupportedOperationError, match="an outbox"):
        await sell(backend, ACME, 1)
