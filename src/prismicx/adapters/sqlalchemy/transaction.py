"""One transaction of one tenant on one borrowed connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from prismicx.adapters.sqlalchemy.errors import Keys, Translation
from prismicx.adapters.sqlalchemy.pool import Connection, ConnectionPool, Leftover
from prismicx.adapters.sqlalchemy.session import TenantSession
from prismicx.domain.errors import DatabaseError, PrismicxError, TransactionControlError, UnitOfWorkClosedError
from prismicx.domain.identifiers import TenantId

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient

_BATCH = 1000


class Transaction:
    """A transaction in which the database knows the tenant; `None` is the registry's.

    Args:
        keys: the unique keys that its statements can violate.
    """

    __slots__ = (
        "_client",
        "_connection",
        "_doomed",
        "_keys",
        "_pool",
        "_read_only",
        "_savepoints",
        "_session",
        "_tenant",
    )

    def __init__(self, client: DatabaseClient, tenant: TenantId | None, *, read_only: bool, keys: Keys) -> None:
        self._client = client
        self._tenant = tenant
        self._read_only = read_only
        self._keys = keys
        self._connection: Connection | None = None
        self._pool: ConnectionPool | None = None
        self._session: TenantSession | None = None
        self._savepoints = 0
        self._doomed = False

    @property
    def connection(self) -> Connection:
        """The borrowed connection.

        Raises:
            UnitOfWorkClosedError: the transaction has ended, or has not begun.
        """
        if self._connection is None:
            raise UnitOfWorkClosedError("closed")
        return self._connection

    @property
    def open_session(self) -> TenantSession | None:
        """The session, if anybody has asked for it."""
        return self._session

    async def begin(self) -> None:
        """Borrow a connection, begin, and name the tenant: one message. Nothing stays open where that fails."""
        opening = "BEGIN READ ONLY" if self._read_only else "BEGIN"
        self._pool = self._client.pool
        self._connection = await self._pool.acquire()
        try:
            if self._tenant is not None:
                opening = self._client.opening(opening, self._tenant, self._connection)
            await self.execute(opening)
        except BaseException:
            await self.rollback()
            raise

    async def execute(self, sql: str) -> None:
        """Run statements without values."""
        with Translation(self.connection, self._keys):
            await self.connection.execute(sql)

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        """Return all rows of a statement."""
        with Translation(self.connection, self._keys):
            return await self.connection.fetch(sql, *arguments)

    async def batches(self, sql: str, arguments: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows of a statement, a thousand at a time, held back by a cursor on the server."""
        with Translation(self.connection, self._keys):
            cursor = await self.connection.cursor(sql, *arguments)
        owner = asyncio.current_task()
        try:
            while rows := await self._next_of(cursor):
                yield rows
        except GeneratorExit:
            # What is left early and not closed, Python closes in another task: the connection may be busy by then.
            if asyncio.current_task() is owner:
                await self._close(cursor)
            raise
        await self._close(cursor)

    async def _next_of(self, cursor: Any) -> Sequence[Any]:
        with Translation(self.connection, self._keys):
            rows: Sequence[Any] = await cursor.fetch(_BATCH)
        return rows

    async def _close(self, cursor: Any) -> None:
        if self._connection is not None and self._connection.is_in_transaction():
            with Translation(self._connection, self._keys):
                await cursor._close_portal(None)  # asyncpg has no other way to let go of it before the transaction ends

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Open a block whose writes are taken back if it raises."""
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        await self.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._doomed = True
            with suppress(PrismicxError):  # what ended the block is the news; a transaction that failed stays doomed
                await self.execute(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
                self._doomed = False
            raise
        else:
            await self.execute(f"RELEASE SAVEPOINT {name}")
        finally:
            self._savepoints -= 1

    def session(
        self,
        *,
        before_statement: Callable[[], Awaitable[None]] | None = None,
        schemas: Mapping[str | None, str] | None = None,
        committable: bool = False,
        takes_text: bool = False,
    ) -> TenantSession:
        """Return the SQLAlchemy session over this transaction: the same one each time.

        Args:
            before_statement: awaited before each statement of the session.
            schemas: the tenant's schemas, by the name that tables are declared with.
            committable: whether `session.commit()` ends the transaction, or is refused.
            takes_text: whether SQL as text needs no `raw_sql`.
        """
        if self._session is None:
            assert self._tenant is not None, "the registry has no session"
            self._session = self._client.sessions.session(
                self.connection,
                self._tenant,
                before_statement=before_statement,
                schemas=schemas,
                commit=self.commit if committable else None,
                takes_text=takes_text,
            )
        return self._session

    async def commit(self) -> None:
        """Make everything last and give the connection back.

        Raises:
            CommitOutcomeUnknownError: the connection broke while the database was committing.
            DatabaseError: an earlier error had broken the transaction; it is rolled back.
        """
        connection = self.connection
        if self._doomed:
            raise UnitOfWorkClosedError("broken by an earlier error")
        if not connection.is_in_transaction():
            raise TransactionControlError("a statement that ends the transaction")
        with Translation(connection, self._keys, committing=True):
            status = await connection.execute("COMMIT")
        leftover = Leftover.NOTHING if self._session is None else Leftover.SESSION
        await self._end(leftover)
        if status != "COMMIT":
            raise DatabaseError("25P02", "an earlier error had broken the transaction, so it was rolled back")

    async def rollback(self) -> None:
        """Discard everything and give the connection back; without effect once that has happened."""
        if self._connection is None:
            return
        leftover = Leftover.TRANSACTION if self._session is None else Leftover.SESSION
        cleaner = await self._end(leftover)
        if cleaner is not None:
            await asyncio.shield(cleaner)

    async def _end(self, leftover: Leftover) -> asyncio.Task[None] | None:
        connection, self._connection = self.connection, None
        try:
            if self._session is not None:
                await self._session.finish()
        finally:
            assert self._pool is not None, "a connection came out of it"
            cleaner = self._pool.give_back(connection, leftover)  # its own: the client may be closed, or started anew
        return cleaner
