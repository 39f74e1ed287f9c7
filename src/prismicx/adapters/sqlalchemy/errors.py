"""What asyncpg, SQLAlchemy and the socket raise, told apart by SQLSTATE and named for the caller's decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from prismicx.adapters.sqlalchemy.pool import DRIVER_ERRORS, Connection
from prismicx.domain.causes import Cause
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    ConstraintViolationError,
    DatabaseError,
    DatabaseUnavailableError,
    DuplicateEntityError,
    PermissionDeniedError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
    StatementTimeoutError,
    TenantProofMismatchError,
    TransactionConflictError,
)

Keys = Mapping[str, tuple[str, tuple[str, ...]]]
"""Of each unique key, by the name of its constraint: the entity's name, and the attributes (without the tenant)."""

_OF_THE_DRIVER: Final = (*DRIVER_ERRORS, DBAPIError)
_NOT_SENT: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises over a connection that has ended where it sends nothing any more, a COMMIT neither."""

_CONSTRAINTS: Final = ("23502", "23503", "23514")
_CONFLICTS: Final = {"40001": Cause.SERIALIZATION, "40P01": Cause.DEADLOCK, "55P03": Cause.LOCK_TAKEN}
_INTERNAL: Final = "XX000"
_OF_ANY_STATEMENT: Final = ("53", "57", "58")
"""Classes of what is no statement's own fault: no resources left, an operator's intervention, a system error."""
_SHUTDOWNS: Final = ("57P01", "57P02", "57P03")
_PROOFS: Final = {  # as prismicx.set_tenant raises them
    "PX001": "the database does not have the key that this service proves its tenants with: give both the same "
    "PRISMICX_TENANT_PROOF_KEYS, and run `prismicx db rotate-key`",
    "PX002": "the clocks of the service and of the database differ by more than five minutes: set them right",
}
_OTHERS_STATEMENTS: Final = ("26000", "42P05")
_POOLER_ADVICE: Final = 'behind a pooler in transaction mode, set PRISMICX_POOLER=transaction (pooler="transaction")'
_OF_THE_UNIT: Final = (
    PermissionDeniedError,
    ReadOnlyUnitOfWorkError,
    StatementTimeoutError,
    TenantProofMismatchError,
    TransactionConflictError,
)
_QUOTED: Final = re.compile(r'"([^"]+)"')
_SHARD_SUFFIX: Final = re.compile(r"_\d{6,}$")


class Translation:
    """A `with` block around work on one connection; a driver's error leaves it as one of the family's.

    Args:
        connection: whose end tells a lost connection from a misuse of the driver.
        keys: the unique keys that a statement in the block can violate.
        committing: the block holds a COMMIT, so that the loss of the connection leaves its outcome unknown.
        clearing: more follows the COMMIT in its message, so that what can befall any statement leaves it unknown too.
    """

    __slots__ = ("_clearing", "_committing", "_connection", "_keys")

    def __init__(self, connection: Connection, keys: Keys, *, committing: bool = False, clearing: bool = False) -> None:
        self._connection = connection
        self._keys = keys
        self._committing = committing
        self._clearing = clearing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, _OF_THE_DRIVER):
            return
        if isinstance(error, OSError) and not self._connection.is_closed():
            return  # it comes from something else than this connection
        driver = driver_error(error)
        if self._connection.is_closed() or _is_loss(driver):
            if self._committing and not isinstance(driver, _NOT_SENT):
                raise CommitOutcomeUnknownError("the connection broke while the database was committing") from driver
            raise ConnectionLostError("the connection to the database broke before commit") from driver
        if self._committing and getattr(driver, "sqlstate", None) == _INTERNAL:
            # On Citus a shard that cannot commit says so, when others may have committed.
            raise CommitOutcomeUnknownError(str(driver), cause=Cause.SHARDS_DISAGREE) from driver
        if self._clearing and (getattr(driver, "sqlstate", None) or "").startswith(_OF_ANY_STATEMENT):
            raise CommitOutcomeUnknownError(str(driver)) from driver
        raise named(driver, self._keys) from driver


def error_of_the_unit(error: BaseException, connection: Connection) -> PrismicxError | None:
    """Return the error for what the driver raised, where it says more of the unit of work than of the statement.

    That is a refusal by the walls of the database, a conflict, a time that was over, or the loss of the connection.
    """
    if connection.is_closed() or _is_loss(error):
        return ConnectionLostError("the connection to the database broke before commit")
    found = named(error, {})
    return found if isinstance(found, _OF_THE_UNIT) else None


def driver_error(error: BaseException) -> BaseException:
    """Return what asyncpg raised, taken out of what SQLAlchemy made of it."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig  # not all of SQLAlchemy's errors know their `driver_exception`


def named(error: BaseException, keys: Keys) -> PrismicxError:
    """Return the error of the family for what the driver raised over a connection that stands."""
    code: str = getattr(error, "sqlstate", None) or ""
    text = str(error.args[0]) if error.args else type(error).__name__
    if code == "23505":
        return _duplicate(error, text, keys)
    if code in _CONSTRAINTS:
        return ConstraintViolationError(_constraint(error, text), code)
    if code == "42501":
        return PermissionDeniedError(text)
    if code in _CONFLICTS:
        return TransactionConflictError(code, cause=_CONFLICTS[code])
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return TransactionConflictError(code, cause=Cause.STALE_STATEMENT)
    if code == "57014":
        return StatementTimeoutError("the database cancelled a statement: it took too long, or somebody asked for it")
    if code in _PROOFS:
        return TenantProofMismatchError(_PROOFS[code])
    if code == "25006":
        return ReadOnlyUnitOfWorkError("a statement")
    if code in _OTHERS_STATEMENTS:
        text += f"; {_POOLER_ADVICE}"
    return DatabaseError(code, text)


def unavailable(error: BaseException, address: str) -> DatabaseUnavailableError:
    """Return the error for a connection that could not be made."""
    code: str = getattr(error, "sqlstate", None) or ""
    if code.startswith("28"):
        advice = "it refused the user or the password: check both, and pg_hba.conf"
    elif code == "3D000":
        advice = "the server has no such database: create it, or check the name"
    elif code == "53300":
        advice = "the server has no connection left: raise max_connections, or lower max_pool_size"
    elif code == "08P01":
        advice = f"it does not take what a connection asks for at its start; {_POOLER_ADVICE}"
    else:
        advice = "check that the server runs, and that host, port and firewall let this machine in"
    return DatabaseUnavailableError(address, advice)


def _is_loss(error: BaseException) -> bool:
    code: str = getattr(error, "sqlstate", None) or ""
    return code.startswith("08") or code in _SHUTDOWNS


def _duplicate(error: BaseException, text: str, keys: Keys) -> DuplicateEntityError:
    constraint = _constraint(error, text)
    known = keys.get(constraint)
    if known is not None:
        return DuplicateEntityError(*known)
    return DuplicateEntityError(getattr(error, "table_name", None) or "row", (constraint,))


def _constraint(error: BaseException, text: str) -> str:
    """Return the constraint's name; a Citus shard leaves the field empty and adds its number in the message."""
    quoted = _QUOTED.search(text)
    in_text = quoted.group(1) if quoted else text
    name: str = getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or in_text
    return _SHARD_SUFFIX.sub("", name)
