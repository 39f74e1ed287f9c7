"""Statements: written with SQLAlchemy, compiled once for each shape, run by asyncpg."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Float,
    Numeric,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import ClauseElement, FromClause
from sqlalchemy.types import TypeEngine

from prismicx.adapters.fields import Field
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.specification import (
    Criterion,
    Slot,
    columns_by_attribute,
    ordering,
    parameter_type,
)
from prismicx.domain.specification import Order, Specification

Processor = Callable[[Any], Any]

_ANY_SCHEMA: Final = "{schema}"  # always quoted by SQLAlchemy, and in no SQL but as a name
_TENANT: Final = "tenant"
_LIMIT: Final = "limit"
_FLOAT_OID: Final = 701
_NUMERIC_OID: Final = 1700
_WHOLE_TYPE: Final = BigInteger()
_ID_TYPE: Final = Uuid()
_VERSION: Final = "prismicx_expected_version"


class Statement:
    """One compiled statement: its text, and how its arguments are put in order."""

    __slots__ = ("_plain", "_plan", "_sql")

    def __init__(self, sql: str, plan: Sequence[tuple[int, Processor | None]]) -> None:
        self._sql = sql
        self._plan = tuple(plan)
        self._plain = all(processor is None for _, processor in plan)

    def sql(self, schema: str) -> str:
        """Return the text for one schema. Its name is one of ours or the team's, and quoted."""
        return self._sql.replace('"{schema}"', '"' + schema.replace('"', '""') + '"')

    def arguments(self, values: Sequence[Any]) -> list[Any]:
        """Return the arguments in the driver's order: nulls as they are, the rest as the column's type has it."""
        if self._plain:
            return [values[index] for index, _ in self._plan]
        return [
            values[index] if processor is None or values[index] is None else processor(values[index])
            for index, processor in self._plan
        ]


