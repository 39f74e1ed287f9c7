"""The tenant in every statement of a session: in selects, joins, subqueries, updates and deletes, mapped or not.

It is added where a statement becomes SQL, the one place that all of them pass: the ORM's, Core's, those inside of
others. Row-level security is the second wall behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import chain
from typing import Any, Final

from sqlalchemy import ColumnElement, Insert, String, Text, TextClause, and_, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg
from sqlalchemy.sql.selectable import AliasedReturnsRows, FromClause, FromGrouping, Join, TableClause
from sqlalchemy.types import NullType
from sqlalchemy.util import memoized_property

from prismicx.adapters.sqlalchemy.leaving import draws_numbers, leaves_nothing
from prismicx.domain.errors import CrossTenantError, TransactionControlError, UnsupportedOperationError

TENANT_COLUMN: Final = "prismicx_tenant"
"""Where a table's `info` has the name of its tenant column; without it, a text column `tenant_id` is one."""
SESSION: Final = "a tenant's session"
"""How errors name it."""

_ADVICE: Final = "SQL as text: no tenant is added to it; write raw_sql(…) where row-level security alone will do:"
_CONTEXT_FUNCTIONS: Final = frozenset(("set_config", "set_tenant"))
_RUNS_TEXT: Final = re.compile(r"(query|cursor|table|schema|database)_to_xml.*|ts_stat|ts_rewrite|dblink.*|crosstab.*")
_HARMLESS_TEXT: Final = re.compile(r"\*|[0-9]+|NULL")  # what SQLAlchemy itself writes: count(*), EXISTS (SELECT 1 …)
_OPERATOR: Final = re.compile(r"[A-Za-z ]+|(?!.*(?:--|/\*))[-+*/<>=~!@#%^&|`?]+")

_tenant: ContextVar[str] = ContextVar("prismicx_tenant_of_the_statement")
# Its value is asked for at each execution, so one compiled statement serves all tenants.
_TENANT: Final = bindparam("prismicx_tenant", callable_=_tenant.get, type_=Text())


class RawSql(TextClause):
    """SQL as text, run as it is; see `raw_sql`."""

    inherit_cache = True


def raw_sql(sql: str) -> RawSql:
    """Return SQL as text that a tenant's session lets through, with `:name` for values as in SQLAlchemy's `text`.

    No tenant is added to it: row-level security alone keeps it to the tenant's rows. Never put a value into the text.
    """
    return RawSql(sql)


class TenantCompiler(PGCompiler_asyncpg):
    """Writes SQL for asyncpg, with the tenant named for each table that has one.

    Attributes:
        text: the first piece of SQL in the statement that was given as text and not as `raw_sql`.
        leaves_nothing: whether the statement cannot outlast its transaction.
    """

    text: str | None = None
    _draws_numbers = False

    @memoized_property
    def leaves_nothing(self) -> bool:
        return not self._draws_numbers and leaves_nothing(self.string)

    # --- Tables. ---

    def _compose_select_body(  # type: ignore[no-untyped-def]  # noqa: PLR0917  # SQLAlchemy's own, without types
        self, text, select, compile_state, inner_columns, froms, byfrom, toplevel, kwargs
    ) -> str:
        owned = _conditions(froms)
        scoped = select.where(*owned) if owned else select
        return super()._compose_select_body(  # type: ignore[no-any-return,no-untyped-call]
            text, scoped, compile_state, inner_columns, froms, byfrom, toplevel, kwargs
        )

    def visit_join(self, join: Join, *args: Any, **options: Any) -> str:
        # Beside the join's own condition: in WHERE it would turn an outer join into an inner one.
        owned = _conditions([join.right])
        if join.full and (owned or _conditions([join.left])):
            raise UnsupportedOperationError("a full outer join of tenants' tables: join subqueries of them", SESSION)
        if owned:
            assert join.onclause is not None, "SQLAlchemy finds the condition when the join is made"
            join = Join(join.left, join.right, and_(join.onclause, *owned), isouter=join.isouter)
        return super().visit_join(join, *args, **options)  # type: ignore[no-any-return,no-untyped-call]

    def visit_insert(self, insert_stmt: Any, *args: Any, **options: Any) -> str:
        if draws_numbers(insert_stmt.table):
            self._draws_numbers = True
        return super().visit_insert(insert_stmt, *args, **options)  # type: ignore[no-any-return,no-untyped-call]

    def visit_update(self, update_stmt: Any, visiting_cte: Any = None, **options: Any) -> str:
        names = {getattr(column, "key", column) for column in update_stmt._values or ()}
        if visiting_cte is None:
            names.update(self.column_keys or ())
        _refuse_move(update_stmt.table, names)
        return super().visit_update(_scoped(update_stmt), visiting_cte, **options)

    def visit_delete(self, delete_stmt: Any, visiting_cte: Any = None, **options: Any) -> str:
        return super().visit_delete(  # type: ignore[no-any-return,no-untyped-call]
            _scoped(delete_stmt), visiting_cte, **options
        )

    def visit_on_conflict_do_update(self, on_conflict: Any, **options: Any) -> Any:
        insert: Any = self.stack[-1]["selectable"]
        _refuse_move(insert.table, {getattr(key, "key", key) for key in on_conflict.update_values_to_set})
        return super().visit_on_conflict_do_update(on_conflict, **options)  # type: ignore[no-untyped-call]

    # --- Text. ---

    def visit_textclause(self, textclause: TextClause, *args: Any, **options: Any) -> str:
        if not isinstance(textclause, RawSql):
            self._note(textclause.text)
        return super().visit_textclause(textclause, *args, **options)  # type: ignore[no-any-return,no-untyped-call]

    def visit_column(self, column: Any, *args: Any, **options: Any) -> str:
        if column.is_literal and not _HARMLESS_TEXT.fullmatch(str(column.name)):
            self._note(str(column.name))
        return super().visit_column(column, *args, **options)

    def visit_custom_op_binary(self, element: Any, operator: Any, **options: Any) -> str:
        if not _OPERATOR.fullmatch(operator.opstring):
            self._note(operator.opstring)
        return super().visit_custom_op_binary(element, operator, **options)  # type: ignore[no-untyped-call,no-any-return]

    def get_statement_hint_text(self, hint_texts: Sequence[str]) -> str:
        self._note(" ".join(hint_texts))
        return super().get_statement_hint_text(hint_texts)  # type: ignore[no-any-return,no-untyped-call]

    def visit_function(self, func: Any, *args: Any, **options: Any) -> str:
        if func.name.lower() in _CONTEXT_FUNCTIONS:
            raise TransactionControlError(func.name)
        if _RUNS_TEXT.fullmatch(func.name.lower()):
            self._note(f"{func.name}(…), which runs it")
        return super().visit_function(func, *args, **options)

    def _note(self, text: str) -> None:
        if self.text is None:
            self.text = text


