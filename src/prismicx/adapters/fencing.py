"""Under which fencing number a tenant's place is written to."""

from __future__ import annotations

from typing import NamedTuple

from prismicx.domain.tenancy import Tenant


class Fence(NamedTuple):
    """What is written to, and under which number; `number` is 0 where nobody ever had a lease on it."""

    subject: str
    number: int


def fence_of(tenant: Tenant) -> Fence:
    """Return the fence of the worker who has the tenant's operation in hand.

    Where nobody has, it is the last number that was given: it passes until the next worker has written.
    """
    return Fence(f"tenant/{tenant.tenant_id}", tenant.fence)
