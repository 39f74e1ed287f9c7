"""A tenant goes from state to state by one table, and each step to its place is recorded."""

import pickle
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.errors import IllegalTransitionError, InvalidNameError, InvalidPluginTypeError
from prismicx.domain.events import (
    TenantActivated,
    TenantDeleted,
    TenantDeletionStarted,
    TenantProvisioningFailed,
    TenantProvisioningStarted,
    TenantResumed,
    TenantSuspended,
)
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.operations import StepStatus
from prismicx.domain.tenancy import DatabaseConfig, Tenant, TenantStatus

ACME = TenantId("acme")
CRM = PluginType("crm")


def a_tenant(*steps: str, name: str = "Acme", plugin_types: tuple[PluginType, ...] = (CRM,)) -> Tenant:
    return Tenant.register(
        ACME,
        name=name,
        region=Region("eu-central-1"),
        tier=Tier("standard"),
        database_config=DatabaseConfig.of(ACME, connection="default"),
        plugin_types=plugin_types,
        steps=steps,
    )


def an_active_tenant() -> Tenant:
    tenant = a_tenant("schemas")
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")
    tenant.activate()
    return tenant


def a_deleting_tenant() -> Tenant:
    tenant = a_tenant()
    tenant.begin_deletion([])
    return tenant


def a_suspended_tenant() -> Tenant:
    tenant = an_active_tenant()
    tenant.suspend()
    return tenant


def a_deleted_tenant() -> Tenant:
    tenant = a_deleting_tenant()
    tenant.finish_deletion()
    return tenant


IN_STATE: dict[TenantStatus, Callable[[], Tenant]] = {
    TenantStatus.PROVISIONING: a_tenant,
    TenantStatus.ACTIVE: an_active_tenant,
    TenantStatus.SUSPENDED: a_suspended_tenant,
    TenantStatus.DELETING: a_deleting_tenant,
    TenantStatus.DELETED: a_deleted_tenant,
}
VERBS: dict[str, Callable[[Tenant], None]] = {
    "activate": Tenant.activate,
    "suspend": Tenant.suspend,
    "resume": Tenant.resume,
    "begin deletion": lambda tenant: tenant.begin_deletion([]),
    "finish deletion": Tenant.finish_deletion,
}
LEGAL = {
    ("provisioning", "activate"): (TenantStatus.ACTIVE, TenantActivated),
    ("active", "suspend"): (TenantStatus.SUSPENDED, TenantSuspended),
    ("suspended", "resume"): (TenantStatus.ACTIVE, TenantResumed),
    ("provisioning", "begin deletion"): (TenantStatus.DELETING, TenantDeletionStarted),
    ("suspended", "begin deletion"): (TenantStatus.DELETING, TenantDeletionStarted),
    ("deleting", "finish deletion"): (TenantStatus.DELETED, TenantDeleted),
}


@pytest.mark.parametrize("status", TenantStatus)
@pytest.mark.parametrize("verb", VERBS)
def test_each_state_allows_what_the_table_says_and_nothing_else(status: TenantStatus, verb: str) -> None:
    tenant = IN_STATE[status]()
    tenant.take_events()

    if (status.value, verb) in LEGAL:
        after, event = LEGAL[status.value, verb]
        VERBS[verb](tenant)
        assert tenant.status is after
        assert [type(recorded) for recorded in tenant.take_events()] == [event]
        return

    with pytest.raises(IllegalTransitionError, match=f"tenant acme cannot go from {status} to ") as caught:
        VERBS[verb](tenant)
    assert caught.value.before == status.value
    assert tenant.status is status
    assert tenant.take_events() == ()


def test_a_new_tenant_is_in_provisioning_with_every_step_to_do() -> None:
    tenant = a_tenant("schemas", "insights")

    assert tenant.status is TenantStatus.PROVISIONING
    assert tenant.created_at.tzinfo is not None
    assert tenant.operation is not None
    assert tenant.operation.kind == "provisioning"
    assert [(step.name, step.status, step.attempts) for step in tenant.operation.steps] == [
        ("schemas", StepStatus.PENDING, 0),
        ("insights", StepStatus.PENDING, 0),
    ]
    assert [type(event) for event in tenant.take_events()] == [TenantProvisioningStarted]


def test_a_tenant_is_activated_when_every_step_is_done() -> None:
    tenant = a_tenant("schemas", "insights")
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")

    with pytest.raises(IllegalTransitionError, match="with insights to do, cannot go from provisioning to active"):
        tenant.activate()

    tenant.begin_step("insights")
    tenant.complete_step("insights")
    tenant.activate()
    assert tenant.status is TenantStatus.ACTIVE


def test_a_failure_says_why() -> None:
    tenant = a_tenant("schemas")
    tenant.take_events()
    tenant.begin_step("schemas")

    tenant.fail_step("schemas", "no space left")

    assert tenant.status is TenantStatus.PROVISIONING
    assert tenant.failure == "schemas: no space left"
    assert tenant.operation is not None
    step = tenant.operation.step("schemas")
    assert (step.status, step.attempts, step.error) == (StepStatus.FAILED, 1, "no space left")
    (event,) = tenant.take_events()
    assert isinstance(event, TenantProvisioningFailed)
    assert (event.tenant_id, event.step, event.reason) == (ACME, "schemas", "no space left")


def test_a_failure_is_forgotten_when_its_step_is_begun_again() -> None:
    tenant = a_tenant("schemas")
    tenant.begin_step("schemas")
    tenant.fail_step("schemas", "no space left")

    tenant.begin_step("schemas")

    assert tenant.failure is None
    assert tenant.operation is not None
    step = tenant.operation.step("schemas")
    assert (step.status, step.attempts, step.error) == (StepStatus.RUNNING, 2, None)


