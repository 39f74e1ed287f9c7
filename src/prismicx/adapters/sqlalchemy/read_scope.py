"""Read scopes on PostgreSQL: each query is a transaction of its own, and one trip where its plan allows it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import Tables
from prismicx.adapters.sqlalchemy.pool import Leftover
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.adapters.terms import READING
from prismicx.adapters.wiring import Wiring
from prismicx.domain.errors import UnsupportedOperationError
from prismicx.domain.identifiers import TenantId

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient


class SqlAlchemyReadScope(SqlAlchemyUnitOfWork):
    """A read-only unit that has no transaction: it borrows a connection for each query, and for no longer.

    A query whose plan sets the tenant before it touches a table is one trip. Another one takes three, in a transaction
    that begins with the tenant, as do all with a proof of tenant (the database takes it with BEGIN alone), behind a
    transaction pooler and on Citus. A stream, and what the team's own SQL asks, has a transaction too.
    """

    def __init__(
        self, tenant: TenantId, *, wiring: Wiring, client: DatabaseClient, tables: Tables, statements: Statements
    ) -> None:
        super().__init__(tenant, terms=READING, wiring=wiring, client=client, tables=tables, statements=statements)
        self._reader = tenant
        self._client = client
        self._open: set[Transaction] = set()
        self._pool_wait = 0.0

    @property
    def session(self) -> AsyncSession:
        raise UnsupportedOperationError("a session in a read scope: open a unit of work", type(self).__name__)

    async def flush(self) -> None:
        self.require_open()

    def fetch(self, sql: str, arguments: Sequence[Any]) -> Awaitable[Sequence[Any]]:
        client = self._client
        if client.pooler != "none" or client.proof is not None:
            return self._in_three_trips(sql, arguments)
        verdict = client.plans.known(sql)
        if verdict is None:
            return self._for_the_first_time(sql, arguments)
        if verdict.one_trip is None:
            return self._in_three_trips(sql, arguments)
        return self._in_one_trip(verdict.one_trip, [*arguments, self._reader.value])

    async def batches(self, sql: str, arguments: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        async with self._transaction() as transaction, aclosing(transaction.batches(sql, arguments)) as batches:
            async for rows in batches:
                yield rows

    async def select(self, statement: Select[Any]) -> Sequence[Any]:
        async with self._transaction() as transaction:
            session = transaction.session(schemas=self.tables.schemas(self._reader))
            with Translation(transaction.connection, self.tables.keys):
                rows: Sequence[Any] = (await session.execute(statement)).all()
        return rows

    def _waited(self) -> float | None:
        return self._pool_wait

    def _use(self, client: DatabaseClient) -> None:
        self._client = client

    async def _begin(self) -> None:
        """Nothing is begun before there is something to ask."""

    async def _commit(self) -> None:
        await self._rollback()

    async def _rollback(self) -> None:
        for transaction in tuple(self._open):
            await transaction.rollback()

    async def _in_one_trip(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        pool = self._client.pool
        asked = time.perf_counter()
        connection = await pool.acquire()
        self._pool_wait += time.perf_counter() - asked
        try:
            rows = await connection.fetch(sql, *arguments)
        except BaseException:
            pool.give_back(connection, Leftover.TRANSACTION)  # the server may still be busy with it
            with Translation(connection, self.tables.keys):
                raise
        pool.give_back(connection, Leftover.NOTHING)
        return rows

    async def _for_the_first_time(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        await self._look_at(sql, [*arguments, self._reader.value])
        return await self.fetch(sql, arguments)

    async def _look_at(self, sql: str, arguments: Sequence[Any]) -> None:
        pool = self._client.pool
        connection = await pool.acquire()
        leftover = Leftover.SESSION
        try:
            with Translation(connection, self.tables.keys):
                await self._client.plans.look(connection, sql, arguments)
            leftover = Leftover.NOTHING
        finally:
            pool.give_back(connection, leftover)

    async def _in_three_trips(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        async with self._transaction() as transaction:
            return await transaction.fetch(sql, arguments)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction of the tenant, which lasts no longer than the scope."""
        transaction = Transaction(self._client, self._reader, read_only=True, keys=self.tables.keys)
        self._open.add(transaction)
        try:
            await transaction.begin()
            self._pool_wait += transaction.waited
            yield transaction
            await transaction.commit()
        finally:
            self._open.discard(transaction)
            await transaction.rollback()
