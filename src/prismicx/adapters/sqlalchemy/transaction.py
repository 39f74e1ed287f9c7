"""One transaction of one tenant on one borrowed connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from prismicx.adapters.deadline import Deadline
from prismicx.adapters.sqlalchemy.clearing import CLEAR_ALL, CLEAR_AND_LOOK
from prismicx.adapters.sqlalchemy.errors import Keys, Translation
from prismicx.adapters.sqlalchemy.opening import begin
from prismicx.adapters.sqlalchemy.pool import Connection, ConnectionPool, Leftover
from prismicx.adapters.sqlalchemy.pooler import DeclaredCursor
from prismicx.adapters.sqlalchemy.session import TenantSession
from prismicx.domain.errors import (
    ConnectionLostError,
    DatabaseError,
    PrismicxError,
    TransactionControlError,
    UnitOfWorkClosedError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient

_BATCH = 1000


class Transaction:
    """A transaction in which the database knows the tenant; `None` is the registry's.

    Args:
        keys: the unique keys that its statements can violate.
        isolation: the server's default where none is given.
        deadline: when the server is to stop it, and its caller to wait no longer.

    Attributes:
        waited: seconds that it waited for its connection.
    """

    __slots__ = (
        "_client",
        "_connection",
        "_deadline",
        "_doomed",
        "_isolation",
        "_keys",
        "_pool",
        "_read_only",
        "_savepoints",
        "_session",
        "_tenant",
        "waited",
    )

    def __init__(
        self,
        client: DatabaseClient,
        tenant: TenantId | None,
        *,
        read_only: bool,
        keys: Keys,
        isolation: Isolation | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._client = client
        self._tenant = tenant
        self._read_only = read_only
        self._keys = keys
        self._isolation = isolation
        self._deadline = deadline
        self._connection: Connection | None = None
        self._pool: ConnectionPool | None = None
        self._session: TenantSession | None = None
        self._savepoints = 0
        self._doomed = False
        self.waited = 0.0

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

    @property
    def _pooled(self) -> bool:
        return self._client.pooler == "transaction"

    def use(self, client: DatabaseClient) -> None:
        """Begin on a connection of this client, not of the one that it was made with."""
        self._client = client

    async def begin(self, further: str | None = None) -> str:
        """Borrow a connection, begin, and name the tenant: one message. Nothing stays open where that fails.

        Args:
            further: a statement to run with it; with a proof of tenant, which ends its message, right after it.

        Returns:
            What the server says of the last statement.
        """
        self._pool = self._client.pool
        asked = time.perf_counter()
        self._connection = await self._acquired(self._pool)
        self.waited = time.perf_counter() - asked
        try:
            opening = begin(
                read_only=self._read_only,
                isolation=self._isolation,
                deadline=self._deadline,
                connection=self._connection,
            )
            if self._tenant is not None:
                opening = self._client.opening(opening, self._tenant, self._connection)
            if further is None:
                return await self.execute(opening)
            if self._client.proof is None:
                return await self.execute(f"{opening}; {further}")
            await self.execute(opening)
            return await self.execute(further)
        except BaseException:
            await self.rollback()
            raise

    async def _acquired(self, pool: ConnectionPool) -> Connection:
        if self._deadline is None:
            return await pool.acquire()
        self._deadline.place = "while it waited for a connection"
        connection = await pool.acquire()
        self._deadline.place = ""
        return connection

    async def execute(self, sql: str) -> str:
        """Run statements without values; return what the server says of the last one."""
        with Translation(self.connection, self._keys):
            return await self.connection.execute(sql)

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> Sequence[Any]:
        """Return all rows of a statement."""
        with Translation(self.connection, self._keys):
            return await self.connection.fetch(sql, *arguments)

    async def batches(self, sql: str, arguments: Sequence[Any]) -> AsyncGenerator[Sequence[Any], None]:
        """Yield the rows of a statement, a thousand at a time, held back by a cursor on the server."""
        with Translation(self.connection, self._keys):
            cursor: Any = await (
                DeclaredCursor.of(self.connection, sql, arguments)
                if self._pooled
                else self.connection.cursor(sql, *arguments)
            )
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
        connection = self._connection
        if connection is not None and not connection.is_closed() and connection.is_in_transaction():
            with Translation(connection, self._keys):
                if isinstance(cursor, DeclaredCursor):
                    await cursor.close()
                else:
                    await cursor._close_portal(None)  # asyncpg has no other way to let go of it before the end

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
        before_statement: Callable[[], Awaitable[None] | None] | None = None,
        schemas: Mapping[str | None, str] | None = None,
        committable: bool = False,
        takes_text: bool = False,
    ) -> TenantSession:
        """Return the SQLAlchemy session over this transaction: the same one each time.

        Args:
            before_statement: asked before each statement of the session what to await first.
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
            ConnectionLostError: it had broken before, so nothing was committed.
            DatabaseError: an earlier error had broken the transaction; it is rolled back.
        """
        connection = self.connection
        if self._doomed:
            raise UnitOfWorkClosedError("broken by an earlier error")
        if connection.is_closed():
            raise ConnectionLostError("the connection to the database broke before commit")
        if not connection.is_in_transaction():
            raise TransactionControlError("a statement that ends the transaction")
        if self._leftover is Leftover.SESSION:
            await self._commit_and_clear(connection)
            return
        with Translation(connection, self._keys, committing=True):
            status = await connection.execute("COMMIT")
        self._end(Leftover.NOTHING)
        if status != "COMMIT":
            raise DatabaseError("25P02", "an earlier error had broken the transaction, so it was rolled back")

    async def rollback(self) -> None:
        """Discard everything and give the connection back; without effect once that has happened."""
        if self._connection is None:
            return
        cleaner = self._end(self._leftover)
        if cleaner is not None and (self._deadline is None or not self._deadline.is_over):
            await asyncio.shield(cleaner)

    @property
    def _leftover(self) -> Leftover:
        """What may be left on the connection, with the transaction that is open."""
        return Leftover.SESSION if self._session is not None and self._session.may_leave else Leftover.TRANSACTION

    async def _commit_and_clear(self, connection: Connection) -> None:
        """Commit, and clear up after the session, in one message."""
        clearing = CLEAR_ALL if self._pooled else CLEAR_AND_LOOK
        with Translation(connection, self._keys, committing=True, clearing=True):
            status = await connection.execute(clearing.after_commit)
        if not clearing.is_done(status):
            connection.terminate()
        self._end(Leftover.NOTHING)

    def _end(self, leftover: Leftover) -> asyncio.Task[None] | None:
        connection, self._connection = self.connection, None
        try:
            if self._session is not None:
                self._session.finish()
        finally:
            assert self._pool is not None, "a connection came out of it"
            cleaner = self._pool.give_back(connection, leftover)  # its own: the client may be closed, or started anew
        return cleaner
