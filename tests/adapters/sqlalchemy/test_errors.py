"""Errors of the driver, told apart by SQLSTATE."""

from __future__ import annotations

import asyncpg
import pytest

from prismicx.adapters.sqlalchemy.errors import named, unavailable
from prismicx.domain.errors import (
    ConstraintViolationError,
    DatabaseError,
    DuplicateEntityError,
    TransactionConflictError,
)

KEYS = {"uq_widgets_code": ("Widget", ("code",))}


def test_a_shards_unique_key_is_found_by_the_message() -> None:
    raised = asyncpg.UniqueViolationError('duplicate key value violates unique constraint "uq_widgets_code_102048"')
    found = named(raised, KEYS)

    assert isinstance(found, DuplicateEntityError)
    assert (found.entity, found.key) == ("Widget", ("code",))


def test_an_unknown_unique_key_is_named_by_its_constraint() -> None:
    found = named(asyncpg.UniqueViolationError('duplicate key value violates unique constraint "theirs"'), KEYS)

    assert isinstance(found, DuplicateEntityError)
    assert (found.entity, found.key) == ("row", ("theirs",))


@pytest.mark.parametrize(
    "raised",
    [
        asyncpg.SerializationError("could not serialize access"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.InvalidCachedStatementError("cached statement plan is invalid"),
    ],
)
def test_conflicts_can_be_tried_again(raised: asyncpg.PostgresError) -> None:
    found = named(raised, KEYS)

    assert isinstance(found, TransactionConflictError)
    assert found.code == getattr(raised, "sqlstate")  # noqa: B009 -- asyncpg has no types


def test_a_violation_without_a_name_quotes_the_database() -> None:
    found = named(asyncpg.CheckViolationError("something is wrong"), KEYS)

    assert isinstance(found, ConstraintViolationError)
    assert found.constraint == "something is wrong"


def test_what_has_no_code_keeps_its_text() -> None:
    assert str(named(asyncpg.InterfaceError("another operation is in progress"), KEYS)).startswith("another operation")
    assert isinstance(named(asyncpg.InterfaceError(""), KEYS), DatabaseError)


def test_a_full_server_is_said_to_be_full() -> None:
    assert "max_connections" in str(unavailable(asyncpg.TooManyConnectionsError("sorry"), "db:1/x"))
