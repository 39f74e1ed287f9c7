"""Specifications and orders over rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prismicx.adapters.memory.mapping import Row
from prismicx.domain.specification import Order, Specification


def matching(rows: Iterable[Row], specification: Specification) -> list[Row]:
    """Return the rows that meet the specification, whose values are plain ones."""
    return [row for row in rows if specification.holds(row.values.__getitem__)]


def ordered(rows: Iterable[Row], order: tuple[Order, ...]) -> list[Row]:
    """Return the rows in this order."""
    result = list(rows)
    for key in reversed(order):  # sorting is stable: the least significant key goes first
        present = [row for row in result if row.values[key.attribute] is not None]
        absent = [row for row in result if row.values[key.attribute] is None]
        present.sort(key=_value_of(key.attribute), reverse=key.descending)
        result = absent + present if key.nulls_first else present + absent
    return result


def _value_of(attribute: str) -> Callable[[Row], Any]:
    return lambda row: row.values[attribute]
