"""Events are handed over once what they tell has been committed, and never otherwise."""

from __future__ import annotations

import pytest

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored_count
from prismicx.testing.examples import Mailbox, Widget, Widgets


class EventsContract(TwoTenants):
    """The backend has been given `on_commit=prismicx.testing.examples.deliver`."""

    async def test_events_are_handed_over_after_commit_oldest_first(self, backend: Backend, acme: TenantId) -> None:
        mailbox, first, second = Mailbox(), Widget(), Widget()
        await store(backend, acme, second)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(first)
            known = await widgets.get(second.id)
            known.announce("one", mailbox)
            first.announce("two", mailbox)
            known.announce("three", mailbox)
            await uow.flush()
            assert mailbox.deliveries == []
            await uow.commit()

        assert mailbox.deliveries == [(acme, ["one", "two", "three"])]
        assert first.recorded_events == ()

    async def test_a_removed_aggregates_last_words_are_handed_over(self, backend: Backend, acme: TenantId) -> None:
        mailbox, widget = Mailbox(), Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            found = await widgets.get(widget.id)
            found.announce("farewell", mailbox)
            widgets.remove(found)
            await uow.commit()

        assert mailbox.deliveries == [(acme, ["farewell"])]

    async def test_events_are_not_handed_over_without_commit(self, backend: Backend, acme: TenantId) -> None:
        mailbox, taken = Mailbox(), Widget()
        await store(backend, acme, taken)

        async with backend.unit_of_work(acme) as left:
            left.repository(Widgets).add(widget := Widget())
            widget.announce("left", mailbox)
            await left.flush()
        async with backend.unit_of_work(acme) as failing:
            failing.repository(Widgets).add(widget := Widget(code=taken.code))
            widget.announce("failed", mailbox)
            with pytest.raises(Exception, match="same code"):
                await failing.commit()

        assert mailbox.deliveries == []

    async def test_a_failing_handler_does_not_undo_the_commit(self, backend: Backend, acme: TenantId) -> None:
        mailbox, widget = Mailbox(failing=True), Widget()
        widget.announce("heard by nobody", mailbox)

        await store(backend, acme, widget)

        assert mailbox.deliveries == [(acme, ["heard by nobody"])]
        assert await stored_count(backend, acme) == 1
