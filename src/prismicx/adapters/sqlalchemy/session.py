"""SQLAlchemy's own session over a transaction that is not its own to begin or end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from prismicx.adapters.sqlalchemy.belonging import before_attach, before_flush
from prismicx.adapters.sqlalchemy.lending import Loan, lending_engine, take
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.pooler import Pooler
from prismicx.adapters.sqlalchemy.structures import structure_as_json
from prismicx.domain.errors import TransactionControlError
from prismicx.domain.identifiers import TenantId


class SessionFactory:
    """Makes sessions over borrowed connections: one engine for all of them, which never connects by itself."""

    def __init__(self, *, pooler: Pooler, statement_cache_size: int) -> None:
        self._engine = lending_engine(pooler=pooler, statement_cache_size=statement_cache_size)
        self._dialect: Any = PGDialect_asyncpg(json_serializer=structure_as_json)  # type: ignore[no-untyped-call]  # SQLAlchemy's constructors have no types

    @property
    def dialect(self) -> Any:
        """The dialect of the adapter's own statements, which name the tenant by themselves."""
        return self._dialect

    def session(
        self,
        connection: Connection,
        tenant: TenantId,
        *,
        before_statement: Callable[[], Awaitable[None] | None] | None,
        schemas: Mapping[str | None, str] | None,
        commit: Callable[[], Awaitable[None]] | None,
        takes_text: bool,
    ) -> TenantSession:
        """Return a session whose statements run on this connection, inside its open transaction."""
        loan = Loan(connection, tenant.value, schemas=schemas, takes_text=takes_text, before_statement=before_statement)
        return TenantSession(loan, self._engine, commit=commit)


class _GuardedSession(Session):
    """A session on a lent connection; it ends nothing, and nothing of it works after its end."""

    loan: Loan
    engine: Engine

    def get_bind(self, *args: Any, **options: Any) -> Engine:
        take(self.loan)
        return self.engine

    def begin(self, nested: bool = False) -> SessionTransaction:  # noqa: FBT001, FBT002 -- SQLAlchemy's signature
        if not nested:
            raise TransactionControlError("session.begin()")
        return super().begin(nested=True)

    def commit(self) -> NoReturn:
        raise TransactionControlError("session.commit()")

    def rollback(self) -> NoReturn:
        raise TransactionControlError("session.rollback()")

    def connection(self, *args: Any, **options: Any) -> NoReturn:
        raise TransactionControlError("session.connection()")

    def close(self) -> NoReturn:
        raise TransactionControlError("session.close()")

    def reset(self) -> NoReturn:
        raise TransactionControlError("session.reset()")

    def invalidate(self) -> NoReturn:
        raise TransactionControlError("session.invalidate()")

    def finish(self) -> None:
        """Let go of the connection and of every object."""
        super().close()
        self.loan.is_over = True


event.listen(_GuardedSession, "before_attach", before_attach)
event.listen(_GuardedSession, "before_flush", before_flush)


class TenantSession(AsyncSession):
    """An `AsyncSession` inside the transaction of a unit of work, which alone begins and ends it.

    Each statement names the tenant, for every table that has one. SQL as text is refused unless it is `raw_sql(…)`; so
    are objects of another tenant, and `connection()`. New objects are stamped with the tenant. `begin_nested` is a
    savepoint, as usual. What the unit of work holds is written before each statement.

    What a statement's own text or values have to answer for raises SQLAlchemy's errors (`IntegrityError`,
    `ProgrammingError` …). What concerns the whole unit raises the errors that repositories raise too: a refusal by the
    walls of the database (`PermissionDeniedError`, `ReadOnlyUnitOfWorkError`), `TransactionConflictError`,
    `StatementTimeoutError`, `ConnectionLostError`.
    """

    sync_session_class = _GuardedSession
    sync_session: _GuardedSession  # pyright: ignore[reportIncompatibleVariableOverride] -- it is of the class above

    def __init__(self, loan: Loan, engine: Engine, *, commit: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__()
        self.sync_session.loan = loan
        self.sync_session.engine = engine
        self._commit = commit

    @property
    def may_leave(self) -> bool:
        """Whether something ran in it that can outlast the transaction."""
        return self.sync_session.loan.may_leave

    @property
    def holds_changes(self) -> bool:
        """Whether a flush has anything to write."""
        session = self.sync_session
        return bool(session.new or session.deleted or session.dirty)

    async def commit(self) -> None:
        """End the transaction of `DatabaseClient.session`; refused in a unit of work.

        Raises:
            TransactionControlError: the session belongs to a unit of work.
        """
        if self._commit is None:
            raise TransactionControlError("session.commit()")
        await self.flush()
        await self._commit()

    def finish(self) -> None:
        """Let go of the connection; whatever is asked of the session from now on is refused."""
        self.sync_session.finish()
