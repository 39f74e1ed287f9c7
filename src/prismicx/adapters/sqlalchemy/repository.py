"""Repositories on PostgreSQL: statements compiled once, rows made into aggregates by position."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Table
from sqlalchemy.ext.asyncio import AsyncSession

from prismicx.adapters.fields import entity_from, stored_specification
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.sqlalchemy import writing
from prismicx.adapters.sqlalchemy.specification import columns_by_attribute
from prismicx.adapters.sqlalchemy.statements import Statement
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.adapters.writing import Reached, Stored
from prismicx.domain.locking import Lock
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import RootT
from prismicx.domain.specification import Order, Specification


class SqlAlchemyRepository(TrackedRepository[RootT]):
    """A repository whose aggregates are rows.

    A team that wants SQL of its own subclasses it beside its port and uses `self.session`, `self.table` and
    `self.entities`:

        class SqlCustomerRepository(CustomerRepository, SqlAlchemyRepository[Customer]):
            async def biggest(self) -> list[Customer]:
                return await self.entities(select(self.table).order_by(self.table.c.revenue.desc()).limit(10))
    """

    has_locks = True

    def __init__(self, unit: SqlAlchemyUnitOfWork, mapping: EntityMapping) -> None:
        super().__init__(unit, mapping)
        self._work = unit
        self._placed = unit.tables[mapping.entity]
        self._schema = self._placed.schema(unit.tenant)
        self._names = tuple(self._placed.columns)
        self._readers = unit.statements.readers(self._placed)
        self._by_position = unit.statements.row_reader(self._placed)

    @property
    def session(self) -> AsyncSession:
        """The SQLAlchemy session of the unit of work: same connection, transaction and tenant."""
        return self._work.session

    @property
    def table(self) -> Table:
        """The table, in this tenant's schema."""
        return self._placed.table_in(self._schema)

    async def entities(self, statement: Select[Any]) -> list[RootT]:
        """Return the aggregates that a select over `self.table` finds, tracked, in its order.

        Whatever it selects, the columns of the aggregate are read; the tenant is named for it. What the unit of work
        holds is written first.
        """
        await self._work.flush()
        return [self._resolve(row) for row in await self._work.attempt(self._selected(statement))]

    async def _selected(self, statement: Select[Any]) -> Sequence[Any]:
        table = self.table
        columns = columns_by_attribute(self._placed.columns, table)
        wanted = [*(columns[name] for name in self._names), table.c[self._placed.version.key]]
        whole: Any = statement.with_only_columns(*wanted, maintain_column_froms=True)
        if self._unit.tenant is not None and self._placed.tenant is not None:
            whole = whole.where(table.c[self._placed.tenant.key] == self._unit.tenant.value)
        return [_Converted(row) for row in await self._work.select(whole)]

    async def _row(self, identity: UUID) -> Any | None:
        rows = await self._fetch(self._work.statements.by_id(self._placed), [identity])
        return rows[0] if rows else None

    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Any]:
        statement = self._work.statements.rows(self._placed, specification, order, limit=limit)
        return await self._fetch(statement, [*self._values(specification), *(() if limit is None else (limit,))])

    async def _locked(
        self, lock: Lock, specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Any]:
        statement = self._work.statements.rows(self._placed, specification, order, limit=limit, lock=lock)
        return await self._fetch(statement, [*self._values(specification), *(() if limit is None else (limit,))])

    async def _projected(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Mapping[str, Any]]:
        statement = self._work.statements.rows(self._placed, specification, order, limit=limit, names=names)
        rows = await self._fetch(statement, [*self._values(specification), *(() if limit is None else (limit,))])
        return self._named(rows, names)

    def _batches(self, specification: Specification, order: tuple[Order, ...]) -> AsyncGenerator[Sequence[Any], None]:
        statement = self._work.statements.rows(self._placed, specification, order, limit=None)
        return self._read_on(statement, specification)

    async def _projected_batches(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Mapping[str, Any]], None]:
        statement = self._work.statements.rows(self._placed, specification, order, limit=None, names=names)
        async with aclosing(self._read_on(statement, specification)) as batches:
            async for rows in batches:
                yield self._named(rows, names)

    async def _read_on(self, statement: Statement, specification: Specification) -> AsyncGenerator[Sequence[Any], None]:
        arguments = statement.arguments(self._scoped(self._values(specification)))
        async with aclosing(self._work.batches(statement.sql(self._schema), arguments)) as batches:
            async for rows in batches:
                yield rows

    async def _count(self, specification: Specification) -> int:
        statement = self._work.statements.count(self._placed, specification)
        rows = await self._fetch(statement, self._values(specification))
        return int(rows[0][0])

    async def _any(self, specification: Specification) -> bool:
        statement = self._work.statements.any(self._placed, specification)
        return bool(await self._fetch(statement, self._values(specification)))

    async def _upsert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Stored:
        statement = writing.upsert(self._work.statements, self._placed, key)
        rows = await self._fetch(statement, [values[name] for name in self._names])
        return Stored(*rows[0])

    async def _get_or_insert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Any | None:
        statement, inserted = writing.get_or_insert(self._work.statements, self._placed, key), len(self._names) + 1
        while True:
            rows = await self._fetch(statement, [values[name] for name in self._names])
            if rows[0][inserted]:
                return None
            if self._identity(rows[0]) is not None:
                return rows[0][:inserted]
            # Somebody else has committed the key since the statement began; the next one sees it.

    async def _update_where(
        self, specification: Specification, changes: Mapping[str, Any], held: Sequence[UUID]
    ) -> Reached:
        changed = [field for field in self._placed.fields if field.name in changes]
        statement = writing.update_where(self._work.statements, self._placed, changed, specification)
        return await self._reached(statement, [changes[field.name] for field in changed], specification, held)

    async def _delete_where(self, specification: Specification, held: Sequence[UUID]) -> Reached:
        statement = writing.delete_where(self._work.statements, self._placed, specification)
        return await self._reached(statement, [], specification, held)

    def _identity(self, row: Any) -> Hashable:
        identity: UUID = row[0]
        return identity

    def _version(self, row: Any) -> int:
        version: int = row[len(self._names)]
        return version

    def _plain(self, row: Any, names: tuple[str, ...]) -> Sequence[Any]:
        found = [row[self._names.index(name)] for name in names]
        for name, read in self._readers:
            if name in names and found[names.index(name)] is not None:
                found[names.index(name)] = read(found[names.index(name)])
        return found

    def _named(self, rows: Sequence[Any], names: tuple[str, ...]) -> Sequence[Mapping[str, Any]]:
        readers = [(name, read) for name, read in self._readers if name in names]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for values in found:
            for name, read in readers:
                if values[name] is not None:
                    values[name] = read(values[name])
        return found

    def _entity(self, row: Any) -> RootT:
        values = dict(zip(self._names, row, strict=False))  # the version comes last and is no attribute
        if type(row) is not _Converted:
            for name, read in self._readers:
                if values[name] is not None:
                    values[name] = read(values[name])
        return self._made(values, version=row[len(self._names)])

    def _entities(self, rows: Iterable[Any]) -> Iterator[RootT]:
        if self._by_position is None:
            return super()._entities(rows)
        return self._by_position(rows, self._unit.tenant, self._entity)

    def _made(self, values: dict[str, Any], *, version: int) -> RootT:
        return entity_from(self._kind, values, version=version, tenant=self._unit.tenant)

    async def _fetch(self, statement: Statement, values: Sequence[Any]) -> Sequence[Any]:
        arguments = statement.arguments(self._scoped(values))
        return await self._work.fetch(statement.sql(self._schema), arguments)

    async def _reached(
        self, statement: Statement, new: Sequence[Any], specification: Specification, held: Sequence[UUID]
    ) -> Reached:
        rows = await self._fetch(statement, [*new, *self._values(specification), list(held)])
        count, ids, versions = rows[0]
        return Reached(count, dict(zip(ids or (), versions or (), strict=True)))

    def _values(self, specification: Specification) -> Sequence[Any]:
        return stored_specification(self._kind, specification).values

    def _scoped(self, values: Sequence[Any]) -> Sequence[Any]:
        return values if self._unit.tenant is None else [self._unit.tenant.value, *values]


class _Converted(tuple[Any, ...]):
    """A row whose values SQLAlchemy has read already."""

    __slots__ = ()
