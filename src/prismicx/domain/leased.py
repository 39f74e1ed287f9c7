"""What one worker at a time is at work on: who that is, until when, and under which fencing number."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import LeaseLostError, OperationUnderWayError
from prismicx.domain.leases import Lease


class Leased(AggregateRoot):
    """An aggregate on which one worker at a time is at work.

    `fence` is the last fencing number that was given out; it outlives the lease, so that the next one is greater.
    """

    lease: Lease | None = None
    fence: int = 0

    @property
    @abstractmethod
    def subject(self) -> str:
        """What errors call it."""

    def claim(self, holder: str, *, now: datetime, until: datetime) -> Lease:
        """Give it into a worker's hands until then, under a new fencing number, and return the lease.

        Raises:
            OperationUnderWayError: another worker's lease is not over.
        """
        if self.lease is not None and not self.lease.is_free_for(holder, now):
            raise OperationUnderWayError(
                self.subject, holder=self.lease.holder, until=self.lease.expires_at.isoformat()
            )
        lease = Lease.taken(holder, after=self.fence, until=until)
        self.lease, self.fence = lease, lease.fence
        return lease

    def hold(self, lease: Lease, *, until: datetime) -> None:
        """Keep it in this worker's hands until then.

        Raises:
            LeaseLostError: it is not any more: another one has taken over, or it was let go.
        """
        held = self.lease
        if held is None or (held.holder, held.fence) != (lease.holder, lease.fence):
            raise LeaseLostError(self.subject, fence=lease.fence)
        self.lease = held.renewed(until)

    def let_go(self) -> None:
        """Take it out of everybody's hands: any worker may go on with it."""
        self.lease = None

    def is_free(self, now: datetime) -> bool:
        """Tell whether nobody is at work on it: there is no lease, or its time is over."""
        return self.lease is None or now >= self.lease.expires_at
