"""Specifications as SQL, two-valued: a null is a value for `=`, `<>`, `IN` and `NOT`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, String, any_, bindparam, false, func, literal_column, or_, true, tuple_
from sqlalchemy import and_ as both
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text, TypeEngine

from prismicx.adapters.fields import Field
from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.following import Following
from prismicx.domain.specification import Comparison, Conjunction, Disjunction, Negation, Order, Specification


class Slot(NamedTuple):
    """Where one value of a specification goes: the column's type, and whether it is a list of such values."""

    type: TypeEngine[Any]
    is_list: bool


class Criterion:
    """The condition of a specification over a table's columns.

    Attributes:
        condition: with a parameter `value_<n>` for each value.
        slots: one for each value, in the order of `Specification.values`.
    """

    def __init__(self, specification: Specification, columns: Mapping[str, ColumnElement[Any]]) -> None:
        self._columns = columns
        self.slots: list[Slot] = []
        self.condition = self._condition(specification)

    def _condition(self, specification: Specification) -> ColumnElement[bool]:
        match specification:
            case Comparison():
                return self._comparison(specification)
            case Conjunction(parts):
                return both(true(), *map(self._condition, parts))
            case Disjunction(parts):
                return or_(false(), *map(self._condition, parts))
            case Negation(part):
                return self._condition(part).self_group().is_not(true())
            case Following():
                return self._following(specification)
        raise InvalidSpecificationError(f"{type(specification).__name__} is not a specification that PostgreSQL knows")

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        column = self._columns[comparison.attribute]
        if comparison.operator == "is_null":
            return column.is_(None)
        value = self._value(column, is_list=comparison.operator == "in")
        ordered = by_code_point(column)
        match comparison.operator:
            case "eq":
                return column == value
            case "ne":
                return column.is_distinct_from(value)
            case "lt":
                return ordered < value
            case "le":
                return ordered <= value
            case "gt":
                return ordered > value
            case "ge":
                return ordered >= value
            case "in":
                return column == any_(value)
            case "prefix":
                return func.starts_with(column, value)
            case "contains":
                return func.strpos(column, value) > literal_column("0")

    def _following(self, following: Following) -> ColumnElement[bool]:
        keys = []
        for key, at in zip(following.order, following.place, strict=True):
            column = self._columns[key.attribute]
            value = None if at is None else self._value(column, is_list=False)
            keys.append(_Key(key, by_code_point(column), value, is_nullable=key.attribute in following.nullable))
        return _behind(keys)

    def _value(self, column: ColumnElement[Any], *, is_list: bool) -> ColumnElement[Any]:
        kind = parameter_type(column.type)
        name = f"value_{len(self.slots)}"
        self.slots.append(Slot(kind, is_list))
        return bindparam(name, type_=ARRAY(kind) if is_list else kind)


class _Key(NamedTuple):
    order: Order
    column: ColumnElement[Any]
    value: ColumnElement[Any] | None
    is_nullable: bool


def _behind(keys: Sequence[_Key]) -> ColumnElement[bool]:
    """Return what is true behind the place of these keys: a comparison of rows as far as an index can serve one."""
    if not keys:
        return false()
    if keys[0].is_nullable:
        return _behind_nullable(keys[0], _behind(keys[1:]))
    alike = takewhile(lambda key: not key.is_nullable and key.order.descending == keys[0].order.descending, keys)
    row = list(alike)
    columns, values = _row([key.column for key in row]), _row([key.value for key in row])
    beyond: ColumnElement[bool] = columns < values if keys[0].order.descending else columns > values
    if len(row) == len(keys):
        return beyond
    not_before = columns <= values if keys[0].order.descending else columns >= values
    return both(not_before, or_(beyond, both(columns == values, _behind(keys[len(row) :]))))


def _behind_nullable(key: _Key, rest: ColumnElement[bool]) -> ColumnElement[bool]:
    order, column, value, _ = key
    if value is None:
        there = both(column.is_(None), rest)
        return or_(column.is_not(None), there) if order.nulls_first else there
    beyond = column < value if order.descending else column > value
    not_before = column <= value if order.descending else column >= value
    within = both(not_before, or_(beyond, both(column == value, rest)))
    return within if order.nulls_first else or_(within, column.is_(None))


def _row(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else tuple_(*parts)


def ordering(
    order: Sequence[Order], columns: Mapping[str, ColumnElement[Any]], fields: Mapping[str, Field]
) -> list[ColumnElement[Any]]:
    """Return the terms of ORDER BY: text by code point, nulls where the order has them."""
    terms: list[ColumnElement[Any]] = []
    for key in order:
        column = by_code_point(columns[key.attribute])
        term = column.desc() if key.descending else column.asc()
        if fields[key.attribute].nullable:
            term = term.nulls_first() if key.nulls_first else term.nulls_last()
        # Where there are no nulls, not naming them leaves PostgreSQL free to read an index backwards.
        terms.append(term)
    return terms


def by_code_point(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a text column so that it compares by code point, whatever its own collation."""
    kind = column.type
    if isinstance(kind, String) and kind.collation != "C":
        return column.collate("C")
    return column


def parameter_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of a parameter that is compared with, or written to, a column of this type."""
    return Text() if type(kind) is Text else kind  # the column says how it collates, not the parameter


def columns_by_attribute(columns: Mapping[str, Column[Any]], table: Any) -> dict[str, ColumnElement[Any]]:
    """Return the same columns on another copy, or an alias, of their table."""
    return {attribute: table.c[column.key] for attribute, column in columns.items()}
