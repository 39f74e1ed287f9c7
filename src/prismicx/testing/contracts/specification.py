"""Criteria mean the same everywhere: every operator, nulls, negation, order. Memory's model is the measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.specification import (
    EVERYTHING,
    Attribute,
    Disjunction,
    Order,
    Specification,
    attribute,
    checked_order,
)
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import listed, named, store
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Color, Maker, Widget, Widgets
from prismicx.testing.strategies import collections, orders, specifications

_ALL = {"low", "high", "null"}

_NULLABLE: dict[str, tuple[Any, Any]] = {
    "note": ("a", "b"),
    "order": (-1, 1),
    "ratio": (-0.5, 0.5),
    "discount": (Decimal("0.10"), Decimal("0.9")),
    "sold_at": (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    "recalled_on": (date(2026, 1, 1), date(2026, 1, 2)),
    "successor": (UUID(int=1), UUID(int=2)),
}


@dataclass(frozen=True)
class _Question:
    widgets: Sequence[Widget]
    asked: Sequence[tuple[Specification, tuple[Order, ...]]]


_WIDGETS = collections(EXAMPLE_MAPPINGS[0])


@st.composite
def _questions(draw: st.DrawFn) -> _Question:
    widgets = draw(_WIDGETS)
    pairs = st.tuples(specifications(Widget, among=widgets), orders(Widget))
    return _Question(widgets, draw(st.lists(pairs, min_size=3, max_size=6)))


class SpecificationContract(TwoTenants):
    """What every backend answers to criteria and orders."""

    examples: int = 30
    """How many random collections each property test asks about."""

    shrink: bool = True
    """Whether a property test that fails looks for its smallest example, which can take minutes."""

    @pytest.mark.parametrize("name", _NULLABLE)
    async def test_a_null_is_a_value_to_equality_and_negation_and_nothing_to_order(
        self, backend: Backend, acme: TenantId, name: str
    ) -> None:
        low, high = _NULLABLE[name]
        subject = Attribute(Widget, name)
        await store(
            backend, acme, Widget(name="low", **{name: low}), Widget(name="high", **{name: high}), Widget(name="null")
        )

        expected = {
            subject == low: {"low"},
            subject != low: {"high", "null"},
            ~(subject == low): {"high", "null"},
            ~(subject != low): {"low"},
            subject < high: {"low"},
            subject <= high: {"low", "high"},
            subject > low: {"high"},
            subject >= low: {"low", "high"},
            ~(subject < high): {"high", "null"},
            ~(subject >= low): {"null"},
            subject.in_([low, high]): {"low", "high"},
            subject.in_([low, None]): {"low", "null"},
            subject.in_([]): set(),
            ~subject.in_([]): _ALL,
            ~subject.in_([low]): {"high", "null"},
            ~subject.in_([low, None]): {"high"},
            subject.is_null(): {"null"},
            ~subject.is_null(): {"low", "high"},
            subject == None: {"null"},  # noqa: E711  # an expression
            subject != None: {"low", "high"},  # noqa: E711  # an expression
            (subject == low) | subject.is_null(): {"low", "null"},
            (subject > low) & ~(subject == high): set(),
            ~((subject == low) | (subject == high)): {"null"},
            EVERYTHING: _ALL,
            Disjunction(()): set(),
            ~EVERYTHING: set(),
        }
        for specification, names in expected.items():
            assert await named(backend, acme, specification) == names, specification

    async def test_choices_and_truths_are_compared(self, backend: Backend, acme: TenantId) -> None:
        await store(
            backend,
            acme,
            Widget(name="red", color=Color.RED, in_stock=True, grade="b", checksum=b"\x00"),
            Widget(name="blue", color=Color.BLUE, in_stock=False, grade="c", checksum=b"\x00\x01"),
        )

        assert await named(backend, acme, Widget.color == Color.RED) == {"red"}
        assert await named(backend, acme, attribute(Widget.color).in_([Color.BLUE, Color.GREEN])) == {"blue"}
        assert await named(backend, acme, Widget.in_stock == False) == {"blue"}  # noqa: E712  # an expression
        assert await named(backend, acme, attribute(Widget.grade) > "b") == {"blue"}
        assert await named(backend, acme, Widget.checksum == b"\x00") == {"red"}
        assert await named(backend, acme, attribute(Widget.maker).is_null()) == {"red", "blue"}

    async def test_a_structure_is_null_or_it_is_not(self, backend: Backend, acme: TenantId) -> None:
        await store(backend, acme, Widget(name="none"), Widget(name="some", maker=Maker(name="")))

        assert await named(backend, acme, attribute(Widget.maker).is_null()) == {"none"}
        assert await named(backend, acme, ~attribute(Widget.maker).is_null()) == {"some"}
        assert await named(backend, acme, attribute(Widget.labels).is_null()) == set()

    async def test_parts_of_a_text_are_found_case_and_all(self, backend: Backend, acme: TenantId) -> None:
        texts = ("Nut", "nut", "donut", "n_t", "n%t", "Nutß", "")
        await store(backend, acme, *(Widget(name=text, note=text) for text in texts), Widget(name="null"))
        note = attribute(Widget.note)

        assert await named(backend, acme, note.prefix("nu")) == {"nut"}
        assert await named(backend, acme, note.contains("nut")) == {"nut", "donut"}
        assert await named(backend, acme, note.contains("_")) == {"n_t"}
        assert await named(backend, acme, note.prefix("n%")) == {"n%t"}
        assert await named(backend, acme, note.contains("SS")) == set()
        assert await named(backend, acme, note.prefix("")) == set(texts)
        assert await named(backend, acme, ~note.contains("u")) == {"n_t", "n%t", "", "null"}

    @pytest.mark.parametrize("name", _NULLABLE)
    async def test_nulls_come_last_in_both_directions(self, backend: Backend, acme: TenantId, name: str) -> None:
        low, high = _NULLABLE[name]
        await store(
            backend, acme, Widget(name="null"), Widget(name="high", **{name: high}), Widget(name="low", **{name: low})
        )

        upwards = await listed(backend, acme, order_by=(Attribute(Widget, name).asc(),))
        downwards = await listed(backend, acme, order_by=(Attribute(Widget, name).desc(),))

        assert [each.name for each in upwards] == ["low", "high", "null"]
        assert [each.name for each in downwards] == ["high", "low", "null"]

    async def test_later_orders_decide_between_equals(self, backend: Backend, acme: TenantId) -> None:
        pairs = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
        await store(backend, acme, *(Widget(name=name, amount=amount) for name, amount in pairs))
        orders_of_both = (Attribute(Widget, "amount").desc(), Attribute(Widget, "name").asc())

        found = await listed(backend, acme, order_by=orders_of_both)

        assert [(each.name, each.amount) for each in found] == [("a", 2), ("b", 2), ("a", 1), ("b", 1)]

    async def test_any_question_is_answered_as_the_model_answers_it(self, backend: Backend) -> None:
        async def answers_agree(question: _Question) -> None:
            async with backend.unit_of_work(TenantId.new()) as uow:
                widgets = uow.repository(Widgets)
                widgets.add_many(question.widgets)
                for specification, order in question.asked:
                    expected = in_order(
                        [each for each in question.widgets if specification.is_satisfied_by(each)], order
                    )
                    found = await widgets.list(specification, order_by=order)
                    assert [each.id for each in found] == [each.id for each in expected]
                    assert await widgets.count(specification) == len(expected)
                    assert await widgets.exists(specification) is bool(expected)
                await uow.commit()

        await for_all(_questions(), answers_agree, examples=self.examples, shrink=self.shrink)

    async def test_any_aggregate_comes_back_as_it_was(self, backend: Backend) -> None:
        async def comes_back(widgets: list[Widget]) -> None:
            tenant = TenantId.new()
            await store(backend, tenant, *widgets)
            found = await listed(backend, tenant)
            assert found == sorted(widgets, key=lambda each: each.id)

        await for_all(_WIDGETS, comes_back, examples=self.examples, shrink=self.shrink)


def in_order(widgets: Sequence[Widget], order: Sequence[Order]) -> list[Widget]:
    """Return the widgets in this order, then by id: nulls last, text by code point."""
    result = list(widgets)
    for key in reversed(checked_order(Widget, order)):
        absent = [each for each in result if getattr(each, key.attribute) is None]
        present = [each for each in result if getattr(each, key.attribute) is not None]
        present.sort(key=lambda each, name=key.attribute: getattr(each, name), reverse=key.descending)  # type: ignore[misc]  # lambda defaults
        result = present + absent
    return result
