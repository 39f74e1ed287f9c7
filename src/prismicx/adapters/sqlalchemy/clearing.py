"""What clears a connection of all that SQL can leave on it, in the very message that ends its transaction."""

from __future__ import annotations

from typing import Final

# DISCARD ALL in its parts, for it stands alone in a message, and forgets what the driver has prepared. Plans are
# harmless.
_LEFT_BEHIND: Final = (
    "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; "
    "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP"
)
_PREPARED_BY_SQL: Final = "SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"
_NONE: Final = "SELECT 0"


class Clearing:
    """How much is cleared away.

    Attributes:
        after_commit: commits, then clears. In a transaction that failed, its SELECT raises 25P02.
        after_rollback: ends what is open, then clears.
    """

    __slots__ = ("_looks", "after_commit", "after_rollback")

    def __init__(self, statements: str, *, looks: bool = False) -> None:
        self.after_commit = f"SELECT; COMMIT; {statements}"
        self.after_rollback = f"ROLLBACK; {statements}"
        self._looks = looks

    def is_done(self, status: str) -> bool:
        """Tell whether the connection is clean, by what the server says of the last statement."""
        return not self._looks or status == _NONE


CLEAR_AND_LOOK: Final = Clearing(f"{_LEFT_BEHIND}; {_PREPARED_BY_SQL}", looks=True)
"""Clears roles, settings, cursors, channels, locks, sequences and temporary tables, and looks for statements that SQL
has prepared: one may have the name of a statement that the next user's driver believes it prepared, so the connection
is of no use then."""

CLEAR_ALL: Final = Clearing(f"{_LEFT_BEHIND}; DEALLOCATE ALL")
"""Clears the same, and every prepared statement, for a driver that keeps none."""
