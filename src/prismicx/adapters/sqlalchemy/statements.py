"""Statements: written with SQLAlchemy, compiled once for each shape, run by asyncpg."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    DateTime,
    Float,
    Numeric,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import TypeEngine

from prismicx.adapters.by_position import RowReader, row_reader
from prismicx.adapters.fields import Field, fields_of
from prismicx.adapters.sqlalchemy.clauses import (
    ANY_SCHEMA,
    IDENTITY,
    TENANT_PARAMETER,
    WHOLE_NUMBER,
    expected,
    first_written,
    given,
    key_columns,
    matches,
    named,
    scoped,
    slots_of,
    statement_table,
    whole_row,
)
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.specification import (
    Criterion,
    Slot,
    columns_by_attribute,
    ordering,
    parameter_type,
)
from prismicx.domain.locking import Lock
from prismicx.domain.specification import Order, Specification

Processor = Callable[[Any], Any]

_PLACE: Final = f'"{ANY_SCHEMA}"'
_LIMIT: Final = "limit"
_SMALL_LIMIT: Final = 101  # a page of a hundred, and whether there is another one
_ANY_LIMIT: Final = 0
_FLOAT_OID: Final = 701
_NUMERIC_OID: Final = 1700


class Statement:
    """One compiled statement: its text, and how its arguments are put in order."""

    __slots__ = ("_indexes", "_is_placed", "_plan", "_sql")

    def __init__(self, sql: str, plan: Sequence[tuple[int, Processor | None]]) -> None:
        self._sql = sql
        self._plan = tuple(plan)
        self._is_placed = _PLACE in sql
        is_plain = all(processor is None for _, processor in plan)
        self._indexes = [index for index, _ in plan] if is_plain else None

    def sql(self, schema: str) -> str:
        """Return the text for one schema. Its name is one of ours or the team's, and quoted."""
        return self._sql.replace(_PLACE, '"' + schema.replace('"', '""') + '"') if self._is_placed else self._sql

    def arguments(self, values: Sequence[Any]) -> list[Any]:
        """Return the arguments in the driver's order: nulls as they are, the rest as the column's type has it."""
        if self._indexes is not None:
            return [values[index] for index in self._indexes]
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
        self._row_readers: dict[PlacedTable, RowReader | None] = {}

    def by_id(self, placed: PlacedTable) -> Statement:
        """Return the read of one row. Values: tenant, id."""
        return self.once((placed, "id"), lambda: self._by_id(placed))

    def rows(
        self,
        placed: PlacedTable,
        specification: Specification,
        order: Sequence[Order],
        *,
        limit: int | None,
        names: tuple[str, ...] | None = None,
        lock: Lock | None = None,
    ) -> Statement:
        """Return the read of the rows that meet a specification. Values: tenant, specification's, limit if any.

        Args:
            placed: the table.
            specification: the criteria; only their shape counts.
            order: of the rows.
            limit: how many rows at most. A small one is part of the text: of one that it does not know, PostgreSQL
                assumes a tenth of all rows, and plans anew each time for fear of them.
            names: the attributes to read in place of the whole row.
            lock: how the rows are locked.
        """
        keys = tuple((key.attribute, key.descending, key.nulls_first) for key in order)
        limit = limit if limit is None or limit <= _SMALL_LIMIT else _ANY_LIMIT
        return self.once(
            (placed, "rows", specification.shape, keys, limit, names, lock),
            lambda: self._rows(placed, specification, order, limit=limit, names=names, lock=lock),
        )

    def count(self, placed: PlacedTable, specification: Specification) -> Statement:
        """Return the count of the rows that meet a specification. Values: tenant, the specification's."""
        return self.once(
            (placed, "count", specification.shape),
            lambda: self._filtered(placed, specification, [func.count()], limit_one=False),
        )

    def any(self, placed: PlacedTable, specification: Specification) -> Statement:
        """Return the search for any row that meets a specification. Values: tenant, the specification's."""
        return self.once(
            (placed, "any", specification.shape),
            lambda: self._filtered(placed, specification, [literal_column("1")], limit_one=True),
        )

    # Writes of one row take its values; writes of many take a list of each. PostgreSQL plans the first much faster.

    def insert(self, placed: PlacedTable, *, many: bool) -> Statement:
        """Return the insert of one row, or of any number. Values: tenant, then each field's."""
        return self.once((placed, "insert", many), lambda: self._insert(placed, many=many))

    def update(self, placed: PlacedTable, changed: Sequence[Field], *, many: bool) -> Statement:
        """Return the update of one row, or of any number, which returns the ids that matched.

        Values: tenant, id, expected version (over all tenants: its tenant), then each changed field's.
        """
        names = tuple(field.name for field in changed)
        return self.once((placed, "update", many, names), lambda: self._update(placed, names, many=many))

    def delete(self, placed: PlacedTable, *, many: bool) -> Statement:
        """Return the delete of one row, or of any number, which returns the ids that matched.

        Values: tenant, id, expected version (over all tenants: its tenant).
        """
        return self.once((placed, "delete", many), lambda: self._delete(placed, many=many))

    def readers(self, placed: PlacedTable) -> Sequence[tuple[str, Processor]]:
        """Return what has to be done to the values of a row, by attribute; most types need nothing."""
        known = self._readers.get(placed)
        if known is None:
            found = ((name, self._reader(column.type)) for name, column in placed.columns.items())
            known = self._readers[placed] = [(name, reader) for name, reader in found if reader is not None]
        return known

    def row_reader(self, placed: PlacedTable) -> RowReader | None:
        """Return what makes entities of whole rows, or `None` where a column's type has to read its values first."""
        if placed not in self._row_readers:
            is_read = all(read is _zoned for _, read in self.readers(placed))  # what lacks a zone fits no entity
            fits = is_read and placed.fields == fields_of(placed.mapping.entity)
            self._row_readers[placed] = row_reader(placed.mapping.entity) if fits else None
        return self._row_readers[placed]

    # --- Writing them. ---

    def _by_id(self, placed: PlacedTable) -> Statement:
        table = statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        statement = scoped(select(*whole_row(placed, table)), placed, table)
        statement = statement.where(columns["id"] == bindparam("value_0", type_=IDENTITY))
        return self.compiled(placed, statement, {"value_0": Slot(IDENTITY, is_list=False)})

    def _rows(
        self,
        placed: PlacedTable,
        specification: Specification,
        order: Sequence[Order],
        *,
        limit: int | None,
        names: tuple[str, ...] | None,
        lock: Lock | None,
    ) -> Statement:
        table = statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        criterion = Criterion(specification, columns)
        fields = {field.name: field for field in placed.fields}
        wanted = whole_row(placed, table) if names is None else [columns[name] for name in names]
        statement = scoped(select(*wanted), placed, table).where(criterion.condition)
        statement = statement.order_by(*ordering(order, columns, fields))
        slots = named(criterion.slots)
        if limit == _ANY_LIMIT:
            statement = statement.limit(bindparam(_LIMIT, type_=WHOLE_NUMBER))
            slots[_LIMIT] = Slot(WHOLE_NUMBER, is_list=False)
        elif limit is not None:
            statement = statement.limit(literal_column(str(limit)))
        if lock is not None:
            statement = statement.with_for_update(skip_locked=lock is Lock.SKIP, nowait=lock is Lock.FAIL)
        return self.compiled(placed, statement, slots)

    def _filtered(
        self, placed: PlacedTable, specification: Specification, wanted: Sequence[Any], *, limit_one: bool
    ) -> Statement:
        table = statement_table(placed)
        criterion = Criterion(specification, columns_by_attribute(placed.columns, table))
        statement = scoped(select(*wanted).select_from(table), placed, table).where(criterion.condition)
        if limit_one:
            statement = statement.limit(literal_column("1"))
        return self.compiled(placed, statement, named(criterion.slots))

    def _insert(self, placed: PlacedTable, *, many: bool) -> Statement:
        table = statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        types = {field.name: parameter_type(columns[field.name].type) for field in placed.fields}
        written = first_written(placed, table, given("new", types, many=many))
        statement = insert(table).from_select([*written], select(*written.values()), include_defaults=False)
        # Something has to be returned, for Citus; the ids are known, and would take longer than this.
        return self.compiled(placed, statement.returning(literal_column("1")), slots_of(types, many=many))

    def _update(self, placed: PlacedTable, changed: Sequence[str], *, many: bool) -> Statement:
        table = statement_table(placed)
        columns = columns_by_attribute(placed.columns, table)
        types = expected(placed) | {name: parameter_type(columns[name].type) for name in changed}
        new = given("new", types, many=many)
        written: dict[Any, Any] = {columns[name]: new[name] for name in changed}
        written[table.c[placed.version.key]] = table.c[placed.version.key] + literal_column("1")
        statement = scoped(update(table), placed, table).values(written)
        statement = statement.where(*matches(placed, table, new))
        return self.compiled(placed, statement.returning(*key_columns(placed, columns)), slots_of(types, many=many))

    def _delete(self, placed: PlacedTable, *, many: bool) -> Statement:
        table = statement_table(placed)
        types = expected(placed)
        statement = scoped(delete(table), placed, table)
        statement = statement.where(*matches(placed, table, given("old", types, many=many)))
        key = key_columns(placed, columns_by_attribute(placed.columns, table))
        return self.compiled(placed, statement.returning(*key), slots_of(types, many=many))

    # --- Compiling them. ---

    def once(self, key: Hashable, write: Callable[[], Statement]) -> Statement:
        """Return the statement of this shape, written when it is asked for the first time."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        statement = self._known[key] = write()
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return statement

    def compiled(self, placed: PlacedTable, statement: ClauseElement, slots: Mapping[str, Slot]) -> Statement:
        """Return the statement as text. Its values are the tenant (without it in the registry), then the slots'."""
        compiled: Any = statement.compile(dialect=self._dialect)
        indexes = {name: index for index, name in enumerate(slots, start=int(placed.tenant is not None))}
        indexes[TENANT_PARAMETER] = 0
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
