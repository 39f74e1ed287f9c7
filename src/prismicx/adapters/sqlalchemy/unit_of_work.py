"""Units of work on PostgreSQL: one transaction of one tenant, begun in one message with its name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from prismicx.adapters.change_set import Additions, Removal, Update
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import PlacedTable, Tables
from prismicx.adapters.sqlalchemy.opening import WRITTEN, record_statement
from prismicx.adapters.sqlalchemy.outbox import STORE, store_arguments
from prismicx.adapters.sqlalchemy.registry_feed import ANNOUNCE
from prismicx.adapters.sqlalchemy.statements import Statement, Statements
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.adapters.terms import Terms
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.applied import AppliedUnit
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import ConcurrencyError, TransactionControlError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import RecordedEvent
from prismicx.domain.placement import EntityMapping

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient


class SqlAlchemyUnitOfWork(TrackedUnitOfWork):
    """A unit of work in one PostgreSQL transaction.

    Three round trips carry a unit with one statement: begin with tenant, the statement, commit.
    """

    def __init__(
        self,
        tenant: TenantId | None,
        *,
        terms: Terms,
        wiring: Wiring,
        client: DatabaseClient,
        tables: Tables,
        statements: Statements,
    ) -> None:
        super().__init__(tenant, terms=terms, wiring=wiring)
        self.tables = tables
        self.statements = statements
        self.transaction = Transaction(
            client,
            tenant,
            read_only=terms.read_only,
            keys=tables.keys,
            isolation=terms.isolation,
            deadline=terms.deadline,
        )
        self._found_record = False

    @property
    def session(self) -> AsyncSession:
        """A SQLAlchemy session over this unit's connection, transaction and tenant.

        Whatever the unit of work holds is written before each statement of the session, and whatever the session
        holds before the unit commits. The unit alone ends the transaction; after it the session is of no use.
        Every statement names the tenant; SQL as text is refused unless it is `raw_sql(…)`.

        Raises:
            UnitOfWorkClosedError: the unit has not begun, or has ended.
            TransactionControlError: this is a unit of the registry, which has no session.
        """
        self.require_open()
        if self._tenant is None:
            raise TransactionControlError("a session over the registry")
        known = self.transaction.open_session
        if known is not None:
            return known
        return self.transaction.session(before_statement=self._first_of_all, schemas=self.tables.schemas(self._tenant))

    def _first_of_all(self) -> Awaitable[None] | None:
        """Return what is to be awaited before a statement of the session."""
        self.require_open()
        return super()._flush(last=False) if self.tracker.changes() else None

    async def _flush(self, *, last: bool) -> None:
        session = self.transaction.open_session
        await super()._flush(last=last and session is None)
        if session is not None and session.holds_changes:
            await self.attempt(self._flush_session(session))

    def fetch(self, sql: str, arguments: Sequence[Any]) -> Awaitable[Sequence[Any]]:
        """Return all rows of a query of this tenant's."""
        return self.transaction.fetch(sql, arguments)

    def batches(self, sql: str, arguments: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows of a query of this tenant's, some at a time."""
        return self.transaction.batches(sql, arguments)

    async def select(self, statement: Select[Any]) -> Sequence[Any]:
        """Return the rows of a statement that the team has written, run by the session."""
        with Translation(self.transaction.connection, self.tables.keys):
            rows: Sequence[Any] = (await self.session.execute(statement)).all()
        return rows

    def _waited(self) -> float | None:
        return self.transaction.waited

    def _use(self, client: DatabaseClient) -> None:
        self.transaction.use(client)

    async def _begin(self) -> None:
        record = self._terms.applied
        if record is None or self._tenant is None:
            await self.transaction.begin()
            return
        placed = self.tables[AppliedUnit]
        self._found_record = await self.transaction.begin(record_statement(placed, self._tenant, record)) != WRITTEN

    async def _leave_record(self, record: AppliedUnit) -> AppliedUnit | None:
        return await self._standing_record(record) if self._found_record else None

    async def _insert(self, mapping: EntityMapping, entities: Additions) -> None:
        placed = self.tables[mapping.entity]
        await self._write(placed, self.statements.insert(placed, many=len(entities) > 1), entities.columns)

    async def _update(self, mapping: EntityMapping, updates: Sequence[Update]) -> None:
        placed = self.tables[mapping.entity]
        ordered = sorted(updates, key=lambda update: update.entity.id)  # one order for all, so that fewer deadlock
        names = {name for update in ordered for name in update.changed}
        changed = [field for field in placed.fields if field.name in names]
        lists = self._expected(placed, ordered)
        lists += [[field.plain(update.entity.__dict__[field.name]) for update in ordered] for field in changed]
        statement = self.statements.update(placed, changed, many=len(ordered) > 1)
        matched = await self._write(placed, statement, lists)
        self._require_all(placed, ordered, matched)

    async def _remove(self, mapping: EntityMapping, removals: Sequence[Removal]) -> None:
        placed = self.tables[mapping.entity]
        ordered = sorted(removals, key=lambda removal: removal.entity.id)
        statement = self.statements.delete(placed, many=len(ordered) > 1)
        matched = await self._write(placed, statement, self._expected(placed, ordered))
        self._require_all(placed, ordered, matched)

    async def _store_events(self, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        await self.transaction.fetch(STORE, store_arguments(tenant, events))

    async def _announce(self, tenants: Sequence[TenantId]) -> None:
        await self.transaction.fetch(ANNOUNCE, [[tenant.value for tenant in tenants]])

    async def _commit(self) -> None:
        await self.transaction.commit()

    async def _rollback(self) -> None:
        await self.transaction.rollback()

    def _database_savepoint(self) -> AbstractAsyncContextManager[None]:
        return self.transaction.savepoint()

    async def _write(self, placed: PlacedTable, statement: Statement, lists: Sequence[Any]) -> Sequence[Any]:
        """Run a write with a list of values for each of its columns, or with their only values."""
        given = lists if len(lists[0]) > 1 else [values[0] for values in lists]
        values = given if self._tenant is None else [self._tenant.value, *given]
        return await self.transaction.fetch(statement.sql(placed.schema(self._tenant)), statement.arguments(values))

    async def _flush_session(self, session: AsyncSession) -> None:
        with Translation(self.transaction.connection, self.tables.keys):
            await session.flush()

    def _key(self, placed: PlacedTable, entity: AggregateRoot) -> tuple[Any, ...]:
        """Return the values of `placed.identity`."""
        return (entity.id,)

    def _expected(self, placed: PlacedTable, writes: Sequence[Update | Removal]) -> list[list[Any]]:
        """Return what a statement names the rows of these writes by."""
        ids, *further = zip(*(self._key(placed, write.entity) for write in writes), strict=True)
        return [list(ids), [write.version for write in writes], *map(list, further)]

    def _require_all(self, placed: PlacedTable, writes: Sequence[Update | Removal], matched: Sequence[Any]) -> None:
        if len(matched) == len(writes):
            return
        found = {tuple(row) for row in matched}
        missed = [write.entity.id for write in writes if self._key(placed, write.entity) not in found]
        raise ConcurrencyError(placed.mapping.entity.__name__, missed)
