"""The clauses that statements are made of: the tenant, the row, and what a write is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Text, Uuid, bindparam, column, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import TypeEngine

from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.specification import Slot, columns_by_attribute

ANY_SCHEMA: Final = "{schema}"  # always quoted by SQLAlchemy, and in no SQL but as a name
TENANT_PARAMETER: Final = "tenant"
WHOLE_NUMBER: Final = BigInteger()
IDENTITY: Final = Uuid()
EXPECTED_VERSION: Final = "prismicx_expected_version"


def statement_table(placed: PlacedTable) -> Any:
    """Return the table as statements have it: where each tenant has one, in a schema that is named later."""
    return placed.table_in(ANY_SCHEMA if placed.is_per_tenant else placed.schema(None))


def whole_row(placed: PlacedTable, table: FromClause) -> list[Any]:
    """Return the columns of a row as they are read: the fields, `id` first, and the version last."""
    columns = columns_by_attribute(placed.columns, table)
    return [*(columns[field.name] for field in placed.fields), table.c[placed.version.key]]


def scoped(statement: Any, placed: PlacedTable, table: FromClause) -> Any:
    """Name the tenant in the statement: the first wall, and what leads a Citus cluster to the shard."""
    if placed.tenant is None:
        return statement
    return statement.where(table.c[placed.tenant.key] == bindparam(TENANT_PARAMETER, type_=Text()))


def first_written(placed: PlacedTable, table: FromClause, new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an insert writes, by column: version 1, the tenant, and the fields' values."""
    columns = columns_by_attribute(placed.columns, table)
    written: dict[str, Any] = {placed.version.key: literal_column("1")}
    if placed.tenant is not None:
        written[placed.tenant.key] = bindparam(TENANT_PARAMETER, type_=Text())
    return written | {str(columns[name].key): value for name, value in new.items()}


def key_columns(placed: PlacedTable, columns: Mapping[str, Any]) -> list[Any]:
    """Return the columns that tell rows apart: the id; over all tenants, the tenant too."""
    return [columns[name] for name in placed.identity]


def expected(placed: PlacedTable) -> dict[str, TypeEngine[Any]]:
    """Return what a write names its rows by: id and version; over all tenants, the tenant too."""
    further: dict[str, TypeEngine[Any]] = {name: Text() for name in placed.identity[1:]}
    return {"id": IDENTITY, EXPECTED_VERSION: WHOLE_NUMBER, **further}


def matches(placed: PlacedTable, table: FromClause, given: Mapping[str, Any]) -> list[Any]:
    """Return the conditions that pick the rows of a write: those it names, in the versions that it expects."""
    columns = columns_by_attribute(placed.columns, table)
    same = [columns[name] == given[name] for name in placed.identity]
    return [*same, table.c[placed.version.key] == given[EXPECTED_VERSION]]


def named(slots: Sequence[Slot]) -> dict[str, Slot]:
    """Return the slots of a specification, by the names of their parameters."""
    return {f"value_{index}": slot for index, slot in enumerate(slots)}


def slots_of(types: Mapping[str, TypeEngine[Any]], *, many: bool) -> dict[str, Slot]:
    """Return the slots of what a write is given, by the names of their parameters."""
    return {f"given_{index}": Slot(kind, is_list=many) for index, kind in enumerate(types.values())}


def given(name: str, types: Mapping[str, TypeEngine[Any]], *, many: bool) -> dict[str, Any]:
    """Return what a write is given, by attribute: one value each, or the columns of arrays put side by side."""
    numbered = {attribute: (f"given_{index}", kind) for index, (attribute, kind) in enumerate(types.items())}
    if not many:
        return {attribute: bindparam(place, type_=kind) for attribute, (place, kind) in numbered.items()}
    arrays = [bindparam(place, type_=ARRAY(kind)) for place, kind in numbered.values()]
    columns = [column(attribute, kind) for attribute, kind in types.items()]
    rows: Any = func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
    return dict(rows.c.items())
