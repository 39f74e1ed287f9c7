"""The outbox: events are stored with the change that they tell of, and leave it in order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.errors import DuplicateEntityError, ReadOnlyUnitOfWorkError, UnstorableValueError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import EntryStatus
from prismicx.domain.registry import TenantRepository
from prismicx.testing.contracts.delivering import DeliveringContract
from prismicx.testing.contracts.selling import Sold, Unspeakable, kept, sell
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import stored_count
from prismicx.testing.examples import Widget, Widgets, example_tenant


class StoringContract(TwoTenants):
    """What units of work do to the outbox."""

    has_savepoints = True

    async def test_events_are_stored_with_the_commit(self, backend: TrackedBackend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(widget := Widget())
            widget.record(first := Sold(number=1))
            await uow.flush()
            assert await kept(backend, acme) == []
            widget.record(Sold(number=2))
            await uow.commit()

        entry, second = await backend.outbox.entries(tenant=acme)
        assert (entry.status, entry.attempts, entry.reason) == (EntryStatus.PENDING, 0, None)
        assert (entry.event.id, entry.event.name, entry.event.tenant) == (first.event_id, "Sold", acme)
        assert abs(entry.event.occurred_at - first.occurred_at) < timedelta(milliseconds=1)
        assert entry.event.read_as(Sold) == first
        assert [entry.event.position, second.event.position] == [1, 2]

    async def test_events_of_a_unit_without_any_change_are_stored(
        self, backend: TrackedBackend, acme: TenantId
    ) -> None:
        await sell(backend, acme, 1)

        async with backend.unit_of_work(acme) as uow:
            (widget,) = await uow.repository(Widgets).list()
            widget.record(Sold(number=2))
            await uow.commit()

        assert await kept(backend, acme) == [(1, 1), (2, 2)]

    async def test_no_event_is_stored_without_commit(self, backend: TrackedBackend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as left:
            left.repository(Widgets).add(widget := Widget())
            widget.record(Sold(number=1))
            await left.flush()
        async with backend.unit_of_work(acme) as failing:
            failing.repository(Widgets).add(widget := Widget())
            widget.record(again := Sold(number=2))
            widget.record(again)
            with pytest.raises(DuplicateEntityError):
                await failing.commit()

        assert await kept(backend, acme) == []
        assert await stored_count(backend, acme) == 0

    async def test_a_savepoint_takes_its_events_back(self, backend: TrackedBackend, acme: TenantId) -> None:
        if not self.has_savepoints:
            pytest.skip("this backend has no savepoints")
        await sell(backend, acme, 1)

        async with backend.unit_of_work(acme) as uow:
            (widget,) = await uow.repository(Widgets).list()
            with pytest.raises(LookupError):
                async with uow.savepoint():
                    widget.record(Sold(number=2))
                    uow.repository(Widgets).add(other := Widget())
                    other.record(Sold(number=3))
                    raise LookupError
            widget.record(Sold(number=4))
            await uow.commit()

        assert await kept(backend, acme) == [(1, 1), (2, 4)]

    async def test_a_commit_that_fails_leaves_no_gap(self, backend: TrackedBackend, acme: TenantId) -> None:
        await sell(backend, acme, 1)

        async with backend.unit_of_work(acme) as failing:
            failing.repository(Widgets).add(widget := Widget())
            known = (await backend.outbox.entries(tenant=acme))[0].event.id
            widget.record(Sold(number=2))
            widget.record(Sold(number=3, event_id=known))
            with pytest.raises(DuplicateEntityError):
                await failing.commit()
        await sell(backend, acme, 4)

        assert await kept(backend, acme) == [(1, 1), (2, 4)]

    async def test_tenants_count_for_themselves(
        self, backend: TrackedBackend, acme: TenantId, globex: TenantId
    ) -> None:
        await sell(backend, acme, 1, 2)
        await sell(backend, globex, 3)

        assert await kept(backend, acme) == [(1, 1), (2, 2)]
        assert await kept(backend, globex) == [(1, 3)]

    async def test_events_of_the_registry_belong_to_no_tenant(self, backend: TrackedBackend, acme: TenantId) -> None:
        event = Sold(number=1)

        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(tenant := example_tenant(acme))
            tenant.record(event)
            await uow.commit()

        entries = [entry.event for entry in await backend.outbox.entries(limit=10_000) if entry.event.tenant is None]
        assert event.event_id in [entry.id for entry in entries]
        assert await kept(backend, acme) == []

    async def test_a_read_only_unit_stores_no_event(self, backend: TrackedBackend, acme: TenantId) -> None:
        await sell(backend, acme, 1)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            (widget,) = await uow.repository(Widgets).list()
            widget.record(Sold(number=2))
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await uow.commit()

        assert await kept(backend, acme) == [(1, 1)]

    async def test_an_event_that_json_cannot_hold_is_refused(self, backend: TrackedBackend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(widget := Widget())
            widget.record(Unspeakable())
            with pytest.raises(UnstorableValueError):
                await uow.commit()

        assert await stored_count(backend, acme) == 0


class OutboxContract(StoringContract, DeliveringContract):
    """What every backend's outbox promises.

    A backend joins with one fixture, `backend`: started, with `EXAMPLE_MAPPINGS`, `HANDLED_EVENTS` and `outbox=True`.
    `has_savepoints` says what it can.
    """
