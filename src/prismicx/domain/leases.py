"""Leases: one worker at a time acts on a tenant or plugin, and one that was overtaken can no longer write."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.moments import Moment, utc_milliseconds


class Lease(BaseModel):
    """A worker's right to act until a moment.

    The fencing number grows with every change of hands and never shrinks. Each write to a database carries it, and the
    database refuses one that is smaller than the greatest it has seen (Kleppmann, "How to do distributed locking").
    So clocks decide only how soon a worker is overtaken, never whether two of them can write.

    Args:
        holder: names the worker; unlike for each process and each start of it.
        fence: the fencing number, from 1 on.
        expires_at: from when on another worker may take over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: Annotated[str, Field(min_length=1, max_length=200)]
    fence: Annotated[int, Field(ge=1)]
    expires_at: Moment

    @classmethod
    def taken(cls, holder: str, *, after: int, until: datetime) -> Self:
        """Return a lease whose fencing number follows the last one, `after` (0 where there was none)."""
        return cls(holder=holder, fence=after + 1, expires_at=until)

    def is_free_for(self, holder: str, now: datetime) -> bool:
        """Tell whether this worker may take the lease: it has it already, or its time is over."""
        return holder == self.holder or now >= self.expires_at

    def renewed(self, until: datetime) -> Self:
        """Return the same lease with a later end; the fencing number stays."""
        later = max(utc_milliseconds(until), self.expires_at)
        return self.model_copy(update={"expires_at": later})
