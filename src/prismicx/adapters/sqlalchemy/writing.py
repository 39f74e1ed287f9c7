"""Statements that write without having read: by a unique key, or by criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Uuid, any_, bindparam, delete, exists, func, literal_column, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import TypeEngine

from prismicx.adapters.fields import Field
from prismicx.adapters.sqlalchemy.clauses import (
    first_written,
    given,
    named,
    scoped,
    slots_of,
    statement_table,
    whole_row,
)
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.specification import Criterion, Slot, columns_by_attribute, parameter_type
from prismicx.adapters.sqlalchemy.statements import Statement, Statements
from prismicx.domain.specification import Specification

_ID_TYPE: Final = Uuid()
_HELD: Final = "held"


def upsert(statements: Statements, placed: PlacedTable, key: tuple[str, ...]) -> Statement:
    """Return what inserts a row, or overwrites all but the id of the one with this key; it returns id and version.

    Values: tenant, then each field's.
    """
    return statements.once((placed, "upsert", key), lambda: _upsert(statements, placed, key))


def get_or_insert(statements: Statements, placed: PlacedTable, key: tuple[str, ...]) -> Statement:
    """Return what reads the row with this key, or inserts one where none is to be seen.

    It returns one row: the one that is there, or nulls, then how many were inserted: none of both where somebody else
    has committed the key while the statement ran. Whoever is about to commit it is waited for. Values: tenant, then
    each field's.
    """
    return statements.once((placed, "get or insert", key), lambda: _get_or_insert(statements, placed, key))


def update_where(
    statements: Statements, placed: PlacedTable, changed: Sequence[Field], specification: Specification
) -> Statement:
    """Return the update of all rows that meet a specification.

    It returns how many they are, and of those among some ids, the ids and the new versions. Values: tenant, each
    changed field's, the specification's, the ids.
    """
    names = tuple(field.name for field in changed)
    shape = (placed, "update where", names, specification.shape)
    return statements.once(shape, lambda: _update_where(statements, placed, names, specification))


def delete_where(statements: Statements, placed: PlacedTable, specification: Specification) -> Statement:
    """Return the delete of all rows that meet a specification; it returns and takes what `update_where` does."""
    shape = (placed, "delete where", specification.shape)
    return statements.once(shape, lambda: _delete_where(statements, placed, specification))


def _upsert(statements: Statements, placed: PlacedTable, key: tuple[str, ...]) -> Statement:
    table = statement_table(placed)
    columns = columns_by_attribute(placed.columns, table)
    types = _types(placed)
    new = _insert(placed, table, types)
    others = [str(columns[name].key) for name in types if name != "id"]
    written = {column: new.excluded[column] for column in others}
    written[placed.version.key] = table.c[placed.version.key] + literal_column("1")
    statement = new.on_conflict_do_update(index_elements=_conflict(placed, table, key), set_=written)
    returned = statement.returning(columns["id"], table.c[placed.version.key])
    return statements.compiled(placed, returned, slots_of(types, many=False))


def _get_or_insert(statements: Statements, placed: PlacedTable, key: tuple[str, ...]) -> Statement:
    # Looking first spares the writes that an insert leaves behind where it finds the key taken.
    table = statement_table(placed)
    columns = columns_by_attribute(placed.columns, table)
    types = _types(placed)
    values = given("new", types, many=False)
    there = scoped(select(*whole_row(placed, table)), placed, table)
    there = there.where(*(columns[name] == values[name] for name in key)).cte("there")
    new = _insert(placed, table, types, unless=there)
    new = new.on_conflict_do_nothing(index_elements=_conflict(placed, table, key))
    made = new.returning(columns["id"]).cte("made")
    number = select(select(func.count()).select_from(made).scalar_subquery().label("number")).subquery("inserted")
    statement = select(*there.c, number.c.number).select_from(number.outerjoin(there, true()))
    return statements.compiled(placed, statement, slots_of(types, many=False))


def _update_where(
    statements: Statements, placed: PlacedTable, names: tuple[str, ...], specification: Specification
) -> Statement:
    table = statement_table(placed)
    columns = columns_by_attribute(placed.columns, table)
    types = {name: parameter_type(columns[name].type) for name in names}
    new = given("new", types, many=False)
    written: dict[Any, Any] = {columns[name]: value for name, value in new.items()}
    written[table.c[placed.version.key]] = table.c[placed.version.key] + literal_column("1")
    statement = scoped(update(table), placed, table).values(written)
    return _reaching(statements, placed, statement, specification, slots_of(types, many=False))


def _delete_where(statements: Statements, placed: PlacedTable, specification: Specification) -> Statement:
    table = statement_table(placed)
    return _reaching(statements, placed, scoped(delete(table), placed, table), specification, {})


def _reaching(
    statements: Statements, placed: PlacedTable, write: Any, specification: Specification, slots: Mapping[str, Slot]
) -> Statement:
    table = write.table
    columns = columns_by_attribute(placed.columns, table)
    criterion = Criterion(specification, columns)
    returned = write.where(criterion.condition).returning(columns["id"], table.c[placed.version.key])
    reached = returned.cte("reached")
    identity, version = reached.c
    is_held = identity == any_(bindparam(_HELD, type_=ARRAY(_ID_TYPE)))
    ids, versions = func.array_agg(identity).filter(is_held), func.array_agg(version).filter(is_held)
    counted = select(func.count(), ids, versions).select_from(reached)
    every = {**slots, **named(criterion.slots), _HELD: Slot(_ID_TYPE, is_list=True)}
    return statements.compiled(placed, counted, every)


def _insert(
    placed: PlacedTable, table: Any, types: Mapping[str, TypeEngine[Any]], *, unless: FromClause | None = None
) -> Insert:
    written = first_written(placed, table, given("new", types, many=False))
    values = select(*written.values())
    if unless is not None:
        values = values.where(~exists(select(literal_column("1")).select_from(unless)))
    return insert(table).from_select([*written], values, include_defaults=False)


def _types(placed: PlacedTable) -> dict[str, TypeEngine[Any]]:
    return {field.name: parameter_type(placed.columns[field.name].type) for field in placed.fields}


def _conflict(placed: PlacedTable, table: Any, key: tuple[str, ...]) -> list[Any]:
    """Return the columns of the key: the tenant's is always among them."""
    columns = columns_by_attribute(placed.columns, table)
    tenant = [] if placed.tenant is None else [table.c[placed.tenant.key]]
    return [*tenant, *(columns[name] for name in key)]
