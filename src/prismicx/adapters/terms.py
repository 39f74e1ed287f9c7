"""On what terms a unit of work is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prismicx.adapters.deadline import Deadline
from prismicx.domain.applied import AppliedUnit
from prismicx.domain.errors import ReadOnlyUnitOfWorkError
from prismicx.domain.isolation import Isolation


@dataclass(frozen=True, slots=True)
class Terms:
    """What the opener of a unit asks for, besides the tenant.

    Args:
        read_only: nothing is written.
        isolation: the backend's default where none is given.
        deadline: bounds all of the unit.
        applied: the record to leave in the unit's transaction.

    Raises:
        ReadOnlyUnitOfWorkError: a record is to be left by a unit that writes nothing.
    """

    read_only: bool = False
    isolation: Isolation | None = None
    deadline: Deadline | None = None
    applied: AppliedUnit | None = None

    def __post_init__(self) -> None:
        if self.read_only and self.applied is not None:
            raise ReadOnlyUnitOfWorkError("recording an idempotency key")


READING: Final = Terms(read_only=True)
WRITING: Final = Terms()


def terms_of(
    *,
    read_only: bool,
    isolation: Isolation | None = None,
    deadline: float | None = None,
    idempotency_key: str | None = None,
) -> Terms:
    """Return the terms for the options of `Backend.unit_of_work`; the plain ones cost nothing.

    Raises:
        InvalidNameError: the key is none.
        ReadOnlyUnitOfWorkError: a read-only unit was given a key.
        ValueError: the deadline is out of range.
    """
    if isolation is None and deadline is None and idempotency_key is None:
        return READING if read_only else WRITING
    return Terms(
        read_only=read_only,
        isolation=isolation,
        deadline=None if deadline is None else Deadline(deadline),
        applied=None if idempotency_key is None else AppliedUnit.of(idempotency_key),
    )
