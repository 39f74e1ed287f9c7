"""Pooled connections as SQLAlchemy sees them: lent to one session at a time, adapted once, never closed by it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import asyncpg
import sqlalchemy
from sqlalchemy import Engine, Pool, event
from sqlalchemy.dialects.postgresql.asyncpg import PGExecutionContext_asyncpg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.elements import ReleaseSavepointClause, RollbackToSavepointClause, SavepointClause
from sqlalchemy.util import await_only

from prismicx.adapters.sqlalchemy.errors import driver_error, error_of_the_unit
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.pooler import Pooler
from prismicx.adapters.sqlalchemy.scope import TenantCompiler, name_tenant, refuse_text
from prismicx.adapters.sqlalchemy.structures import structure_as_json
from prismicx.domain.errors import TransactionControlError, UnitOfWorkClosedError

_OF_SAVEPOINTS: Final = (SavepointClause, ReleaseSavepointClause, RollbackToSavepointClause)

_FORBIDDEN: Final = re.compile(
    r"""\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*
    (BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)
    |PREPARE|EXECUTE|DEALLOCATE|DISCARD|DO|RESET(?:\s+\w+)*
    |SET(?!\s+LOCAL\s+(?!ROLE\b|SESSION_AUTHORIZATION\b)\w+\s*(?:=|TO\b)|\s+CONSTRAINTS\b)(?:\s+\w+)*)(?!\w)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


class DriverConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that keeps what SQLAlchemy has made of it, and with that the statements that are prepared on it.

    Attributes:
        adapted: SQLAlchemy's side of it, from the first session to the end of the connection.
    """

    adapted: ConnectionPoolEntry | None = None


class Loan:
    """A connection in the hands of one session.

    Attributes:
        tenant: whose transaction is open on it.
        schemas: the tenant's schemas, by the name that tables are declared with.
        takes_text: whether SQL as text needs no `raw_sql`.
        before_statement: asked before each statement of the session what to await first.
        may_leave: whether something ran that can outlast the transaction: a setting, a lock, a temporary table.
        is_over: whether the session has ended, after which nothing runs on the loan.
    """

    __slots__ = ("before_statement", "connection", "is_over", "may_leave", "schemas", "takes_text", "tenant")

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        *,
        schemas: Mapping[str | None, str] | None,
        takes_text: bool,
        before_statement: Callable[[], Awaitable[None] | None] | None,
    ) -> None:
        self.connection = connection
        self.tenant = tenant
        self.schemas = schemas
        self.takes_text = takes_text
        self.before_statement = before_statement
        self.may_leave = False
        self.is_over = False


_loan: ContextVar[Loan] = ContextVar("prismicx_loan")


def take(loan: Loan) -> None:
    """Let what SQLAlchemy connects to next be this loan's connection.

    Raises:
        UnitOfWorkClosedError: the loan is over.
    """
    _require(loan)
    _loan.set(loan)


def _require(loan: Loan) -> None:
    if loan.is_over:
        raise UnitOfWorkClosedError("closed")


def lending_engine(*, pooler: Pooler, statement_cache_size: int) -> Engine:
    """Return an engine whose connections are the loans that sessions take; it makes and ends none itself."""
    nothing_stays = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": _no_name}
    made = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=_LentConnections,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",  # SQLAlchemy begins nothing: the transaction is there
        json_serializer=structure_as_json,
        async_creator=_lend,
        connect_args=(
            nothing_stays if pooler == "transaction" else {"prepared_statement_cache_size": statement_cache_size}
        ),
    ).sync_engine
    made.dialect.statement_compiler = TenantCompiler
    made.dialect.execution_ctx_cls = _GuardedExecution
    event.listen(made, "handle_error", _tell)
    return _LendingEngine(made.pool, made.dialect, made.url)


class _LendingEngine(Engine):
    def connect(self) -> TenantConnection:
        return TenantConnection(self, _loan.get())


class TenantConnection(sqlalchemy.Connection):
    """A loan as SQLAlchemy's connection. It has no events, which would cost too much."""

    def __init__(self, engine: Engine, loan: Loan) -> None:
        may_leave = loan.may_leave
        super().__init__(engine)
        loan.may_leave = may_leave  # what runs on it is looked at
        self.loan = loan
        if loan.schemas:
            self.execution_options(schema_translate_map=loan.schemas)

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        loan = self.loan
        _require(loan)
        if loan.before_statement is not None and not isinstance(statement, _OF_SAVEPOINTS):
            first = loan.before_statement()
            if first is not None:
                await_only(first)
        name_tenant(loan.tenant, statement, parameters)
        return super().execute(statement, parameters, execution_options=execution_options)

    def scalar(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        return self.execute(statement, parameters, execution_options=execution_options).scalar()

    def scalars(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        return self.execute(statement, parameters, execution_options=execution_options).scalars()

    def require_permitted(self, statement: str, compiled: Any) -> None:
        """Return if a statement may run, as it is about to be sent.

        Raises:
            UnitOfWorkClosedError: the loan is over.
            TransactionControlError: it would end the transaction, or change what is set in it.
            UnsupportedOperationError: it is text where that is refused.
        """
        if isinstance(compiled, TenantCompiler) and compiled.leaves_nothing and compiled.text is None:
            return
        _require(self.loan)
        found = _FORBIDDEN.match(statement)
        if found:
            raise TransactionControlError(" ".join(found.group(1).split()))
        if not self.loan.takes_text:
            refuse_text(compiled)
        self.loan.may_leave = True


class _GuardedExecution(PGExecutionContext_asyncpg):
    def pre_exec(self) -> None:
        super().pre_exec()  # type: ignore[no-untyped-call]  # SQLAlchemy's own, without types
        connection = self.root_connection
        if isinstance(connection, TenantConnection):  # else the engine learns what server it has to do with
            connection.require_permitted(self.statement, self.compiled)


class _LentConnections(Pool):
    """Takes from each connection what SQLAlchemy has made of it before; nothing is asked of it in between."""

    def _do_get(self) -> ConnectionPoolEntry:
        loan = _loan.get()
        _require(loan)
        loan.may_leave = True  # for all that is known of who asks for it
        known: ConnectionPoolEntry | None = loan.connection.adapted
        if known is not None and not known.in_use:
            return known
        made = self._create_connection()
        if known is None:
            loan.connection.adapted = made
        return made

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        """Leave it with its connection."""


class _Lent:
    """A connection of the driver as SQLAlchemy has it: to use, not to close."""

    __slots__ = ("_connection",)

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
    return _Lent(_loan.get().connection)


def _no_name() -> str:
    return ""  # a statement with a name stays behind, on whichever connection the pooler had it prepared


def _tell(context: ExceptionContext) -> None:
    error = context.sqlalchemy_exception
    if isinstance(error, DBAPIError):
        told = error_of_the_unit(driver_error(error), _loan.get().connection)
        if told is not None:
            raise told
