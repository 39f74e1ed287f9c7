"""How far a unit of work is kept from what others commit while it is open."""

from __future__ import annotations

from enum import Enum


class Isolation(Enum):
    """The levels of SQL. A backend refuses what it cannot give; without one, units have the backend's own default."""

    READ_COMMITTED = "read committed"
    """Each query sees what was committed when it began. PostgreSQL's default, and what memory and MongoDB do."""

    REPEATABLE_READ = "repeatable read"
    """All queries see what was committed when the first of them began. PostgreSQL, and MongoDB by a transaction that
    starts with the first read."""

    SERIALIZABLE = "serializable"
    """The outcome is that of one unit after the other. PostgreSQL; on Citus for units that meet on one node only."""