class Statements:
    """The statements of one backend. What differs by tenant only, the schema, is put in when a statement is run.

    The values of each statement begin with the tenant (without it in the registry), as its method says.

    Args:
        dialect: SQLAlchemy's dialect for asyncpg.
        limit: statements kept, the least recently used go first.
    """

    def __init__(self, dialect: Any, *, limit: int = 2048) -> None:
        self._dialect = dialect
        self._limit = limit
        self._known: OrderedDict[Hashable, Statement] = OrderedDict()
        self._readers: dict[PlacedTable, Sequence[tuple[str, Processor]]] = {}

    def by_id(self, placed: PlacedTable) -> Statement:
        """Return the read of one row. Values: tenant, id."""
        return self._once((placed, "id"), lambda: self._by_id(placed))

    def rows(
        self, placed: PlacedTable, specification: Specification, order: Sequence[Order], *, limited: bool
    ) -> Statement:
        """Return the read of the rows that meet a specification. Values: tenant, specification's, limit if any."""
        keys = tuple((key.attribute, key.descending) for key in order)
        return self._once(
            (placed, "rows", specification.shape, keys, limited),
            lambda: self._rows(placed, specification, order, limited=limited),
        )

    def count(self, placed: PlacedTable, specification: Specification) -> Statement:
        """Return the count of the rows that meet a specification. Values: tenant, the specification's."""
        return self._once(
            (placed, "count", specification.shape),
            lambda: self._filtered(placed, specification, [func.count()], limit_one=False),
        )

    def any(self, placed: PlacedTable, specification: Specification) -> Statement:
        """Return the search for any row that meets a specification. Values: tenant, the specification's."""
        return self._once(
            (placed, "any", specification.shape),
            lambda: self._filtered(placed, specification, [literal_column("1")], limit_one=True),
        )

    # Writes of one row take its values; writes of many take a list of each. PostgreSQL plans the first much faster.

    def insert(self, placed: PlacedTable, *, many: bool) -> Statement:
        """Return the insert of one row, or of any number. Values: tenant, then each field's."""
        return self._once((placed, "insert", many), lambda: self._insert(placed, many=many))

    def update(self, placed: PlacedTable, changed: Sequence[Field], *, many: bool) -> Statement:
        """Return the update of one row, or of any number, which returns the ids that matched.

        Values: tenant, id, expected version (over all tenants: its tenant), then each changed field's.
        """
        names = tuple(field.name for field in changed)
        return self._once((placed, "update", many, names), lambda: self._update(placed, names, many=many))

    def delete(self, placed: PlacedTable, *, many: bool) -> Statement:
        """Return the delete of one row, or of any number, which returns the ids that matched.

        Values: tenant, id, expected version (over all tenants: its tenant).
        """
        return self._once((placed, "delete", many), lambda: self._delete(placed, many=many))

    def readers(self, placed: PlacedTable) -> Sequence[tuple[str, Processor]]:
        """Return what has to be done to the values of a row, by attribute; most types need nothing."""
        known = self._readers.get(placed)
        if known is None:
            found = ((name, self._reader(column.type)) for name, column in placed.columns.items())
            known = self._readers[placed] = [(name, reader) for name, reader in found if reader is not None]
        return known

    # --- Writing them. ---

    def _by_id(self, placed: PlacedTable) -> Statement:
        table = _statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        statement = _scoped(select(*_row(placed, table)), placed, table)
        statement = statement.where(columns["id"] == bindparam("value_0", type_=_ID_TYPE))
        return self._compiled(placed, statement, {"value_0": Slot(_ID_TYPE, is_list=False)})

    def _rows(
        self, placed: PlacedTable, specification: Specification, order: Sequence[Order], *, limited: bool
    ) -> Statement:
        table = _statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        criterion = Criterion(specification, columns)
        fields = {field.name: field for field in placed.fields}
        statement = _scoped(select(*_row(placed, table)), placed, table).where(criterion.condition)
        statement = statement.order_by(*ordering(order, columns, fields))
        slots = _named(criterion.slots)
        if limited:
            statement = statement.limit(bindparam(_LIMIT, type_=_WHOLE_TYPE))
            slots[_LIMIT] = Slot(_WHOLE_TYPE, is_list=False)
        return self._compiled(placed, statement, slots)

    def _filtered(
        self, placed: PlacedTable, specification: Specification, wanted: Sequence[Any], *, limit_one: bool
    ) -> Statement:
        table = _statement_table(placed)
        criterion = Criterion(specification, columns_by_attribute(placed.columns, table))
        statement = _scoped(select(*wanted).select_from(table), placed, table).where(criterion.condition)
        if limit_one:
            statement = statement.limit(literal_column("1"))
        return self._compiled(placed, statement, _named(criterion.slots))

    def _insert(self, placed: PlacedTable, *, many: bool) -> Statement:
        table = _statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        types = {field.name: parameter_type(columns[field.name].type) for field in placed.fields}
        new = _given("new", types, many=many)
        written: dict[Any, Any] = {table.c[placed.version.key]: literal_column("1")}
        if placed.tenant is not None:
            written[table.c[placed.tenant.key]] = bindparam(_TENANT, type_=Text())
        written |= {columns[name]: value for name, value in new.items()}
        names = [target.key for target in written]
        statement = insert(table).from_select(names, select(*written.values()), include_defaults=False)
        return self._compiled(placed, statement.returning(columns["id"]), _slots(types, many=many))

    def _update(self, placed: PlacedTable, changed: Sequence[str], *, many: bool) -> Statement:
        table = _statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        types = _expected(placed) | {name: parameter_type(columns[name].type) for name in changed}
        new = _given("new", types, many=many)
        written: dict[Any, Any] = {columns[name]: new[name] for name in changed}
        written[table.c[placed.version.key]] = table.c[placed.version.key] + literal_column("1")
        statement = _scoped(update(table), placed, table).values(written)
        statement = statement.where(*_matches(placed, table, new))
        return self._compiled(placed, statement.returning(*_key(placed, columns)), _slots(types, many=many))

    def _delete(self, placed: PlacedTable, *, many: bool) -> Statement:
        table = _statement_table(placed)
        types = _expected(placed)
        statement = _scoped(delete(table), placed, table)
        statement = statement.where(*_matches(placed, table, _given("old", types, many=many)))
        key = _key(placed, columns_by_attribute(placed.columns, table))
        return self._compiled(placed, statement.returning(*key), _slots(types, many=many))

    # --- Compiling them. ---

    def _once(self, key: Hashable, write: Callable[[], Statement]) -> Statement:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        statement = self._known[key] = write()
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return statement

    def _compiled(self, placed: PlacedTable, statement: ClauseElement, slots: Mapping[str, Slot]) -> Statement:
        compiled: Any = statement.compile(dialect=self._dialect)
        indexes = {name: index for index, name in enumerate(slots, start=int(placed.tenant is not None))}
        indexes[_TENANT] = 0
        plan = [(indexes[name], self._writer(slots[name]) if name in slots else None) for name in compiled.positiontup]
        return Statement(str(compiled), plan)

    def _writer(self, slot: Slot) -> Processor | None:
        write = slot.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        if write is None or not slot.is_list:
            return write
        return lambda values: [None if value is None else write(value) for value in values]

    def _reader(self, kind: TypeEngine[Any]) -> Processor | None:
        held = kind.dialect_impl(self._dialect)
        if isinstance(held, DateTime):
            return _zoned
        wire = getattr(held, "impl", held)
        oid = _FLOAT_OID if isinstance(wire, Float) else _NUMERIC_OID if isinstance(wire, Numeric) else None
        return held.result_processor(self._dialect, oid)


