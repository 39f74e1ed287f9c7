"""Reconciling: whatever a crash or a failure has left behind is carried to its end, or taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from prismicx.application.reasons import reason_of
from prismicx.application.tenant_records import TenantRecords
from prismicx.application.tenant_worker import TenantWorker
from prismicx.domain.errors import LeaseLostError, PrismicxError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.tenancy import Tenant, TenantStatus


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of one tenant: `active` or `deleted`, or `failed` with the reason, which is recorded too."""

    tenant_id: TenantId
    outcome: Literal["active", "deleted", "failed"]
    reason: str = ""


Report = Callable[[Sequence[Reconciled] | PrismicxError], None]
"""Takes the outcome of each round, or the error that ended it."""


class TenantReconciler:
    """Finds what is due and carries it on: operations whose worker is gone, failed ones whose wait is over.

    Any number of reconcilers may run at once, in any number of processes: each operation has one worker at a time.
    """

    def __init__(self, records: TenantRecords, worker: TenantWorker) -> None:
        self._records = records
        self._worker = worker

    async def reconcile(
        self, *, give_up_after: int | None = None, stop: asyncio.Event | None = None
    ) -> Sequence[Reconciled]:
        """Carry on whatever is due, one tenant after the other, oldest first; return what became of each.

        A tenant that another worker takes up meanwhile is left to it and not in the answer. A failure of one is no
        reason to leave out the next.

        Args:
            give_up_after: take back a provisioning that has failed this often in a row; `None` tries for ever, with
                waits that grow to five minutes. A deletion is never given up.
            stop: once it is set, no further tenant is begun with.

        Raises:
            ValueError: `give_up_after` is less than 1.
        """
        if give_up_after is not None and give_up_after < 1:
            raise ValueError(f"a provisioning is given up after one failure or more, not {give_up_after}")
        outcomes: list[Reconciled] = []
        for tenant in await self._records.list(TenantStatus.PROVISIONING, TenantStatus.DELETING):
            if stop is not None and stop.is_set():
                break
            if self._worker.is_due(tenant):
                outcome = await self._carry_on(tenant.tenant_id, give_up_after)
                outcomes += [] if outcome is None else [outcome]
        return outcomes

    async def watch(
        self, *, interval: float, stop: asyncio.Event, report: Report, give_up_after: int | None = None
    ) -> None:
        """Reconcile, wait, and begin again, until `stop` is set; the tenant that is being worked on is finished.

        A round that cannot read the registry is reported and followed by the next one.

        Args:
            interval: seconds between two rounds, positive.
            stop: ends it, within a round after the tenant that is at work.
            report: hears of each round.
            give_up_after: as in `reconcile`.

        Raises:
            ValueError: an argument is out of range.
        """
        if not interval > 0:
            raise ValueError(f"the interval must be positive, and is {interval}")
        while not stop.is_set():
            try:
                report(await self.reconcile(give_up_after=give_up_after, stop=stop))
            except PrismicxError as error:
                report(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval)

    async def _carry_on(self, tenant_id: TenantId, give_up_after: int | None) -> Reconciled | None:
        claimed = False

        def claim(found: Tenant) -> None:
            nonlocal claimed
            claimed = self._worker.is_due(found)
            if claimed:
                if _is_given_up(found, give_up_after):
                    found.abort()
                self._worker.claim(found)

        try:
            tenant = await self._records.change(tenant_id, claim)
            if not claimed:
                return None
            tenant = await self._worker.carry_out(tenant)
        except LeaseLostError:
            return None  # another worker has it now
        except PrismicxError as error:
            return Reconciled(tenant_id, "failed", reason_of(error))
        return Reconciled(tenant_id, "active" if tenant.status is TenantStatus.ACTIVE else "deleted")


def _is_given_up(tenant: Tenant, give_up_after: int | None) -> bool:
    if give_up_after is None or tenant.operation is None or tenant.status is not TenantStatus.PROVISIONING:
        return False
    return tenant.operation.failures >= give_up_after
