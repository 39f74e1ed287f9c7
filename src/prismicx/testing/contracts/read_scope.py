"""A read scope answers queries one by one, of one tenant, and writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from prismicx.domain.errors import (
    EntityNotFoundError,
    InvalidTenantIdError,
    NotMappedError,
    ReadOnlyUnitOfWorkError,
    TenantContextMissingError,
    TenantNotActiveError,
    TenantNotFoundError,
    UnitOfWorkClosedError,
    UnitOfWorkSharedError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.registry import TenantRepository
from prismicx.domain.specification import asc, attribute
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored, stored_count
from prismicx.testing.examples import Widget, Widgets

_QUERIES: tuple[Callable[[Widgets, Widget], Awaitable[Any]], ...] = (
    lambda widgets, widget: widgets.find(widget.id),
    lambda widgets, widget: widgets.find_one(Widget.code == widget.code),
    lambda widgets, widget: widgets.list(),
    lambda widgets, widget: widgets.list(attribute(Widget.code).in_([])),
    lambda widgets, widget: widgets.list(Widget.amount >= 0, order_by=asc(Widget.amount), limit=2),
    lambda widgets, widget: widgets.list(into=Label, order_by=asc(Widget.name)),
    lambda widgets, widget: widgets.list_by(Widget.name, ["b", "a", "nobody's"], Widget.amount > 0),
    lambda widgets, widget: widgets.fetch([Widget().id, widget.id]),
    lambda widgets, widget: _streamed(widgets),
    lambda widgets, widget: widgets.count(),
    lambda widgets, widget: widgets.count(attribute(Widget.note).is_null() | (Widget.name == "b")),
    lambda widgets, widget: widgets.exists(Widget.name == "a"),
    lambda widgets, widget: widgets.exists(Widget.name == "nobody's"),
)


class Label(BaseModel):
    """A part of a widget."""

    name: str
    price: Decimal


async def _streamed(widgets: Widgets) -> list[Widget]:
    return [widget async for widget in widgets.stream(order_by=asc(Widget.name))]


class ReadScopeContract(TwoTenants):
    """What every backend's read scopes promise: the answers of a read-only unit, each for its own moment."""

    async def test_a_read_scope_answers_as_a_unit_does(self, backend: Backend, acme: TenantId) -> None:
        kept = Widget(name="a", amount=2)
        await store(backend, acme, kept, Widget(name="b", amount=1), Widget(name="c", note="a note"))

        for query in _QUERIES:
            async with backend.unit_of_work(acme, read_only=True) as uow:
                expected = await query(uow.repository(Widgets), kept)
            for _ in range(2):
                async with backend.read(acme) as scope:
                    assert scope.tenant == acme
                    assert await query(scope.repository(Widgets), kept) == expected

    async def test_pages_of_a_read_scope_go_on(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(name=name) for name in "abc"))

        async with backend.read(acme) as scope:
            first = await scope.repository(Widgets).page(order_by=asc(Widget.name), size=2)
        async with backend.read(acme) as scope:
            second = await scope.repository(Widgets).page(order_by=asc(Widget.name), size=2, after=first.next)

        assert [widget.name for widget in (*first.items, *second.items)] == ["a", "b", "c"]
        assert second.next is None

    async def test_a_read_scope_sees_nothing_of_another_tenant(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        widget = Widget(name="acme's")
        await store(backend, acme, widget)

        async with backend.read(globex) as scope:
            widgets = scope.repository(Widgets)
            seen = (
                await widgets.find(widget.id),
                await widgets.find_one(Widget.name == "acme's"),
                await widgets.list(),
                await _streamed(widgets),
                await widgets.count(),
                await widgets.exists(),
            )
            with pytest.raises(EntityNotFoundError):
                await widgets.get(widget.id)

        assert seen == (None, None, [], [], 0, False)

    async def test_a_read_scope_refuses_to_write(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before")
        await store(backend, acme, widget)

        async with backend.read(acme) as scope:
            widgets = scope.repository(Widgets)
            found = await widgets.get(widget.id)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.add(Widget())
            with pytest.raises(ReadOnlyUnitOfWorkError):
                widgets.remove(found)
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await widgets.upsert(Widget())
            with pytest.raises(ReadOnlyUnitOfWorkError):
                await widgets.update_where(Widget.name == "before", name="after")
            found.name = "after"
            assert await widgets.count() == 1

        kept = await stored(backend, acme, widget)
        assert kept is not None
        assert kept.name == "before"

    async def test_one_identity_is_one_object_in_a_read_scope(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="first")
        await store(backend, acme, widget)

        async with backend.read(acme) as scope:
            widgets = scope.repository(Widgets)
            found = await widgets.get(widget.id)

            assert await widgets.find_one(Widget.name == "first") is found
            assert (await widgets.list())[0] is found

    async def test_each_query_of_a_read_scope_sees_what_is_committed_by_then(
        self, backend: Backend, acme: TenantId
    ) -> None:
        async with backend.read(acme) as scope:
            before = await scope.repository(Widgets).count()
            async with asyncio.TaskGroup() as group:
                group.create_task(store(backend, acme, Widget()))
            after = await scope.repository(Widgets).count()

        assert (before, after) == (0, 1)

    async def test_a_stream_that_is_left_open_ends_with_its_read_scope(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget() for _ in range(3)))

        async with backend.read(acme) as scope:
            stream = aiter(scope.repository(Widgets).stream())
            await anext(stream)

        with pytest.raises(UnitOfWorkClosedError):
            async for _ in stream:
                pass
        assert await stored_count(backend, acme) == 3

    async def test_a_read_scope_has_a_beginning_and_an_end(self, backend: Backend, acme: TenantId) -> None:
        scope = backend.read(acme)
        with pytest.raises(UnitOfWorkClosedError):
            scope.repository(Widgets)
        async with scope:
            widgets = scope.repository(Widgets)
            with pytest.raises(NotMappedError):
                scope.repository(TenantRepository)
            with pytest.raises(UnitOfWorkSharedError):
                await asyncio.create_task(widgets.count())

        with pytest.raises(UnitOfWorkClosedError):
            await widgets.count()
        with pytest.raises(UnitOfWorkClosedError):
            await scope.__aenter__()

    async def test_a_read_scope_is_for_an_active_tenant(self, backend: Backend) -> None:
        nobody: Any = None
        with pytest.raises(TenantContextMissingError):
            backend.read(nobody)
        name: Any = "acme"
        with pytest.raises(InvalidTenantIdError):
            backend.read(name)
        with pytest.raises(TenantNotFoundError):
            await backend.read(TenantId("unknown-acme")).__aenter__()
        with pytest.raises(TenantNotActiveError):
            await backend.read(TenantId("suspended-acme")).__aenter__()
