"""What the driver raises, in the domain's words: those that no server can be made to send in a test."""

from __future__ import annotations

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from prismicx.adapters.beanie.errors import Phase, domain_error
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    ConstraintViolationError,
    DatabaseError,
    DatabaseUnavailableError,
    DuplicateEntityError,
    PermissionDeniedError,
    StatementTimeoutError,
    TransactionConflictError,
)

_TRANSIENT = OperationFailure("gone", 251, {"code": 251, "errorLabels": ["TransientTransactionError"]})
_UNKNOWN = OperationFailure("?", 50, {"code": 50, "errorLabels": ["UnknownTransactionCommitResult"]})


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ServerSelectionTimeoutError("no server"), DatabaseUnavailableError),
        (AutoReconnect("closed"), ConnectionLostError),
        (NetworkTimeout("slow"), ConnectionLostError),
        (NotPrimaryError("stepped down"), ConnectionLostError),
        (WriteConcernError("waited", 64), ConnectionLostError),
        (_TRANSIENT, TransactionConflictError),
        (_UNKNOWN, CommitOutcomeUnknownError),
        (OperationFailure("no", 121), ConstraintViolationError),
        (OperationFailure("no", 18), PermissionDeniedError),
        (OperationFailure("slow", 262), StatementTimeoutError),
        (OperationFailure("odd", 2), DatabaseError),
        (OperationFailure("no code at all"), DatabaseError),
        (InvalidOperation("after close"), DatabaseError),
        (InvalidDocument("too large"), DatabaseError),
        (OverflowError("more than 8 bytes"), DatabaseError),
    ],
)
def test_every_error_of_the_driver_is_one_of_the_domains(raised: Exception, told: type[Exception]) -> None:
    assert type(domain_error(raised, subject="Task", address="mongodb://host")) is told


@pytest.mark.parametrize("raised", [AutoReconnect("closed"), WriteConcernError("waited", 64)])
def test_what_is_lost_while_committing_has_an_unknown_outcome(raised: Exception) -> None:
    told = domain_error(raised, subject="Task", address="mongodb://host", phase=Phase.COMMITTING)

    assert isinstance(told, CommitOutcomeUnknownError)


def test_a_duplicate_names_its_key() -> None:
    pattern = {"tenant_id": 1, "topics.name": 1, "_id": 1}
    alone = DuplicateKeyError("E11000", 11000, {"code": 11000, "keyPattern": pattern})
    in_bulk = BulkWriteError({"writeErrors": [{"code": 11000, "keyPattern": pattern}]})
    unnamed = DuplicateKeyError("E11000", 11000, {"code": 11000})

    told = [
        domain_error(each, subject="Task", address="", tenant_key="tenant_id") for each in (alone, in_bulk, unnamed)
    ]

    assert [each.key for each in told if isinstance(each, DuplicateEntityError)] == [("topics.name", "id")] * 2 + [()]


def test_a_bulk_that_fails_for_no_document_keeps_the_servers_reason() -> None:
    raised = BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}], "errmsg": "no majority"})

    told = domain_error(raised, subject="Task", address="")

    assert isinstance(told, DatabaseError)
    assert (told.code, told.reason) == ("65", "no majority")
