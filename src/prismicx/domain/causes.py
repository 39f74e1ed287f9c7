"""Why a unit of work failed, what that left behind, and what `Backend.run` does about it: the table of the docs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Response(Enum):
    """What `Backend.run` does; each value is a sentence of the docs."""

    RUN_AGAIN = "runs the unit again"
    RUN_AGAIN_IF_ASKED = "runs the unit again, unless `Retry(stale=False)`"
    RUN_AGAIN_ONCE = "runs the unit again, once"
    ASK_RECORD = (
        "with an idempotency key: runs it again, or returns the result that the record vouches for; else raises"
    )
    RAISE = "raises"


@dataclass(frozen=True, slots=True)
class Failure:
    """One line of the table.

    Attributes:
        seen: by what it is known: a code, a label or an exception of a driver.
        left: what lasts of the unit of work.
        response: what is done about it.
    """

    seen: str
    left: str
    response: Response


_NOTHING = "nothing"
_UNKNOWN = "all or nothing: nobody knows which"


class Cause(Enum):
    """Why a unit of work did not come to its end; `PrismicxError.cause` names it."""

    STALE_VERSION = Failure(
        "the version of an aggregate has changed since it was read", _NOTHING, Response.RUN_AGAIN_IF_ASKED
    )
    SERIALIZATION = Failure(
        "PostgreSQL 40001: transactions that cannot follow one another", _NOTHING, Response.RUN_AGAIN
    )
    DEADLOCK = Failure("PostgreSQL 40P01: a deadlock", _NOTHING, Response.RUN_AGAIN)
    LOCK_TAKEN = Failure("PostgreSQL 55P03: a lock was not to be had in time", _NOTHING, Response.RUN_AGAIN)
    STALE_STATEMENT = Failure(
        "asyncpg's `InvalidCachedStatementError`: a table changed under a prepared statement",
        _NOTHING,
        Response.RUN_AGAIN_ONCE,
    )
    WRITE_CONFLICT = Failure(
        "MongoDB's label `TransientTransactionError`, a write conflict (112) above all", _NOTHING, Response.RUN_AGAIN
    )
    CONNECTION_LOST = Failure("the connection broke before commit was sent", _NOTHING, Response.RUN_AGAIN)
    UNREACHABLE = Failure(
        "no connection was to be had: the server is down, or the pool was used up", _NOTHING, Response.RUN_AGAIN
    )
    COMMIT_UNANSWERED = Failure(
        "the connection broke during commit; PostgreSQL 53, 57 or 58 where the message that commits clears up after a "
        "session too; on MongoDB, label `UnknownTransactionCommitResult`, when the commit alone has been sent three "
        "times",
        _UNKNOWN,
        Response.ASK_RECORD,
    )
    SHARDS_DISAGREE = Failure("Citus XX000 at commit: a shard did not commit", _UNKNOWN, Response.ASK_RECORD)
    DEADLINE_IN_COMMIT = Failure("the deadline passed during commit", _UNKNOWN, Response.RAISE)
    DEADLINE = Failure("the deadline passed before commit was sent", _NOTHING, Response.RAISE)
    ALREADY_APPLIED = Failure(
        "the idempotency key is on record: an earlier unit was committed under it", "what that one did", Response.RAISE
    )

    @property
    def seen(self) -> str:
        """By what it is known."""
        return self.value.seen

    @property
    def left(self) -> str:
        """What lasts of the unit of work."""
        return self.value.left

    @property
    def response(self) -> Response:
        """What `Backend.run` does about it."""
        return self.value.response