def name_tenant(tenant: str, statement: Any, parameters: Any) -> None:
    """Say whose statement comes next, and look at the rows of an insert.

    Raises:
        CrossTenantError: a new row names another tenant.
    """
    _tenant.set(tenant)
    if isinstance(statement, Insert):
        rows: Sequence[Any] = [parameters] if isinstance(parameters, Mapping) else parameters or ()
        _require_own(statement, rows, tenant)


def refuse_text(compiled: Any) -> None:
    """Return if everything in the statement has been given as SQLAlchemy's own expressions, or as `raw_sql`.

    Raises:
        UnsupportedOperationError: some of it is text.
    """
    if not isinstance(compiled, TenantCompiler):
        raise UnsupportedOperationError(f"{_ADVICE} DDL, or a statement of the driver's", SESSION)
    if compiled.text is not None:
        raise UnsupportedOperationError(f"{_ADVICE} {compiled.text[:60]}", SESSION)


def tenant_column(table: FromClause) -> ColumnElement[Any] | None:
    """Return the column of the tenant, `None` for a table without one; of an alias, the alias's column."""
    named: Any = table
    while isinstance(named, AliasedReturnsRows):
        named = named.element
    if not isinstance(named, TableClause):
        return None
    name = getattr(named, "info", {}).get(TENANT_COLUMN, "tenant_id")
    for column in table.c:
        if column.name == name and isinstance(column.type, String | NullType):
            return column
    return None


def _conditions(froms: Sequence[Any]) -> list[ColumnElement[bool]]:
    columns = (tenant_column(table) for table in chain.from_iterable(map(_outermost, froms)))
    return [column == _TENANT for column in columns if column is not None]


def _outermost(table: Any) -> Iterator[Any]:
    """Yield the tables of which no join makes nulls; `visit_join` sees to those on the right of a join."""
    while isinstance(table, Join | FromGrouping):
        table = table.left if isinstance(table, Join) else table.element
    yield table


def _scoped(statement: Any) -> Any:
    """Return an update or a delete, with the tenant named for its table and for each that it draws on."""
    parts = chain(statement._where_criteria, (getattr(statement, "_values", None) or {}).values())
    drawn_on = chain.from_iterable(getattr(part, "_from_objects", ()) for part in parts)
    owned = _conditions([statement.table, *dict.fromkeys(table for table in drawn_on if table is not statement.table)])
    return statement.where(*owned) if owned else statement


def _refuse_move(table: Any, names: set[Any]) -> None:
    column = tenant_column(table)
    if column is not None and not names.isdisjoint((column.key, column.name)):
        raise UnsupportedOperationError(f"an update of {column.name}", SESSION)


def _require_own(insert: Insert, rows: Sequence[Any], tenant: str) -> None:
    column = tenant_column(insert.table)
    if column is None:
        return
    names = {column.key, column.name}
    given: list[Any] = [insert._values or {}, *chain.from_iterable(insert._multi_values or ()), *rows]
    for row in given:
        for key, value in row.items():
            if (key if type(key) is str else getattr(key, "key", key)) in names:
                named = getattr(value, "value", value)
                if isinstance(named, str) and named != tenant:
                    raise CrossTenantError(unit=tenant, other=named[:80], subject=str(insert.table.name))
