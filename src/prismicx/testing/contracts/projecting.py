"""Smaller models: what is stored of some attributes, and nothing that is watched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.errors import InvalidSpecificationError, MappingError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.locking import Lock
from prismicx.domain.ports import Backend
from prismicx.domain.specification import asc
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store
from prismicx.testing.examples import Color, Maker, Part, Widget, Widgets, full_widget


class Label(BaseModel):
    """A name and a price."""

    name: str
    price: Decimal


class Sheet(BaseModel):
    """An attribute of every kind, under other names than its aliases, which nothing is read by."""

    model_config = ConfigDict(frozen=True)

    released_on: date
    id: UUID
    note: str | None = Field(alias="remark")
    ratio: float | None
    in_stock: bool
    checksum: bytes
    discount: Decimal | None
    made_at: datetime
    serial: UUID
    color: Color
    maker: Maker | None
    parts: list[Part]
    extras: dict[str, Any]


class Unfit(BaseModel):
    """Two attributes that widgets do not have."""

    name: str
    height: int
    depth: int = 0


class Empty(BaseModel):
    """No attributes."""


_MISFITS: Sequence[tuple[Any, int]] = ((Unfit, 2), (Empty, 1), (Widget, 1), (dict, 1), ("Label", 1))
_MISUSES: Sequence[dict[str, Any]] = ({"track": False}, {"lock": Lock.WAIT})


class ProjectingContract(TwoTenants):
    """Lists and streams of smaller models."""

    async def test_a_smaller_model_has_what_is_stored(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        kept = [full_widget(), Widget(name="a", note="b"), Widget(name="c")]
        await store(backend, acme, *kept)
        await store(backend, globex, Widget(name="globex's"))

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            sheets = await widgets.list(into=Sheet, order_by=asc(Widget.name))
            labels = await widgets.list(Widget.name != "a", into=Label, order_by=asc(Widget.name), limit=1)

        by_name = sorted(kept, key=lambda each: each.name)
        assert [sheet.model_dump() for sheet in sheets] == [
            {name: value for name, value in each.model_dump().items() if name in Sheet.model_fields} for each in by_name
        ]
        assert labels == [Label(name="Full", price=Decimal("12.340"))]

    async def test_smaller_models_are_streamed(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, *(Widget(name=f"{number:04}") for number in range(1201)))

        async with backend.unit_of_work(acme, read_only=True) as uow:
            widgets = uow.repository(Widgets)
            streamed = [label.name async for label in widgets.stream(into=Label, order_by=asc(Widget.name))]
            few = [label.name async for label in widgets.stream(Widget.name == "0007", into=Label)]

        assert streamed == [f"{number:04}" for number in range(1201)]
        assert few == ["0007"]

    async def test_a_smaller_model_sees_the_units_own_writes(self, backend: Backend, acme: TenantId) -> None:
        widget = Widget(name="before", price=Decimal("1.10"))
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            (await widgets.get(widget.id)).name = "after"
            assert await widgets.list(into=Label) == [Label(name="after", price=Decimal("1.10"))]
            assert [each async for each in widgets.stream(into=Label)] == await widgets.list(into=Label)

    async def test_a_change_to_a_smaller_model_is_not_written(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(name="before", extras={"deep": [1]}))

        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            for label in await widgets.list(into=Label):
                label.name = "after"
            for sheet in [*await widgets.list(into=Sheet), *[each async for each in widgets.stream(into=Sheet)]]:
                sheet.extras["deep"].append(2)
            await uow.commit()
        async with backend.unit_of_work(acme) as uow:
            (found,) = await uow.repository(Widgets).list()

        assert (found.name, found.extras, found.version) == ("before", {"deep": [1]}, 1)

    async def test_a_model_that_does_not_fit_is_refused_before_anything_is_asked(
        self, backend: Backend, acme: TenantId
    ) -> None:
        async with backend.unit_of_work(acme) as uow:
            widgets = uow.repository(Widgets)
            added = Widget()
            widgets.add(added)
            for model, problems in _MISFITS:
                with pytest.raises(MappingError) as refused:
                    await widgets.list(into=model)
                assert len(refused.value.problems) == problems
                with pytest.raises(MappingError):
                    await anext(aiter(widgets.stream(into=model)))
            for wrong in _MISUSES:
                with pytest.raises(InvalidSpecificationError):
                    await widgets.list(into=Label, **wrong)
            assert added.version == 0

    async def test_a_model_that_refuses_what_is_stored_says_so(self, backend: Backend, acme: TenantId) -> None:
        class Short(BaseModel):
            name: str = Field(max_length=3)

        await store(backend, acme, Widget(name="longer"))

        async with backend.unit_of_work(acme, read_only=True) as uow:
            with pytest.raises(MappingError, match=r"stored Widget as Short, name: .* at most 3"):
                await uow.repository(Widgets).list(into=Short)
