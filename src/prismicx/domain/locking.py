"""Rows that are kept for one unit of work from the moment it reads them."""

from __future__ import annotations

from enum import Enum


class Lock(Enum):
    """That nobody else changes, removes or locks what is read until the unit ends; and what to do about who has."""

    WAIT = "wait"
    """Wait until the other unit ends, and read what it has left."""

    SKIP = "skip"
    """Leave out what another unit has locked: many workers take disjoint parts of one queue."""

    FAIL = "fail"
    """Raise `TransactionConflictError` at once."""
