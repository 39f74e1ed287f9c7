"""Pages joined are the list; a cursor is good for its own query, order and tenant, and for nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from prismicx.domain.cursors import SIGNATURE, Cursor, CursorKeys
from prismicx.domain.errors import InvalidCursorError, InvalidSpecificationError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.specification import Criteria, Order, asc, desc
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, store
from prismicx.testing.examples import Widget, Widgets

_ORDERS: Sequence[tuple[Order, ...]] = (
    (),
    (asc(Widget.name),),
    (desc(Widget.order), asc(Widget.name)),
    (asc(Widget.note), desc(Widget.ratio)),
    (desc(Widget.discount),),
    (asc(Widget.sold_at), desc(Widget.released_on), asc(Widget.successor)),
    (desc(Widget.id),),
)


def _shelf() -> list[Widget]:
    return [
        Widget(
            name=f"w{number % 3}",
            order=number % 4 or None,
            note=f"note {number}" if number % 2 else None,
            ratio=number / 4 if number % 3 else None,
            discount=Decimal(number % 5).scaleb(-2) if number % 5 else None,
            sold_at=datetime(2026, 1, number % 2 + 1, tzinfo=UTC) if number % 3 else None,
        )
        for number in range(11)
    ]


class PagesContract(TwoTenants):
    """Keyset pages."""

    @pytest.mark.parametrize("order", _ORDERS, ids=lambda order: "-".join(each.attribute for each in order) or "none")
    async def test_pages_joined_are_the_whole_list(
        self, backend: Backend, acme: TenantId, order: tuple[Order, ...]
    ) -> None:
        await store(backend, acme, *_shelf())
        whole = await listed(backend, acme, order_by=order)

        for size in (1, 4, 11, 50):
            assert await _walked(backend, acme, size=size, order=order) == whole

    @pytest.mark.parametrize("order", _ORDERS, ids=lambda order: "-".join(each.attribute for each in order) or "none")
    async def test_pages_joined_backwards_are_the_whole_list(
        self, backend: Backend, acme: TenantId, order: tuple[Order, ...]
    ) -> None:
        await store(backend, acme, *_shelf())
        whole = await listed(backend, acme, order_by=order)

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            page = await widgets.page(order_by=order, size=10)
            page = await widgets.page(order_by=order, size=1, after=page.next)
            met = list(page.items)
            while page.previous is not None:
                page = await widgets.page(order_by=order, size=3, before=page.previous)
                met[:0] = page.items
                assert len(met) <= len(whole)

        assert met == whole

    async def test_pages_keep_to_their_criteria(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *_shelf())
        criteria = (Widget.name == "w1") | (Widget.name == "w2")
        whole = await listed(backend, acme, criteria)

        assert await _walked(backend, acme, size=2, order=(), criteria=criteria) == whole
        assert len(whole) == 7

    async def test_the_last_page_has_no_next(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(), Widget())

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            assert (await widgets.page(size=2)).next is None
            assert (await widgets.page(size=1)).next is not None
            assert (await widgets.page(Widget.name == "nobody's")).items == ()

    async def test_a_page_goes_on_behind_what_has_been_removed_meanwhile(
        self, backend: Backend, acme: TenantId
    ) -> None:
        many = [Widget() for _ in range(4)]
        await store(backend, acme, *many)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            first = await widgets.page(size=2)
            for widget in first.items:
                widgets.remove(widget)
            second = await widgets.page(size=2, after=first.next)

        assert list(second.items) == many[2:]

    async def test_a_cursor_of_anything_else_is_refused(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        await store(backend, acme, *_shelf())
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            cursor = (await widgets.page(Widget.name != "x", order_by=asc(Widget.name), size=2)).next
            assert cursor is not None

            with pytest.raises(InvalidCursorError):
                await widgets.page(Widget.name != "y", order_by=asc(Widget.name), after=cursor)
            with pytest.raises(InvalidCursorError):
                await widgets.page(Widget.code != "x", order_by=asc(Widget.name), after=cursor)
            with pytest.raises(InvalidCursorError):
                await widgets.page(Widget.name != "x", order_by=desc(Widget.name), after=cursor)
            with pytest.raises(InvalidCursorError):
                await widgets.page(Widget.name != "x", after=cursor)
        async with backend.unit_of_work(globex) as uow:
            with pytest.raises(InvalidCursorError):
                await uow.repository(Widgets).page(Widget.name != "x", order_by=asc(Widget.name), after=cursor)

    async def test_a_damaged_cursor_is_refused(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(), Widget())
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            good = (await widgets.page(order_by=asc(Widget.name), size=1)).next
            assert good is not None
            whole = base64.urlsafe_b64decode(good.text + "=" * (-len(good.text) % 4))
            signature, place = whole[:SIGNATURE], whole[SIGNATURE:]

            forged = (
                "",
                "no base64!",
                "é",
                good.text[:-4],
                good.text + "AAAA",
                _encoded(b"null"),
                _encoded(b"[" * 100_000),
                _encoded(place),
                _encoded(bytes(len(signature)) + place),
                _encoded(signature[:-1] + bytes([signature[-1] ^ 1]) + place),
                _encoded(signature + b"[1," + place[1:]),
                _encoded(signature + place.replace(b'["', b'["\\u0000')),
                _encoded(signature + place.replace(b'["', b'["z')),
                _encoded(signature + b'[{"$gt":""},' + place.partition(b",")[2]),
                CursorKeys.random().signed(place, context=b"").text,
            )
            for text in forged:
                with pytest.raises(InvalidCursorError):
                    await widgets.page(order_by=asc(Widget.name), size=1, after=Cursor(text))
            assert (await widgets.page(order_by=asc(Widget.name), size=1, after=good)).next is None

    async def test_a_page_has_a_size(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme) as uow:
            for size in (0, -1, True, "10"):
                with pytest.raises(InvalidSpecificationError):
                    await uow.repository(Widgets).page(size=size)  # type: ignore[arg-type]  # the mistake under test


def _encoded(whole: bytes) -> str:
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


async def _walked(
    backend: Backend, tenant: TenantId, *, size: int, order: tuple[Order, ...], criteria: Criteria | None = None
) -> list[Widget]:
    found: list[Widget] = []
    cursor: Cursor | None = None
    async with backend.unit_of_work(tenant, read_only=True) as uow:
        while True:
            page = await uow.repository(Widgets).page(criteria, order_by=order, size=size, after=cursor)
            assert len(page.items) <= size
            found.extend(page.items)
            cursor = page.next
            if cursor is None:
                return found