def _zoned(moment: datetime) -> datetime:
    # asyncpg writes the first moment of the year 1 as "-infinity", and reads that without its zone.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _statement_table(placed: PlacedTable) -> Any:
    return placed.table_in(_ANY_SCHEMA if placed.is_per_tenant else placed.schema(None))


def _row(placed: PlacedTable, table: FromClause) -> list[Any]:
    """Return the columns of a row as they are read: the fields, `id` first, and the version last."""
    columns = columns_by_attribute(placed.columns, table)
    return [*(columns[field.name] for field in placed.fields), table.c[placed.version.key]]


def _scoped(statement: Any, placed: PlacedTable, table: FromClause) -> Any:
    """Name the tenant in the statement: the first wall, and what leads a Citus cluster to the shard."""
    if placed.tenant is None:
        return statement
    return statement.where(table.c[placed.tenant.key] == bindparam(_TENANT, type_=Text()))


def _key(placed: PlacedTable, columns: Mapping[str, Any]) -> list[Any]:
    """Return the columns that tell rows apart: the id; over all tenants, the tenant too."""
    return [columns[name] for name in placed.identity]


def _expected(placed: PlacedTable) -> dict[str, TypeEngine[Any]]:
    """Return what a write names its rows by: id and version; over all tenants, the tenant too."""
    further: dict[str, TypeEngine[Any]] = {name: Text() for name in placed.identity[1:]}
    return {"id": _ID_TYPE, _VERSION: _WHOLE_TYPE, **further}


def _matches(placed: PlacedTable, table: FromClause, given: Mapping[str, Any]) -> list[Any]:
    columns = columns_by_attribute(placed.columns, table)
    same = [columns[name] == given[name] for name in placed.identity]
    return [*same, table.c[placed.version.key] == given[_VERSION]]


def _named(slots: Sequence[Slot]) -> dict[str, Slot]:
    return {f"value_{index}": slot for index, slot in enumerate(slots)}


def _slots(types: Mapping[str, TypeEngine[Any]], *, many: bool) -> dict[str, Slot]:
    return {f"given_{index}": Slot(kind, is_list=many) for index, kind in enumerate(types.values())}


def _given(name: str, types: Mapping[str, TypeEngine[Any]], *, many: bool) -> dict[str, Any]:
    """Return what a write is given, by attribute: one value each, or the columns of arrays put side by side."""
    numbered = {attribute: (f"given_{index}", kind) for index, (attribute, kind) in enumerate(types.items())}
    if not many:
        return {attribute: bindparam(place, type_=kind) for attribute, (place, kind) in numbered.items()}
    arrays = [bindparam(place, type_=ARRAY(kind)) for place, kind in numbered.values()]
    columns = [column(attribute, kind) for attribute, kind in types.items()]
    rows: Any = func.unnest(*arrays).table_valued(*columns, name=name).render_derived()
    return dict(rows.c.items())
