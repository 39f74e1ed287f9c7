"""Changes of the registry: each in a unit of work of its own, begun again where others were faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, TransactionConflictError
from prismicx.domain.ports import Backend, UnitOfWork

ResultT = TypeVar("ResultT")

_TRIES: Final = 5
_FASTER: Final = (ConcurrencyError, DuplicateEntityError, TransactionConflictError)


async def recorded(registry: Backend, change: Callable[[UnitOfWork], Awaitable[ResultT]]) -> ResultT:
    """Run the change in a unit of the registry, commit it, and return its result; again if others were faster.

    Each time it reads anew what it decides on, so it finds what the others did.

    Raises:
        ConcurrencyError, DuplicateEntityError, TransactionConflictError: others were faster, five times.
    """
    for _ in range(_TRIES - 1):
        with suppress(*_FASTER):
            return await _once(registry, change)
    return await _once(registry, change)


async def _once(registry: Backend, change: Callable[[UnitOfWork], Awaitable[ResultT]]) -> ResultT:
    async with registry.registry() as unit:
        result = await change(unit)
        await unit.commit()
    return result
