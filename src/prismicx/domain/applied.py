"""The record of units of work that carried an idempotency key: written in their transaction, there if they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID, uuid5

from pydantic import ConfigDict, Field

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidNameError
from prismicx.domain.identifiers import new_id
from prismicx.domain.moments import utc_now
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import Repository, UnitOfWork
from prismicx.domain.specification import asc

LONGEST_KEY: Final = 200
"""Characters of an idempotency key."""

_KEYS: Final = UUID("5f0e3a3c-6b0a-5d0e-9c53-6d1b7f6f0a11")
_BATCH: Final = 1000


class AppliedUnit(AggregateRoot):
    """That a unit of work was committed under an idempotency key.

    Its id is made of the key, so that one key is recorded once in a tenant.

    Attributes:
        key: as the caller gave it.
        unit: tells the tries of `Backend.run` apart.
        recorded_at: when the unit began, by the clock of the service.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    unit: UUID = Field(default_factory=new_id)
    recorded_at: datetime = Field(default_factory=utc_now)

    @classmethod
    def of(cls, key: str) -> Self:
        """Return the record of a unit that is about to begin.

        Raises:
            InvalidNameError: the key is empty, longer than 200 characters, or not printable.
        """
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise InvalidNameError("idempotency key", key, f"give 1 to {LONGEST_KEY} printable characters")
        return cls(id=uuid5(_KEYS, key), key=key)


class AppliedUnits(Repository[AppliedUnit]):
    """The records of one tenant; in a system unit of work, of all."""


APPLIED_UNITS: Final = EntityMapping(AppliedUnit, "prismicx_applied_units", Shared(), indexes=[["recorded_at"]])
"""How every backend keeps the records: beside what the tenants share, behind the same walls."""


async def forget_applied_units(
    open_unit: Callable[[], UnitOfWork], *, older_than: timedelta, batch: int = _BATCH
) -> int:
    """Remove records of this age and return how many there were; a key that is forgotten can be applied again.

    Args:
        open_unit: returns a new unit: of a tenant, or `backend.system_unit_of_work(…, read_only=False)` for all.
        older_than: longer than any caller still repeats itself.
        batch: how many are removed in one unit of work.
    """
    limit, forgotten = utc_now() - older_than, 0
    while True:
        async with open_unit() as unit:
            records = unit.repository(AppliedUnits)
            found = await records.list(
                AppliedUnit.recorded_at < limit, order_by=asc(AppliedUnit.recorded_at), limit=batch
            )
            for record in found:
                records.remove(record)
            await unit.commit()
        forgotten += len(found)
        if len(found) < batch:
            return forgotten
