"""What would be done to a tenant's place, found out without doing any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prismicx.application.reasons import reason_of
from prismicx.application.tenant_worker import TenantWorker
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant, TenantStatus


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What one step finds, and what would be done.

    `deed` is `ensure` or `remove` where the step would be run, and `none` where all is as it should be; `reason` says
    why it is not in place. `contents` counts rows or documents by table or collection.
    """

    name: str
    deed: Literal["ensure", "remove", "none"]
    in_place: bool
    reason: str
    contents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reconciler would find and do for one tenant, in the order of its steps; `due` tells whether it would now.

    Nothing is under way for an active or suspended tenant: its plan says whether its place is still complete, and a
    reconciler leaves it as it is.
    """

    tenant: Tenant
    due: bool
    steps: Sequence[PlannedStep]


async def plan_of(tenant: Tenant, worker: TenantWorker) -> Plan:
    """Return the plan for this tenant."""
    recorded = () if tenant.operation is None else tuple(step.name for step in tenant.operation.steps)
    match tenant.status:
        case TenantStatus.PROVISIONING:
            names = dict.fromkeys((*recorded, *worker.step_names))
        case TenantStatus.DELETING:
            names = dict.fromkeys(recorded)
        case _:
            names = dict.fromkeys(worker.step_names)
    under_way = tenant.status in (TenantStatus.PROVISIONING, TenantStatus.DELETING)
    steps = [await _planned(tenant, name, worker) for name in names]
    return Plan(tenant, under_way and worker.is_due(tenant), steps)


async def _planned(tenant: Tenant, name: str, worker: TenantWorker) -> PlannedStep:
    try:
        step = worker.step(tenant, name)
        reason = await _missing(tenant, step)
        contents = await step.contents(tenant)
    except Exception as error:  # noqa: BLE001  # whatever keeps a step from being looked at belongs into the plan
        return PlannedStep(name, _deed(tenant, in_place=False, empty=False), False, reason_of(error), {})
    deed = _deed(tenant, in_place=not reason, empty=not contents)
    return PlannedStep(name, deed, not reason, reason, contents)


async def _missing(tenant: Tenant, step: ProvisioningStep) -> str:
    try:
        await step.verify(tenant)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is why the step would be run
        return reason_of(error)
    return ""


def _deed(tenant: Tenant, *, in_place: bool, empty: bool) -> Literal["ensure", "remove", "none"]:
    match tenant.status:
        case TenantStatus.PROVISIONING:
            return "none" if in_place else "ensure"
        case TenantStatus.DELETING:
            return "none" if empty and not in_place else "remove"
        case _:
            return "none"
