"""Carrying out a tenant's operation: step by recorded step, under a lease that is renewed and a number that grows."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from prismicx.application.leases import while_renewing
from prismicx.application.reasons import reason_of
from prismicx.application.tenant_records import Change, TenantRecords
from prismicx.domain.errors import InvalidNameError, LeaseLostError, PrismicxError, ProvisioningError
from prismicx.domain.moments import utc_now
from prismicx.domain.operations import StepStatus
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant, TenantStatus

Counts = Mapping[str, int]

DEFAULT_LEASE: Final = timedelta(seconds=60)
"""How long a worker that says nothing keeps an operation."""

_RENEWALS_PER_LEASE: Final = 3
_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(minutes=5)
_DOUBLINGS: Final = 6


class TenantWorker:
    """Takes operations into its hands and carries them out.

    Each registry write checks the lease and prolongs it; while a step runs it is renewed in the background. Whoever was
    overtaken stops with `LeaseLostError`: its registry writes find another holder, its writes to the databases a
    greater fencing number. Nothing is touched before it is recorded.
    """

    def __init__(
        self,
        records: TenantRecords,
        steps: Sequence[ProvisioningStep],
        *,
        lease: timedelta = DEFAULT_LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Wire it up.

        Args:
            records: the registry's records.
            steps: what makes a tenant's place, in order, over all databases.
            lease: how long the worker keeps an operation without a sign of life.
            clock: tells the time in UTC.

        Raises:
            InvalidNameError: two steps share a name.
            ValueError: the lease is no time at all.
        """
        self._records = records
        self._steps = {step.name: step for step in steps}
        self._lease = lease
        self._clock = clock
        if len(self._steps) != len(steps):
            raise InvalidNameError("list of steps", [step.name for step in steps], "two of them share a name")
        if lease <= timedelta(0):
            raise ValueError(f"a lease lasts longer than nothing, and this one {lease}")

    @property
    def step_names(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which a place is made."""
        return tuple(self._steps)

    def step(self, tenant: Tenant, name: str) -> ProvisioningStep:
        """Return the step of this name.

        Raises:
            ProvisioningError: none is known here; the registry has recorded it when there was one.
        """
        step = self._steps.get(name)
        if step is None:
            reason = f"it is recorded, but none of the steps here: {', '.join(self._steps)}"
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=name, reason=reason)
        return step

    def claim(self, tenant: Tenant) -> None:
        """Take the tenant's operation into new hands, and plan it by the steps that are known here.

        Each claim has a holder of its own, so two tasks of one process keep each other out as two processes do. A step
        that the registry has and nobody knows here comes first, so that it fails before anything else is touched.

        Raises:
            IllegalTransitionError: no operation is under way.
            OperationUnderWayError: another worker's lease is not over.
        """
        if tenant.status is TenantStatus.PROVISIONING:
            begun = () if tenant.operation is None else tenant.operation.begun
            tenant.provision((*(name for name in begun if name not in self._steps), *self._steps))
        holder = f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(8)}"
        tenant.claim(holder, now=self._clock(), until=self._clock() + self._lease)

    def is_due(self, tenant: Tenant) -> bool:
        """Tell whether a worker should take up the tenant's operation now."""
        return tenant.operation is None or tenant.is_due(self._clock())

    async def carry_out(self, tenant: Tenant) -> Tenant:
        """Carry the operation that is in this worker's hands to its end, and return the tenant active or deleted.

        A cancellation lets go of it, so that any worker can go on at once.

        Raises:
            LeaseLostError: another worker has taken over.
            ProvisioningError: a step failed; it is recorded, with a time from when on to try again.
        """
        assert tenant.operation is not None, "it was claimed"
        try:
            return await (self._make(tenant) if tenant.operation.kind == "provisioning" else self._unmake(tenant))
        except asyncio.CancelledError:
            with suppress(PrismicxError):  # the lease ends by itself then
                await self._change(tenant, Tenant.let_go)
            raise

    async def repeat(self, tenant: Tenant, name: str) -> None:
        """Run a step again that is done, and verify it; nothing is recorded.

        Raises:
            LeaseLostError: somebody has taken the tenant over since it was read.
            ProvisioningError: the step is not known here, or its work is not as it should be afterwards.
        """
        await self._ensured(self.step(tenant, name), tenant)

    # --- Step by step. ---

    async def _make(self, tenant: Tenant) -> Tenant:
        for name in _steps_of(tenant):
            if not await self._is_in_place(tenant, name):
                tenant = await self._attempt(tenant, name, self._ensured)
        return await self._change(tenant, Tenant.activate)

    async def _unmake(self, tenant: Tenant) -> Tenant:
        for name in _steps_of(tenant) * 2:  # the second time for what late writers have made again meanwhile
            if not await self._is_gone(tenant, name):
                tenant = await self._attempt(tenant, name, self._removed)
        return await self._change(tenant, Tenant.finish_deletion, closing=True)

    async def _attempt(
        self, tenant: Tenant, name: str, work: Callable[[ProvisioningStep, Tenant], Coroutine[Any, Any, Counts]]
    ) -> Tenant:
        tenant = await self._change(tenant, lambda found: found.begin_step(name))
        try:
            counts = await while_renewing(
                work(self.step(tenant, name), tenant),
                renew=partial(self._change, tenant, _nothing_else),
                every=self._lease.total_seconds() / _RENEWALS_PER_LEASE,
            )
        except LeaseLostError:
            raise
        except Exception as error:
            reason = reason_of(error)
            await self._change(tenant, lambda found: found.fail_step(name, reason, due_at=self._due_at(found)))
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=name, reason=reason) from error

        def completed(found: Tenant) -> None:
            found.count(counts)
            found.complete_step(name)

        return await self._change(tenant, completed)

    async def _ensured(self, step: ProvisioningStep, tenant: Tenant) -> Counts:
        await step.ensure(tenant)
        await step.verify(tenant)
        return {}

    async def _removed(self, step: ProvisioningStep, tenant: Tenant) -> Counts:
        contents = await step.contents(tenant)
        await self._change(tenant, lambda found: found.count(contents))
        return await step.remove(tenant)

    async def _is_in_place(self, tenant: Tenant, name: str) -> bool:
        if not _is_done(tenant, name):
            return False
        try:
            await self.step(tenant, name).verify(tenant)
        except Exception:  # noqa: BLE001  # running the step again mends it, or records what is wrong
            return False
        return True

    async def _is_gone(self, tenant: Tenant, name: str) -> bool:
        if not _is_done(tenant, name):
            return False
        try:
            return not any((await self.step(tenant, name).contents(tenant)).values())
        except Exception:  # noqa: BLE001  # running the step again mends it, or records what is wrong
            return False

    # --- What is recorded. ---

    async def _change(self, tenant: Tenant, change: Change, *, closing: bool = False) -> Tenant:
        assert tenant.lease is not None, "it was claimed"
        lease = tenant.lease

        def under_lease(found: Tenant) -> None:
            found.hold(lease, until=self._clock() + self._lease)
            change(found)

        records = self._records
        return await (records.close if closing else records.change)(tenant.tenant_id, under_lease)

    def _due_at(self, tenant: Tenant) -> datetime:
        assert tenant.operation is not None, "it was claimed"
        wait: timedelta = _FIRST_WAIT * 2 ** min(tenant.operation.failures, _DOUBLINGS)
        return self._clock() + min(wait, _LONGEST_WAIT)


def _steps_of(tenant: Tenant) -> tuple[str, ...]:
    return () if tenant.operation is None else tuple(step.name for step in tenant.operation.steps)


def _is_done(tenant: Tenant, name: str) -> bool:
    return tenant.operation is not None and tenant.operation.step(name).status is StepStatus.DONE


def _nothing_else(tenant: Tenant) -> None:
    """Change nothing beside the lease."""
