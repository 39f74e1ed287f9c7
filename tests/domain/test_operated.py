"""A tenant has one operation at a time, one worker at a time, and a number that outlives both."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.domain.test_tenancy import a_deleting_tenant, a_tenant, an_active_tenant

from prismicx.domain.errors import IllegalTransitionError, InvalidNameError, LeaseLostError, OperationUnderWayError
from prismicx.domain.operations import StepStatus
from prismicx.domain.tenancy import Tenant, TenantStatus

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def claimed(tenant: Tenant, holder: str = "ada", *, now: datetime = NOW) -> Tenant:
    tenant.claim(holder, now=now, until=now + MINUTE)
    return tenant


def test_a_claim_keeps_others_out_until_its_time_is_over() -> None:
    tenant = claimed(a_tenant("schemas"))

    with pytest.raises(
        OperationUnderWayError, match=r"ada is at work on tenant acme, at least until 2026-05-06T07:09:09"
    ):
        tenant.claim("bob", now=NOW + MINUTE - timedelta(milliseconds=1), until=NOW + 2 * MINUTE)
    assert tenant.claim("bob", now=NOW + MINUTE, until=NOW + 2 * MINUTE).fence == 2


def test_whoever_was_overtaken_does_not_hold_it_any_more() -> None:
    tenant = a_tenant("schemas")
    first = tenant.claim("ada", now=NOW, until=NOW + MINUTE)
    second = tenant.claim("bob", now=NOW + MINUTE, until=NOW + 2 * MINUTE)

    with pytest.raises(LeaseLostError, match="another worker has taken over tenant acme: fencing number 1 is outdated"):
        tenant.hold(first, until=NOW + 3 * MINUTE)
    tenant.hold(second, until=NOW + 3 * MINUTE)

    assert tenant.lease is not None
    assert (tenant.lease.holder, tenant.lease.expires_at) == ("bob", NOW + 3 * MINUTE)


def test_one_worker_that_comes_back_has_another_number() -> None:
    tenant = a_tenant("schemas")
    first = tenant.claim("ada", now=NOW, until=NOW + MINUTE)
    tenant.claim("ada", now=NOW, until=NOW + MINUTE)

    with pytest.raises(LeaseLostError):
        tenant.hold(first, until=NOW + MINUTE)


def test_what_was_let_go_is_held_by_nobody() -> None:
    tenant = a_tenant("schemas")
    lease = tenant.claim("ada", now=NOW, until=NOW + MINUTE)
    tenant.let_go()

    with pytest.raises(LeaseLostError):
        tenant.hold(lease, until=NOW + MINUTE)
    assert tenant.is_due(NOW)


def test_the_number_outlives_the_operation() -> None:
    tenant = claimed(a_tenant("schemas"))
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")
    tenant.activate()
    assert (tenant.lease, tenant.fence) == (None, 1)

    tenant.suspend()
    tenant.begin_deletion(["schemas"])

    assert tenant.claim("bob", now=NOW, until=NOW + MINUTE).fence == 2


def test_a_deletion_does_not_push_a_worker_aside() -> None:
    tenant = claimed(a_tenant("schemas"))
    tenant.abort()

    with pytest.raises(OperationUnderWayError):
        tenant.claim("bob", now=NOW, until=NOW + MINUTE)


def test_nothing_is_claimed_where_nothing_is_under_way() -> None:
    with pytest.raises(IllegalTransitionError, match="tenant acme cannot go from active to an operation's next step"):
        claimed(an_active_tenant())


def test_a_failure_lets_go_and_is_due_when_its_wait_is_over() -> None:
    tenant = claimed(a_tenant("schemas"))
    tenant.begin_step("schemas")

    tenant.fail_step("schemas", "no space left", due_at=NOW + MINUTE)

    assert tenant.lease is None
    assert not tenant.is_due(NOW + MINUTE - timedelta(milliseconds=1))
    assert tenant.is_due(NOW + MINUTE)
    assert tenant.operation is not None
    assert tenant.operation.failures == 1
    claimed(tenant)
    assert tenant.operation.due_at is None


def test_it_is_due_while_it_is_under_way_and_nobody_is_at_it() -> None:
    tenant = a_tenant("schemas")
    assert tenant.is_due(NOW)

    claimed(tenant)

    assert not tenant.is_due(NOW)
    assert tenant.is_due(NOW + MINUTE)
    assert not an_active_tenant().is_due(NOW)


def test_an_aborted_provisioning_unmakes_what_was_begun_in_reverse() -> None:
    tenant = a_tenant("roles", "schemas", "insights")
    for name in ("roles", "schemas"):
        tenant.begin_step(name)
    first = tenant.operation

    tenant.abort()

    assert tenant.status is TenantStatus.DELETING
    assert tenant.operation is not None
    assert first is not None
    assert tenant.operation.id != first.id
    assert [(step.name, step.status) for step in tenant.operation.steps] == [
        ("schemas", StepStatus.PENDING),
        ("roles", StepStatus.PENDING),
    ]


def test_a_provisioning_without_a_plan_is_aborted_with_nothing_to_do() -> None:
    tenant = a_tenant()
    tenant.operation = None

    tenant.abort()
    tenant.finish_deletion()

    assert tenant.status is TenantStatus.DELETED


def test_what_is_removed_is_counted_once_and_never_less_than_before() -> None:
    tenant = a_tenant()
    tenant.begin_deletion(["schemas"])
    tenant.count({"public.widgets": 3, "crm.gadgets": 0})
    tenant.count({"public.widgets": 1, "crm.gadgets": 2})
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")

    tenant.finish_deletion()

    assert tenant.operation is not None
    assert tenant.receipt is not None
    assert tenant.receipt.removed == {"public.widgets": 3, "crm.gadgets": 2}
    assert (tenant.receipt.operation, tenant.receipt.finished_at) == (tenant.operation.id, tenant.operation.ended_at)


def test_only_a_finished_deletion_has_a_receipt() -> None:
    without = an_active_tenant()
    without.operation = None

    assert an_active_tenant().receipt is None
    assert a_deleting_tenant().receipt is None
    assert without.receipt is None


def test_a_step_of_a_deletion_is_named_with_its_kind() -> None:
    with pytest.raises(InvalidNameError, match="is not a step of deletion"):
        a_deleting_tenant().begin_step("schemas")
