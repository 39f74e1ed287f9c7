"""SQLAlchemy's own session over a transaction that is not its own to begin or end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NoReturn

from sqlalchemy import Engine, NullPool, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.util import await_only, greenlet_spawn

from prismicx.adapters.sqlalchemy.belonging import keep_to
from prismicx.adapters.sqlalchemy.errors import driver_error, error_of_the_unit
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.scope import RAW_OPTION, TENANT_OPTION, TenantCompiler, before_execute, refuse_text
from prismicx.adapters.sqlalchemy.structures import structure_as_json
from prismicx.domain.errors import TransactionControlError, UnitOfWorkClosedError
from prismicx.domain.identifiers import TenantId

_borrowed: ContextVar[Connection] = ContextVar("prismicx_borrowed_connection")

_FORBIDDEN: Final = re.compile(
    r"""\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*
    (BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)
    |PREPARE|EXECUTE|DEALLOCATE|DISCARD|DO|RESET(?:\s+\w+)*
    |SET(?!\s+LOCAL\s+(?!ROLE\b|SESSION_AUTHORIZATION\b)\w+\s*(?:=|TO\b)|\s+CONSTRAINTS\b)(?:\s+\w+)*)(?!\w)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class SessionFactory:
    """Makes sessions over borrowed connections: one engine for all of them, which never connects by itself."""

    def __init__(self, *, pooler: str) -> None:
        by_a_pooler = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": _no_name}
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # SQLAlchemy begins nothing: the transaction is there
            json_serializer=structure_as_json,
            async_creator=_lend,
            connect_args=by_a_pooler if pooler == "transaction" else {},
        )
        self._engine.dialect.statement_compiler = TenantCompiler
        event.listen(self._engine.sync_engine, "before_execute", before_execute, retval=True)
        event.listen(self._engine.sync_engine, "before_cursor_execute", _refuse)
        event.listen(self._engine.sync_engine, "handle_error", _tell)
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
        before_statement: Callable[[], Awaitable[None]] | None,
        schemas: Mapping[str | None, str] | None,
        commit: Callable[[], Awaitable[None]] | None,
        takes_text: bool,
    ) -> TenantSession:
        """Return a session whose statements run on this connection, inside its open transaction."""
        options: dict[str, Any] = {TENANT_OPTION: tenant.value, RAW_OPTION: takes_text}
        if schemas:
            options["schema_translate_map"] = dict(schemas)
        engine = self._engine.sync_engine.execution_options(**options)
        session = TenantSession(connection, engine, before_statement=before_statement, commit=commit)
        keep_to(session.sync_session, tenant.value)
        return session

    async def close(self) -> None:
        """Let go of the engine."""
        await self._engine.dispose()


class _GuardedSession(Session):
    """A session on a lent connection; it ends nothing, and nothing of it works after its end."""

    lent: Connection
    engine: Engine
    ended = False

    def get_bind(self, *args: Any, **options: Any) -> Engine:
        if self.ended:
            raise UnitOfWorkClosedError("closed")
        _borrowed.set(self.lent)
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
        self.ended = True


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

    def __init__(
        self,
        connection: Connection,
        engine: Engine,
        *,
        before_statement: Callable[[], Awaitable[None]] | None,
        commit: Callable[[], Awaitable[None]] | None,
    ) -> None:
        super().__init__()
        self.sync_session.lent = connection
        self.sync_session.engine = engine
        self._commit = commit
        if before_statement is not None:

            def write_first(state: ORMExecuteState) -> None:
                await_only(before_statement())

            event.listen(self.sync_session, "do_orm_execute", write_first)

    async def commit(self) -> None:
        """End the transaction of `DatabaseClient.session`; refused in a unit of work.

        Raises:
            TransactionControlError: the session belongs to a unit of work.
        """
        if self._commit is None:
            raise TransactionControlError("session.commit()")
        await self.flush()
        await self._commit()

    async def finish(self) -> None:
        """Let go of the connection; whatever is asked of the session from now on is refused."""
        await greenlet_spawn(self.sync_session.finish)


class _Lent:
    """The borrowed connection as SQLAlchemy sees it: to use, not to close."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def close(self, timeout: float | None = None) -> None:
        """Leave it open."""

    def terminate(self) -> None:
        """Leave it open."""

    async def set_type_codec(self, *args: Any, **options: Any) -> None:
        """Leave them alone: the pool has set the same ones, and setting them again forgets prepared statements."""


async def _lend(*args: Any, **options: Any) -> _Lent:
    return _Lent(_borrowed.get())


def _no_name() -> str:
    return ""  # a statement with a name stays behind, on whichever connection the pooler had it prepared


def _tell(context: ExceptionContext) -> None:
    error = context.sqlalchemy_exception
    if isinstance(error, DBAPIError):
        told = error_of_the_unit(driver_error(error), _borrowed.get())
        if told is not None:
            raise told


def _refuse(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:  # noqa: FBT001, PLR0917 -- an event's parameters
    found = _FORBIDDEN.match(statement)
    if found:
        raise TransactionControlError(" ".join(found.group(1).split()))
    refuse_text(connection, getattr(context, "compiled", None))
