"""Deeds that break the promises of provisioning: they act before they record, or flip before they verify."""

from __future__ import annotations

from tests.crash import deeds
from tests.crash.points import Points

from prismicx.application.tenant_records import TenantRecords
from prismicx.application.tenant_worker import TenantWorker
from prismicx.domain.tenancy import Tenant


async def create_acting_first(points: Points, **arguments: str) -> None:
    """Create a tenant whose place is begun before the registry has a word of it."""
    add, workers = TenantRecords.add, _workers()

    async def act_first(records: TenantRecords, tenant: Tenant) -> Tenant:
        for step in workers[0]._steps.values():
            await step.ensure(tenant)
        return await add(records, tenant)

    setattr(TenantRecords, "add", act_first)  # noqa: B010  # mypy lets nobody assign to a method
    await deeds.create(points, **arguments)


async def create_flipping_early(points: Points, **arguments: str) -> None:
    """Create a tenant that is active before its place is made."""

    async def flip_first(worker: TenantWorker, tenant: Tenant) -> Tenant:
        def flipped(found: Tenant) -> None:
            for name in worker.step_names:
                found.begin_step(name)
                found.complete_step(name)
            found.activate()

        active = await worker._change(tenant, flipped)
        for step in worker._steps.values():
            await step.ensure(tenant)
        return active

    setattr(TenantWorker, "_make", flip_first)  # noqa: B010  # mypy lets nobody assign to a method
    await deeds.create(points, **arguments)


def _workers() -> list[TenantWorker]:
    """Return a list that will hold every worker that is made from now on."""
    made: list[TenantWorker] = []
    claim = TenantWorker.claim

    def noted(worker: TenantWorker, tenant: Tenant) -> None:
        made.append(worker)
        claim(worker, tenant)

    setattr(TenantWorker, "claim", noted)  # noqa: B010  # mypy lets nobody assign to a method
    return made
