"""Whatever a crash or a failure has left behind is carried to its end by exactly one worker, or taken back."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.application.memory import Death, RecordedStep, Registry
from tests.application.place import ACME, EU, GLOBEX, STANDARD, Place, steps_of

from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.reconciling import Reconciled
from prismicx.domain.errors import (
    DatabaseUnavailableError,
    ForeignObjectError,
    LeaseLostError,
    OperationUnderWayError,
    PrismicxError,
    ProvisioningError,
)
from prismicx.domain.moments import utc_now
from prismicx.domain.tenancy import Tenant, TenantStatus


async def crash(place: Place, commit: int) -> None:
    place.registry.dies_after = place.registry.commits + commit
    with pytest.raises(Death):
        await place.create()
    place.registry.dies_after = None
    place.calls.clear()


async def test_the_registration_is_the_claim(place: Place) -> None:
    await crash(place, 1)

    tenant = await place.service.get(ACME)

    assert tenant.lease is not None
    assert (tenant.fence, tenant.lease.fence) == (1, 1)
    assert tenant.lease.expires_at == place.clock.now + timedelta(seconds=60)
    with pytest.raises(OperationUnderWayError, match=r"is at work on tenant acme, at least until 2026-05-06T07:09:09"):
        await place.service.retry(ACME)


async def test_what_a_crash_left_is_due_when_its_lease_is_over(place: Place) -> None:
    await crash(place, 3)

    assert await place.service.reconciler.reconcile() == []
    place.clock.advance(seconds=61)
    assert await place.service.reconciler.reconcile() == [Reconciled(ACME, "active")]

    tenant = await place.service.get(ACME)
    assert steps_of(tenant) == [("schemas", "done", 1), ("insights", "done", 1)]
    assert place.calls == ["verify schemas", "ensure insights", "verify insights"]
    assert (tenant.lease, tenant.fence) == (None, 2)
    assert await place.service.reconciler.reconcile() == []


async def test_a_failure_is_due_after_a_wait_that_doubles_up_to_five_minutes(place: Place) -> None:
    place.insights.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()

    waits = []
    for _ in range(9):
        operation = (await place.service.get(ACME)).operation
        assert operation is not None
        assert operation.due_at is not None
        waits.append((operation.due_at - place.clock.now).total_seconds())
        place.clock.now = operation.due_at - timedelta(milliseconds=1)
        assert await place.service.reconciler.reconcile() == []
        place.clock.now = operation.due_at
        assert await place.service.reconciler.reconcile() == [
            Reconciled(ACME, "failed", "no space left"),
        ]

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


async def test_a_retry_does_not_wait(place: Place) -> None:
    await place.fail_to_create()

    assert (await place.service.retry(ACME)).status is TenantStatus.ACTIVE


async def test_a_failure_of_one_tenant_does_not_hold_up_the_next(place: Place) -> None:
    await place.fail_to_create(ACME)
    await place.fail_to_create(GLOBEX)
    place.clock.advance(minutes=1)

    class FailsForAcme(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            if tenant.tenant_id == ACME:
                raise ForeignObjectError("schema", "tenant_acme_db", "it bears another's mark")
            await super().ensure(tenant)

    service = place.another_process(place.schemas, FailsForAcme("insights", place.calls))

    outcomes = await service.reconciler.reconcile()

    reason = "schema 'tenant_acme_db' was not made for this tenant by prismicx: it bears another's mark"
    assert outcomes == [Reconciled(ACME, "failed", reason), Reconciled(GLOBEX, "active")]


async def test_a_provisioning_that_keeps_failing_can_be_given_up(place: Place) -> None:
    await place.fail_to_create()
    place.insights.error = OSError("no space left")
    place.clock.advance(minutes=1)

    (outcome,) = await place.service.reconciler.reconcile(give_up_after=2)
    assert outcome.outcome == "failed"
    place.insights.error = None
    place.clock.advance(minutes=1)

    assert await place.service.reconciler.reconcile(give_up_after=2) == [Reconciled(ACME, "deleted")]
    assert place.schemas.made == {}


async def test_a_deletion_is_never_given_up(place: Place) -> None:
    await place.create()
    place.schemas.error = OSError("in use")
    for _ in range(3):
        with pytest.raises(ProvisioningError):
            await place.service.delete(ACME)
    place.schemas.error = None
    place.clock.advance(minutes=1)

    assert await place.service.reconciler.reconcile(give_up_after=1) == [Reconciled(ACME, "deleted")]


async def test_a_tenant_that_fails_is_not_given_up_after_nothing(place: Place) -> None:
    with pytest.raises(ValueError, match="given up after one failure or more, not 0"):
        await place.service.reconciler.reconcile(give_up_after=0)


async def test_two_reconcilers_do_not_work_on_one_tenant(place: Place) -> None:
    await place.fail_to_create()
    place.clock.advance(minutes=1)
    other = place.another_process()

    one, two = await asyncio.gather(place.service.reconciler.reconcile(), other.reconciler.reconcile())

    assert sorted([*one, *two], key=repr) == [Reconciled(ACME, "active")]
    assert place.calls == ["verify schemas", "ensure insights", "verify insights"]


async def test_a_tenant_that_another_worker_takes_meanwhile_is_left_to_it(place: Place) -> None:
    await place.fail_to_create()
    place.clock.advance(minutes=1)
    gate = place.registry.gate_after_reading = asyncio.Event()
    reconciling = asyncio.create_task(place.service.reconciler.reconcile())
    await asyncio.sleep(0)
    place.registry.gate_after_reading = None
    await place.another_process().retry(ACME)
    gate.set()

    assert await reconciling == []
    assert place.calls == ["verify schemas", "ensure insights", "verify insights"]


async def test_a_worker_that_is_overtaken_while_reconciling_is_not_in_the_answer(place: Place) -> None:
    await place.fail_to_create()
    place.clock.advance(minutes=1)
    place.insights.error = LeaseLostError("tenant acme", fence=2)

    assert await place.service.reconciler.reconcile() == []


# --- Leases. ---


async def test_a_lease_is_renewed_while_a_step_runs(place: Place, registry: Registry) -> None:
    service = TenantProvisioning(registry, [place.schemas], lease=timedelta(milliseconds=30))
    place.schemas.gate = asyncio.Event()
    creating = asyncio.create_task(service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME))
    await place.schemas.entered.wait()

    await registry.hear("committed", times=2 + 3)  # the registration and the step's beginning, then renewals
    place.schemas.gate.set()

    assert (await creating).status is TenantStatus.ACTIVE
    assert (await creating).fence == 1


async def test_a_renewal_that_does_not_get_through_is_left_to_the_next(place: Place, registry: Registry) -> None:
    service = TenantProvisioning(registry, [place.schemas], lease=timedelta(milliseconds=30))
    place.schemas.gate = asyncio.Event()
    creating = asyncio.create_task(service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME))
    await place.schemas.entered.wait()
    registry.unavailable = True
    await registry.hear("refused", times=2)
    registry.unavailable = False
    place.schemas.gate.set()

    assert (await creating).status is TenantStatus.ACTIVE


async def test_a_worker_that_was_overtaken_stops_at_its_next_renewal(place: Place, registry: Registry) -> None:
    slow = TenantProvisioning(registry, [place.schemas], lease=timedelta(milliseconds=30))
    place.schemas.gate = asyncio.Event()
    creating = asyncio.create_task(slow.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME))
    await place.schemas.entered.wait()
    elsewhere = RecordedStep("schemas", [])
    fast = TenantProvisioning(registry, [elsewhere], clock=lambda: utc_now() + timedelta(days=1))
    assert await fast.reconciler.reconcile() == [Reconciled(ACME, "active")]

    with pytest.raises(LeaseLostError, match="another worker has taken over tenant acme: fencing number 1 is outdated"):
        await creating
    assert place.schemas.made == {}
    assert (await fast.get(ACME)).status is TenantStatus.ACTIVE


async def test_a_worker_that_was_overtaken_writes_nothing_more(place: Place) -> None:
    class Pausing(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            await super().ensure(tenant)
            place.clock.advance(minutes=2)
            await place.service.reconciler.reconcile()

    paused = place.another_process(Pausing("schemas", place.calls), place.insights)

    with pytest.raises(LeaseLostError):
        await paused.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)

    tenant = await place.service.get(ACME)
    assert (tenant.status, tenant.failure, tenant.fence) == (TenantStatus.ACTIVE, None, 2)


async def test_a_fence_that_is_refused_by_a_database_is_no_failure_of_the_step(place: Place) -> None:
    place.schemas.error = LeaseLostError("tenant acme", fence=1)

    with pytest.raises(LeaseLostError):
        await place.create()

    tenant = await place.service.get(ACME)
    assert (tenant.failure, steps_of(tenant)[0]) == (None, ("schemas", "running", 1))


async def test_a_cancelled_worker_lets_go(place: Place) -> None:
    place.insights.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await place.create()
    place.insights.error = None

    assert await place.service.reconciler.reconcile() == [Reconciled(ACME, "active")]


async def test_a_cancelled_worker_that_cannot_let_go_is_cancelled_all_the_same(place: Place) -> None:
    class Cancelled(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            place.registry.unavailable = True
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await place.another_process(Cancelled("schemas", [])).create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)


def test_a_lease_lasts_longer_than_nothing(registry: Registry) -> None:
    with pytest.raises(ValueError, match="a lease lasts longer than nothing"):
        TenantProvisioning(registry, [], lease=timedelta(0))


async def test_a_change_that_others_keep_winning_is_given_up(place: Place, registry: Registry) -> None:
    await place.create()
    registry.conflicts = 4
    assert (await place.service.suspend(ACME)).status is TenantStatus.SUSPENDED

    registry.conflicts = 5
    with pytest.raises(PrismicxError, match="changed since it was read"):
        await place.service.resume(ACME)


# --- Watching. ---


async def test_watching_goes_round_until_it_is_stopped(place: Place) -> None:
    await place.fail_to_create()
    place.clock.advance(minutes=1)
    stop = asyncio.Event()
    rounds: list[Sequence[Reconciled] | PrismicxError] = []

    def report(outcome: Sequence[Reconciled] | PrismicxError) -> None:
        rounds.append(outcome)
        place.registry.unavailable = len(rounds) == 1
        if len(rounds) == 3:
            stop.set()

    await place.service.reconciler.watch(interval=0.001, stop=stop, report=report)

    assert rounds[0] == [Reconciled(ACME, "active")]
    assert isinstance(rounds[1], DatabaseUnavailableError)
    assert rounds[2] == []


async def test_once_stopped_no_further_tenant_is_begun_with(place: Place) -> None:
    await place.fail_to_create(ACME)
    await place.fail_to_create(GLOBEX)
    place.clock.advance(minutes=1)
    stop = asyncio.Event()

    class Stopping(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            stop.set()
            await super().ensure(tenant)

    service = place.another_process(place.schemas, Stopping("insights", place.calls))
    rounds: list[object] = []

    await service.reconciler.watch(interval=60, stop=stop, report=rounds.append)

    assert rounds == [[Reconciled(ACME, "active")]]


async def test_an_interval_is_positive(place: Place) -> None:
    with pytest.raises(ValueError, match="the interval must be positive, and is 0"):
        await place.service.reconciler.watch(interval=0, stop=asyncio.Event(), report=print)
