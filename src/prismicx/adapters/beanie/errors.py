"""What PyMongo raises, told in the domain's words: by code and label, never by the text of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from prismicx.adapters.mongodb_address import ADVICE
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    ConstraintViolationError,
    DatabaseError,
    DatabaseUnavailableError,
    DuplicateEntityError,
    PermissionDeniedError,
    PrismicxError,
    StatementTimeoutError,
    TransactionConflictError,
)

TRANSIENT: Final = "TransientTransactionError"
UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"

_DUPLICATE: Final = (11000, 11001)
_WRITE_CONFLICT: Final = 112
_VALIDATION: Final = 121
_REFUSED: Final = (13, 18)
_TIMED_OUT: Final = (50, 262)


DRIVER_ERRORS: Final = (PyMongoError, BSONError, OverflowError)
"""All that the driver raises for what the database or a value of ours does."""


class Phase(Enum):
    """What a broken connection would leave behind."""

    WORKING = auto()
    """Nothing: a read, or a write in a transaction that has not been committed."""

    COMMITTING = auto()
    """Nobody knows: a commit, or a write that is a transaction by itself."""

    REPEATED = auto()
    """Nobody knows either: such a write, which the driver has sent again. What refuses it may be its own first try."""


@contextmanager
def translated(
    subject: str, *, address: str, tenant_key: str | None = None, phase: Phase = Phase.WORKING
) -> Iterator[None]:
    """Raise the domain's error for what the driver raises inside.

    Args:
        subject: the entity or collection that is worked on.
        address: of the server, without a password.
        tenant_key: the key that stands for the tenant in unique indexes; it is left out of `DuplicateEntityError.key`.
        phase: what a broken connection would leave behind.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise domain_error(error, subject=subject, address=address, tenant_key=tenant_key, phase=phase) from error


def domain_error(
    error: Exception, *, subject: str, address: str, tenant_key: str | None = None, phase: Phase = Phase.WORKING
) -> PrismicxError:
    """Return the domain's error for one of the driver's; the arguments are those of `translated`."""
    if phase is Phase.REPEATED or (isinstance(error, PyMongoError) and error.has_error_label(UNKNOWN_COMMIT)):
        return CommitOutcomeUnknownError(UNKNOWN)
    match error:
        case ServerSelectionTimeoutError():
            return DatabaseUnavailableError(address, ADVICE)
        case AutoReconnect() | WriteConcernError() if phase is Phase.COMMITTING:
            return CommitOutcomeUnknownError(UNKNOWN)
        case AutoReconnect() | WriteConcernError():
            return ConnectionLostError("the connection to MongoDB broke before the unit of work was committed")
        case OperationFailure():
            return _refusal(error, subject=subject, tenant_key=tenant_key)
    return DatabaseError("", str(error))


def _refusal(error: OperationFailure, *, subject: str, tenant_key: str | None) -> PrismicxError:
    code, details = _first_failure(error)
    if code in _DUPLICATE:
        return DuplicateEntityError(subject, _key(details, tenant_key))
    if code == _WRITE_CONFLICT or error.has_error_label(TRANSIENT):
        return TransactionConflictError(str(code))
    if code == _VALIDATION:
        return ConstraintViolationError(f"the validator of {subject}", str(code))
    if code in _REFUSED:
        return PermissionDeniedError(_reason(error))
    if code in _TIMED_OUT:
        return StatementTimeoutError(f"MongoDB stopped the operation on {subject}: it took too long")
    return DatabaseError(str(code), _reason(error))


UNKNOWN: Final = "the connection to MongoDB broke while it was committing: the unit of work lasts, or it does not"


def _first_failure(error: OperationFailure) -> tuple[int, Mapping[str, Any]]:
    details: Mapping[str, Any] = error.details or {}
    if isinstance(error, BulkWriteError) and details.get("writeErrors"):
        details = details["writeErrors"][0]
    return int(details.get("code") or error.code or 0), details


def _key(details: Mapping[str, Any], tenant_key: str | None) -> tuple[str, ...]:
    pattern: Mapping[str, Any] = details.get("keyPattern") or {}
    return tuple("id" if name == "_id" else name for name in pattern if name != tenant_key)


def _reason(error: OperationFailure) -> str:
    details: Mapping[str, Any] = error.details or {}
    return str(details.get("errmsg") or error)
