"""Commands that define things, run by several at once: MongoDB refuses some of them for reasons that pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pymongo.errors import OperationFailure

AnswerT = TypeVar("AnswerT")

_TRIES: Final = 5

_RACES: Final = frozenset(
    (
        11,  # UserNotFound: it is gone by now
        26,  # NamespaceNotFound: the collection is gone by now
        31,  # RoleNotFound: it is gone by now
        48,  # NamespaceExists: it is there by now
        68,  # IndexAlreadyExists
        85,  # IndexOptionsConflict: the index may be there under another name
        86,  # IndexKeySpecsConflict
        112,  # WriteConflict
        117,  # ConflictingOperationInProgress
        215,  # DatabaseDropPending
        276,  # IndexBuildAborted
        12586,  # BackgroundOperationInProgressForDatabase
        12587,  # BackgroundOperationInProgressForNamespace
        51002,  # DuplicateRole: it is there by now
        51003,  # DuplicateUser: it is there by now
    )
)


async def despite_races(work: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Return what the work returns; run it again, up to five times in all, where a race may have made it fail.

    Args:
        work: it looks before it acts, so that what somebody else has made meanwhile is looked at as everything else
            that is there already.
    """
    for _ in range(_TRIES - 1):
        try:
            return await work()
        except OperationFailure as error:
            if error.code not in _RACES:
                raise
    return await work()
