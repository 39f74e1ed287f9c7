"""System scope: work over all tenants, and the record that says who did it and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Self

from pydantic import ConfigDict, Field

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidSystemAccessError

LONGEST_ACTOR: Final = 200
LONGEST_REASON: Final = 1000


class SystemAccess(AggregateRoot):
    """That somebody opened a unit of work over all tenants: written before its first query, and never changed.

    Attributes:
        actor: who: a person or a job, as the caller names it.
        reason: why, in words.
        backend: the database technology that it was opened on.
        opened_at: by the clock of the service.
    """

    model_config = ConfigDict(frozen=True)

    actor: str
    reason: str
    backend: str
    read_only: bool
    opened_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, *, reason: str, actor: str, backend: str, read_only: bool) -> Self:
        """Return the record of an access that is about to begin.

        Raises:
            InvalidSystemAccessError: reason or actor is missing, blank, too long (1000 and 200 characters) or not
                printable.
        """
        _require_words("reason", reason, longest=LONGEST_REASON)
        _require_words("actor", actor, longest=LONGEST_ACTOR)
        if type(read_only) is not bool:
            raise InvalidSystemAccessError("read_only", "it is True or False")
        return cls(actor=actor, reason=reason, backend=backend, read_only=read_only)


def _require_words(subject: str, given: object, *, longest: int) -> None:
    if not isinstance(given, str) or not given.strip():
        raise InvalidSystemAccessError(subject, "it is missing or blank")
    if len(given) > longest:
        raise InvalidSystemAccessError(subject, f"it takes at most {longest} characters")
    if not given.isprintable():
        raise InvalidSystemAccessError(subject, "it holds what cannot be printed")
