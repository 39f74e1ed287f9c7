"""The strategies make what they say: tenant ids and texts that are none, entities that can be stored, criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidTenantIdError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import Order, Specification, checked_order
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget
from prismicx.testing.strategies import (
    collections,
    entities,
    models,
    orders,
    specifications,
    tenant_ids,
    texts_that_are_no_tenant_ids,
    values_of,
)


class Point(BaseModel):
    x: Annotated[int, Field(ge=0, le=9)]
    label: Annotated[str, AfterValidator(str.upper)] = ""


class Drawing(AggregateRoot):
    owner: TenantId
    points: list[Point]
    by_name: Mapping[str, Point]
    weights: Sequence[float]
    size: Annotated[int, Field(gt=0)] | None
    pair: tuple[int, str]
    title: Annotated[str, Field(min_length=1)]


@given(tenant_ids())
def test_tenant_ids_are_tenant_ids(tenant: TenantId) -> None:
    assert TenantId(str(tenant)) == tenant


@given(texts_that_are_no_tenant_ids())
def test_texts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidTenantIdError):
        TenantId(text)


@given(entities(Widget))
def test_entities_can_be_stored_and_read(widget: Widget) -> None:
    assert entity_from(Widget, plain_values(widget), version=0, tenant=None) == widget
    assert widget.recorded_events == ()


@given(entities(Drawing))
def test_constraints_of_attributes_are_kept(drawing: Drawing) -> None:
    assert drawing.title
    assert all(0 <= point.x <= 9 for point in drawing.points)


@given(models(Point), values_of(complex))
def test_any_model_and_any_other_type_will_do(point: Point, number: Any) -> None:
    assert isinstance(point, Point)
    assert isinstance(number, complex)


@given(collections(EntityMapping(Widget, "widgets", unique=[["grade"], ["note", "order"]])))
def test_collections_have_no_key_twice(widgets: list[Widget]) -> None:
    assert len({widget.grade for widget in widgets}) == len(widgets)
    pairs = [(widget.note, widget.order) for widget in widgets if None not in (widget.note, widget.order)]
    assert len(set(pairs)) == len(pairs)


@given(collections(EXAMPLE_MAPPINGS[0]), st.data())
def test_criteria_can_be_asked_of_the_entities(widgets: list[Widget], data: st.DataObject) -> None:
    asked = data.draw(specifications(Widget, among=widgets))

    assert isinstance(asked, Specification)
    for widget in widgets:
        assert isinstance(asked.is_satisfied_by(widget), bool)


@given(orders(Widget))
def test_orders_name_each_attribute_once(order: tuple[Order, ...]) -> None:
    assert checked_order(Widget, order)[-1].attribute == "id" or any(key.attribute == "id" for key in order)
