"""Which statements can leave something on a connection that outlasts their transaction.

What a table, a view, a policy or a trigger does by itself is not looked at here: repositories meet the same.
"""

from __future__ import annotations

import re
from typing import Any, Final

_STATEMENT: Final = re.compile(
    r"(?:INSERT INTO \S+ \(|SELECT\b|UPDATE\b|DELETE\b|WITH\b|SAVEPOINT\b|RELEASE\b|ROLLBACK TO\b)"
)
_CALL: Final = re.compile(r"""([\w"$]+)\s*\(""")
_SUSPICIOUS: Final = re.compile(r";|\bINTO\b", re.IGNORECASE)
_OPERATOR: Final = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_OPERATORS: Final = frozenset(("=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "~", "!~"))
_NO_FUNCTIONS: Final = frozenset(
    (
        *("AND", "AS", "BY", "CAST", "CONFLICT", "EXISTS", "FROM", "IN", "JOIN", "LATERAL", "NOT", "ON", "OR", "OVER"),
        *("SELECT", "THEN", "UNION", "USING", "VALUES", "WHEN", "WHERE"),
    )
)


def leaves_nothing(sql: str) -> bool:
    """Tell whether a statement is of a kind that ends with its transaction, and calls nothing. In doubt it is not.

    It looks at the SQL and not at the expressions, because a team may have taught SQLAlchemy further ones.
    """
    begun = _STATEMENT.match(sql)
    if begun is None:
        return False
    rest = sql[begun.end() :]
    called = {found.group(1).upper() for found in _CALL.finditer(rest)}
    return called <= _NO_FUNCTIONS and {*_OPERATOR.findall(rest)} <= _OPERATORS and _SUSPICIOUS.search(rest) is None


def draws_numbers(table: Any) -> bool:
    """Tell whether an insert into a table may draw from a sequence, whose last number the session remembers."""
    if getattr(table, "autoincrement_column", None) is not None:
        return True
    return any(column.server_default is not None for column in table.columns)
