"""A tenant's place is unmade in reverse order, what was in it is counted first, and a tombstone stays."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.application.memory import Death, RecordedStep
from tests.application.place import ACME, GLOBEX, Place, steps_of

from prismicx.application.reconciling import Reconciled
from prismicx.domain.errors import (
    DuplicateEntityError,
    IllegalTransitionError,
    OperationUnderWayError,
    ProvisioningError,
    TenantNotActiveError,
)
from prismicx.domain.events import TenantDeleted, TenantDeletionStarted, TenantSuspended
from prismicx.domain.identifiers import PluginType, TenantId, new_id
from prismicx.domain.installations import TenantPlugin
from prismicx.domain.registry import TenantPluginRepository
from prismicx.domain.tenancy import Tenant, TenantStatus


async def test_a_place_is_removed_in_reverse_order_and_leaves_a_tombstone_with_a_receipt(place: Place) -> None:
    await place.create()
    place.calls.clear()
    place.registry.events.clear()

    deleted = await place.service.delete(ACME)

    assert deleted.status is TenantStatus.DELETED
    assert place.calls == ["remove insights", "remove schemas"]
    assert (place.schemas.made, place.insights.made) == ({}, {})
    assert deleted.operation is not None
    assert deleted.receipt is not None
    assert deleted.receipt.operation == deleted.operation.id
    assert deleted.receipt.removed == {"insights.rows": 7, "schemas.rows": 7, "registry.tenant_plugins": 0}
    assert await place.service.get(ACME) == deleted
    assert [type(event) for event in place.registry.events] == [TenantSuspended, TenantDeletionStarted, TenantDeleted]


async def test_the_id_of_a_deleted_tenant_is_never_given_again(place: Place) -> None:
    await place.create()
    await place.service.delete(ACME)

    with pytest.raises(DuplicateEntityError):
        await place.create()

    assert place.schemas.made == {}


async def test_nobody_gets_in_once_the_deletion_is_recorded(place: Place) -> None:
    await place.create()

    class Looking(RecordedStep):
        async def contents(self, tenant: Tenant) -> Mapping[str, int]:
            with pytest.raises(TenantNotActiveError, match="acme is deleting"):
                await place.directory.admit(ACME)
            return await super().contents(tenant)

    await place.another_process(Looking("schemas", place.calls)).delete(ACME)

    with pytest.raises(TenantNotActiveError, match="acme is deleted"):
        await place.directory.admit(ACME)


async def test_a_suspended_tenant_is_deleted_and_a_deleted_one_returned_as_it_is(place: Place) -> None:
    await place.create()
    await place.service.suspend(ACME)

    deleted = await place.service.delete(ACME)

    assert await place.service.delete(ACME) == deleted
    assert await place.service.abort(ACME) == deleted
    assert await place.service.retry(ACME) == deleted


async def test_a_tenant_in_provisioning_is_aborted_and_not_deleted(place: Place) -> None:
    await place.fail_to_create()

    with pytest.raises(IllegalTransitionError, match="from provisioning to suspended"):
        await place.service.delete(ACME)
    assert (await place.service.get(ACME)).status is TenantStatus.PROVISIONING


async def test_an_aborted_provisioning_removes_what_was_begun(place: Place) -> None:
    place.schemas.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()
    place.schemas.error = None
    place.calls.clear()

    aborted = await place.service.abort(ACME)

    assert aborted.status is TenantStatus.DELETED
    assert place.calls == ["remove schemas"]
    assert aborted.receipt is not None


@pytest.mark.parametrize("suspended", [False, True])
async def test_a_tenant_that_was_active_is_not_aborted(place: Place, suspended: bool) -> None:
    await place.create()
    if suspended:
        await place.service.suspend(ACME)

    with pytest.raises(IllegalTransitionError, match=r"from (active|suspended) to deleting"):
        await place.service.abort(ACME)


async def test_what_a_failed_removal_left_is_gone_on_with(place: Place) -> None:
    await place.create()
    place.schemas.error = OSError("in use")

    with pytest.raises(ProvisioningError, match="stopped at step schemas: in use"):
        await place.service.delete(ACME)

    tenant = await place.service.get(ACME)
    assert (tenant.status, tenant.failure) == (TenantStatus.DELETING, "schemas: in use")
    assert steps_of(tenant) == [("insights", "done", 1), ("schemas", "failed", 1)]
    assert tenant.receipt is None
    place.schemas.error = None
    assert (await place.service.delete(ACME)).status is TenantStatus.DELETED


async def test_a_recorded_step_that_nobody_knows_keeps_the_deletion_open(place: Place) -> None:
    await place.create()
    place.schemas.error = OSError("in use")
    with pytest.raises(ProvisioningError):
        await place.service.delete(ACME)

    with pytest.raises(ProvisioningError, match="it is recorded, but none of the steps here: insights"):
        await place.another_process(place.insights).retry(ACME)

    assert (await place.service.get(ACME)).status is TenantStatus.DELETING


async def test_what_a_late_writer_makes_again_is_removed_again(place: Place) -> None:
    await place.create()

    class Late(RecordedStep):
        async def remove(self, tenant: Tenant) -> Mapping[str, int]:
            place.insights.made[ACME] = ()
            return await super().remove(tenant)

    late = Late("schemas", place.calls)
    late.made = place.schemas.made

    deleted = await place.another_process(late, place.insights).delete(ACME)

    assert place.insights.made == {}
    assert steps_of(deleted) == [("insights", "done", 2), ("schemas", "done", 1)]


async def test_a_step_that_cannot_be_looked_at_again_is_run_again(place: Place) -> None:
    await place.create()

    class Blinded(RecordedStep):
        looks = 0

        async def contents(self, tenant: Tenant) -> Mapping[str, int]:
            self.looks += 1
            if self.looks == 3:  # the first before it was removed, the second while
                raise OSError("no answer")
            return await super().contents(tenant)

    deleted = await place.another_process(Blinded("schemas", place.calls)).delete(ACME)

    assert steps_of(deleted) == [("schemas", "done", 2)]


async def test_what_was_counted_before_a_crash_is_on_the_receipt(place: Place) -> None:
    await place.create()

    class Dying(RecordedStep):
        async def remove(self, tenant: Tenant) -> Mapping[str, int]:
            await super().remove(tenant)
            raise Death

    dying = Dying("insights", place.calls)
    dying.made = place.insights.made
    with pytest.raises(Death):
        await place.another_process(place.schemas, dying).delete(ACME)
    place.clock.advance(minutes=2)

    assert await place.service.reconciler.reconcile() == [Reconciled(ACME, "deleted")]

    receipt = (await place.service.get(ACME)).receipt
    assert receipt is not None
    assert receipt.removed["insights.rows"] == 7


async def test_a_deletion_that_is_under_way_elsewhere_is_left_alone(place: Place) -> None:
    place.schemas.gate = asyncio.Event()
    creating = asyncio.create_task(place.create())
    await place.schemas.entered.wait()

    with pytest.raises(OperationUnderWayError, match="is at work on tenant acme"):
        await place.service.abort(ACME)

    place.schemas.gate.set()
    assert (await creating).status is TenantStatus.ACTIVE


DELETION_COMMITS = 8  # the claim; begin, count and end of two steps; the tombstone


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", range(1, DELETION_COMMITS + 1))
async def test_whenever_the_process_dies_the_deletion_can_be_finished(place: Place, moment: str, commit: int) -> None:
    await place.create()
    setattr(place.registry, f"dies_{moment}", place.registry.commits + commit)
    with pytest.raises(Death):
        await place.service.delete(ACME)
    setattr(place.registry, f"dies_{moment}", None)
    place.clock.advance(minutes=2)

    await place.service.reconciler.reconcile()
    if commit == 1 and moment == "before":
        assert await place.is_complete(ACME)
        return

    deleted = await place.service.get(ACME)
    assert (deleted.status, place.schemas.made, place.insights.made) == (TenantStatus.DELETED, {}, {})
    assert deleted.receipt is not None
    assert deleted.receipt.removed == {"insights.rows": 7, "schemas.rows": 7, "registry.tenant_plugins": 0}


async def test_an_undisturbed_deletion_has_that_many_commits(place: Place) -> None:
    await place.create()
    before = place.registry.commits

    await place.service.delete(ACME)

    assert place.registry.commits - before == DELETION_COMMITS


# --- The plan. ---


async def test_the_plan_says_what_would_be_done_and_changes_nothing(place: Place) -> None:
    await place.fail_to_create()
    before = await place.service.get(ACME)

    plan = await place.service.plan(ACME)

    assert [(step.name, step.deed, step.in_place, step.reason) for step in plan.steps] == [
        ("schemas", "none", True, ""),
        ("insights", "ensure", False, "it is not there"),
    ]
    assert not plan.due
    place.clock.advance(seconds=5)
    assert (await place.service.plan(ACME)).due
    assert await place.service.get(ACME) == before


async def test_the_plan_of_a_deletion_counts_what_would_be_removed(place: Place) -> None:
    await place.create()
    place.schemas.error = OSError("in use")
    with pytest.raises(ProvisioningError):
        await place.service.delete(ACME)

    plan = await place.service.plan(ACME)

    assert [(step.name, step.deed, dict(step.contents)) for step in plan.steps] == [
        ("insights", "none", {}),
        ("schemas", "remove", {"schemas.rows": 7}),
    ]


async def test_the_plan_of_an_active_tenant_says_whether_its_place_is_complete(place: Place) -> None:
    await place.create()
    place.insights.made.clear()

    plan = await place.service.plan(ACME)

    assert [(step.name, step.deed, step.in_place) for step in plan.steps] == [
        ("schemas", "none", True),
        ("insights", "none", False),
    ]
    assert not plan.due


async def test_a_step_that_cannot_be_looked_at_is_in_the_plan_with_its_reason(place: Place) -> None:
    await place.fail_to_create()

    class Blind(RecordedStep):
        async def contents(self, tenant: Tenant) -> Mapping[str, int]:
            raise OSError("no answer")

    plan = await place.another_process(Blind("schemas", [])).plan(ACME)

    assert [(step.name, step.deed, step.reason) for step in plan.steps] == [
        ("schemas", "ensure", "no answer"),
        ("insights", "ensure", "it is recorded, but none of the steps here: schemas"),
    ]


# --- The tenant's plugins. ---


def a_plugin_of(tenant_id: TenantId) -> TenantPlugin:
    return TenantPlugin(tenant_id=tenant_id, plugin_id=new_id(), plugin_name="crm-pro", plugin_type=PluginType("crm"))


async def keep(place: Place, *plugins: TenantPlugin) -> None:
    async with place.registry.registry() as unit:
        for plugin in plugins:
            unit.repository(TenantPluginRepository).add(plugin)
        await unit.commit()


async def test_the_records_of_its_plugins_go_with_the_tenant_and_are_counted(place: Place) -> None:
    await place.create()
    await place.create(GLOBEX)
    await keep(place, a_plugin_of(ACME), a_plugin_of(ACME), a_plugin_of(GLOBEX))

    deleted = await place.service.delete(ACME)

    assert deleted.receipt is not None
    assert deleted.receipt.removed["registry.tenant_plugins"] == 2
    async with place.registry.registry(read_only=True) as unit:
        left = await unit.repository(TenantPluginRepository).list()
    assert [plugin.tenant_id for plugin in left] == [GLOBEX]


async def test_whoever_is_at_work_on_a_plugin_is_not_disturbed(place: Place) -> None:
    await place.create()
    busy = a_plugin_of(ACME)
    busy.claim("somebody", now=place.clock.now, until=place.clock.now + timedelta(minutes=1))
    await keep(place, busy)

    with pytest.raises(OperationUnderWayError, match="somebody is at work on"):
        await place.service.delete(ACME)

    assert await place.is_complete(ACME)
    place.clock.advance(minutes=1)
    assert (await place.service.delete(ACME)).status is TenantStatus.DELETED
