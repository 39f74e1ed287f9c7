"""One transaction of one tenant on one borrowed connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from prismicx.adapters.sqlalchemy.errors import Keys, Translation
from prismicx.adapters.sqlalchemy.pool import Connection, Leftover
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

    __slots__ = ("_client", "_connection", "_doomed", "_keys", "_read_only", "_savepoints", "_session", "_tenant")

    def __init__(self, client: DatabaseClient, tenant: TenantId | None, *, read_only: bool, keys: Keys) -> None:
        self._client = client
        self._tenant = tenant
        self._read_only = read_only
        self._keys = keys
        self._connection: Connection | None = None
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
        if self._tenant is not None:
            # A literal, because a message of two statements binds nothing: hence a validated TenantId and nothing else.
            opening += f"; SELECT prismicx.set_tenant('{self._tenant.value}')"
        self._connection = await self._client.pool.acquire()
        try:
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

    async def batches(self, sql: str, arguments: Sequence[Any]) -> AsyncIterator[Sequence[Any]]:
        """Yield the rows of a statement, a thousand at a time, held back by a cursor on the server."""
        with Translation(self.connection, self._keys):
            cursor = await self.connection.cursor(sql, *arguments)
        while True:
            with Translation(self.connection, self._keys):
                rows = await cursor.fetch(_BATCH)
            if not rows:
                return
            yield rows

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
    ) -> TenantSession:
        """Return the SQLAlchemy session over this transaction: the same one each time.

        Args:
            before_statement: awaited before each statement of the session.
            schemas: the tenant's schemas, by the name that tables are declared with.
            committable: whether `session.commit()` ends the transaction, or is refused.
        """
        if self._session is None:
            self._session = self._client.sessions.session(
                self.connection,
                before_statement=before_statement,
                schemas=schemas,
                commit=self.commit if committable else None,
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
            cleaner = self._client.pool.give_back(connection, leftover)
        return cleaner