@pytest.mark.parametrize("end", [Tenant.complete_step, lambda tenant, name: tenant.fail_step(name, "why")])
def test_a_step_that_is_not_running_cannot_end(end: Callable[[Tenant, str], None]) -> None:
    tenant = a_tenant("schemas")

    with pytest.raises(IllegalTransitionError, match="step schemas of tenant acme cannot go from pending to"):
        end(tenant, "schemas")


def test_a_step_found_running_or_done_can_be_begun_again() -> None:
    tenant = a_tenant("schemas")

    tenant.begin_step("schemas")
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")
    tenant.begin_step("schemas")

    assert tenant.operation is not None
    assert tenant.operation.step("schemas").attempts == 3
    assert tenant.operation.unfinished == ("schemas",)


def test_an_unknown_step_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidNameError, match="'indexes' is not a step of provisioning: it has schemas, insights"):
        a_tenant("schemas", "insights").begin_step("indexes")


@pytest.mark.parametrize("make", [an_active_tenant, a_suspended_tenant, a_deleted_tenant])
def test_no_step_begins_when_nothing_is_under_way(make: Callable[[], Tenant]) -> None:
    with pytest.raises(IllegalTransitionError):
        make().begin_step("schemas")


def test_planning_again_keeps_what_is_recorded_of_known_steps() -> None:
    tenant = a_tenant("schemas")
    tenant.begin_step("schemas")
    tenant.complete_step("schemas")

    tenant.provision(["roles", "schemas"])

    assert tenant.operation is not None
    assert [step.name for step in tenant.operation.steps] == ["roles", "schemas"]
    assert tenant.operation.unfinished == ("roles",)


def test_an_active_tenant_is_not_planned_again() -> None:
    with pytest.raises(IllegalTransitionError, match="from active to provisioning"):
        an_active_tenant().provision(["schemas"])


def test_a_step_is_planned_once() -> None:
    with pytest.raises(InvalidNameError, match="named twice"):
        a_tenant("schemas", "schemas")


def test_a_deletion_is_finished_when_every_step_is_done() -> None:
    tenant = a_tenant("schemas")
    tenant.begin_deletion(["insights", "schemas"])
    tenant.begin_step("insights")
    tenant.fail_step("insights", "in use")
    tenant.take_events()

    with pytest.raises(
        IllegalTransitionError, match="with insights, schemas to do, cannot go from deleting to deleted"
    ):
        tenant.finish_deletion()
    for name in ("insights", "schemas"):
        tenant.begin_step(name)
        tenant.complete_step(name)
    tenant.finish_deletion()

    assert tenant.status is TenantStatus.DELETED


def test_a_plugin_type_that_needs_a_schema_is_recorded_once() -> None:
    tenant = an_active_tenant()

    tenant.need_schema(PluginType("billing"))
    tenant.need_schema(PluginType("billing"))
    tenant.need_schema(CRM)

    assert tenant.plugin_types == (CRM, PluginType("billing"))
    with pytest.raises(IllegalTransitionError):
        a_suspended_tenant().need_schema(PluginType("sales"))


@pytest.mark.parametrize("name", ["", " ", " Acme", "Acme\n", "Ac\x00me", "A\nB", "\ud800", "a" * 201, None, 7])
def test_a_name_that_people_cannot_read_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="tenant's name"):
        a_tenant(name=name)


def test_a_name_in_any_script_is_kept() -> None:
    assert a_tenant(name="Ácme 株式会社").name == "Ácme 株式会社"


def test_a_plugin_type_is_given_once() -> None:
    with pytest.raises(InvalidPluginTypeError, match="given twice"):
        a_tenant(plugin_types=(CRM, PluginType("sales"), CRM))


def test_the_id_and_the_time_of_creation_never_change() -> None:
    tenant = a_tenant()

    with pytest.raises(ValidationError, match="frozen"):
        tenant.tenant_id = TenantId("globex")
    with pytest.raises(ValidationError, match="frozen"):
        tenant.created_at = tenant.created_at


def test_a_database_is_named_after_its_tenant() -> None:
    config = DatabaseConfig.of(ACME, connection="vault:tenants/acme#uri", dedicated=True)

    assert config == DatabaseConfig(
        type="dedicated", connection="vault:tenants/acme#uri", database_name="tenant_acme_db"
    )
    assert DatabaseConfig.of(ACME, connection="default").type == "shared"


@pytest.mark.parametrize(
    "connection",
    ["postgresql://ada:hunter2@db/app", "mongodb+srv://ada:hunter2@db", "host=db password=hunter2", "", " x", "x\n"],
)
def test_an_address_is_no_reference_to_a_secret_and_is_not_repeated(connection: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        DatabaseConfig.of(ACME, connection=connection)

    assert "hunter2" not in f"{caught.value!r} {vars(caught.value)}"


def test_an_address_among_stored_values_is_not_repeated_either() -> None:
    stored = plain_values(a_tenant())
    stored["database_config"] = {"type": "shared", "connection": "x://ada:hunter2@db", "database_name": "a"}

    with pytest.raises(ValidationError) as caught:
        Tenant.model_validate(stored)

    assert "hunter2" not in str(caught.value)


def test_a_tenant_is_the_same_after_it_was_stored() -> None:
    tenant = a_tenant("schemas", "insights")
    tenant.begin_step("schemas")
    tenant.fail_step("schemas", "no space left")

    stored = entity_from(Tenant, plain_values(tenant), version=1, tenant=None)

    assert stored == tenant
    assert pickle.loads(pickle.dumps(stored)) == tenant
