"""Creating a tenant leaves a record of every step, so that it can be gone on with whatever happened."""

import asyncio

import pytest
from tests.application.memory import Death, RecordedStep, Registry
from tests.application.place import ACME, EU, GLOBEX, STANDARD, Place, steps_of

from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import (
    DatabaseUnavailableError,
    DuplicateEntityError,
    IllegalTransitionError,
    InvalidNameError,
    ProvisioningError,
    TenantNotActiveError,
    TenantNotFoundError,
)
from prismicx.domain.events import (
    TenantActivated,
    TenantProvisioningFailed,
    TenantProvisioningStarted,
    TenantResumed,
    TenantSuspended,
)
from prismicx.domain.identifiers import PluginType
from prismicx.domain.operations import StepStatus
from prismicx.domain.registry import TenantRepository
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES, Tenant, TenantStatus


async def test_a_tenant_is_created_step_by_step(place: Place) -> None:
    tenant = await place.create()

    assert tenant.status is TenantStatus.ACTIVE
    assert tenant.plugin_types == DEFAULT_PLUGIN_TYPES
    assert tenant.database_config.connection == "default"
    assert tenant.database_config.database_name == "tenant_acme_db"
    assert steps_of(tenant) == [("schemas", "done", 1), ("insights", "done", 1)]
    assert place.calls == ["ensure schemas", "verify schemas", "ensure insights", "verify insights"]
    assert await place.service.get(ACME) == tenant
    assert [type(event) for event in place.registry.events] == [TenantProvisioningStarted, TenantActivated]


async def test_each_step_is_recorded_before_it_runs(place: Place) -> None:
    seen: list[list[tuple[str, str, int]]] = []

    class Looking(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            seen.append(steps_of(await place.service.get(ACME)))
            await super().ensure(tenant)

    steps = [Looking("schemas", place.calls), Looking("insights", place.calls)]
    await TenantProvisioning(place.registry, steps).create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)

    assert seen == [
        [("schemas", "running", 1), ("insights", "pending", 0)],
        [("schemas", "done", 1), ("insights", "running", 1)],
    ]


async def test_a_tenant_can_ask_for_its_own_plugin_types(place: Place) -> None:
    types = (PluginType("billing"),)

    tenant = await place.service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME, plugin_types=types)

    assert place.schemas.made == {ACME: types}
    assert (tenant.database_config.type, tenant.database_config.connection) == ("shared", "default")


async def test_without_an_id_a_new_one_is_made(place: Place) -> None:
    one, other = await place.create(None), await place.create(None)

    assert one.tenant_id != other.tenant_id
    assert await place.is_complete(one.tenant_id)


async def test_an_id_that_is_taken_is_refused_and_nothing_is_touched(place: Place) -> None:
    await place.create()
    place.calls.clear()

    with pytest.raises(DuplicateEntityError):
        await place.create()

    assert place.calls == []


async def test_a_made_id_that_is_taken_is_made_again(place: Place) -> None:
    await place.create()
    made = iter([ACME, ACME, GLOBEX])
    service = TenantProvisioning(place.registry, [place.schemas], new_tenant_id=lambda: next(made))

    tenant = await service.create("Globex", region=EU, tier=STANDARD)

    assert tenant.tenant_id == GLOBEX


async def test_a_source_of_ids_that_are_all_taken_is_given_up(place: Place) -> None:
    await place.create()
    service = TenantProvisioning(place.registry, [place.schemas], new_tenant_id=lambda: ACME)

    with pytest.raises(DuplicateEntityError):
        await service.create("Globex", region=EU, tier=STANDARD)


async def test_bad_input_is_refused_before_anything_is_written(place: Place) -> None:
    with pytest.raises(InvalidNameError):
        await place.service.create("", region=EU, tier=STANDARD)
    with_an_address = TenantProvisioning(place.registry, [place.schemas], connection="postgresql://a:b@c/d")
    with pytest.raises(InvalidNameError):
        await with_an_address.create("Acme", region=EU, tier=STANDARD)

    assert place.registry.commits == 0


def test_two_steps_never_share_a_name(registry: Registry) -> None:
    with pytest.raises(InvalidNameError, match="two of them share a name"):
        TenantProvisioning(registry, [RecordedStep("schemas", []), RecordedStep("schemas", [])])


async def test_a_failure_is_recorded_with_its_reason_and_can_be_gone_on_from(place: Place) -> None:
    place.insights.error = OSError("no space left")

    with pytest.raises(ProvisioningError, match="tenant acme stopped at step insights: no space left") as caught:
        await place.create()

    assert caught.value.__cause__ is place.insights.error
    tenant = await place.service.get(ACME)
    assert (tenant.status, tenant.failure) == (TenantStatus.PROVISIONING, "insights: no space left")
    assert steps_of(tenant) == [("schemas", "done", 1), ("insights", "failed", 1)]
    assert isinstance(place.registry.events[-1], TenantProvisioningFailed)

    place.insights.error = None
    place.calls.clear()
    tenant = await place.service.retry(ACME)

    assert steps_of(tenant) == [("schemas", "done", 1), ("insights", "done", 2)]
    assert place.calls == ["verify schemas", "ensure insights", "verify insights"]
    assert await place.is_complete(ACME)


async def test_a_step_that_did_not_do_what_it_should_is_a_failure(place: Place) -> None:
    class Lazy(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            pass

    service = TenantProvisioning(place.registry, [Lazy("schemas", [])])

    with pytest.raises(ProvisioningError) as caught:
        await service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)

    assert caught.value.reason == "it is not there"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(), "OSError"),
        (OSError("a\x00b\ud800c"), "a\\x00b\\ud800c"),
        (OSError("x" * 5000), "x" * 2000),
        (DatabaseUnavailableError("db:5432", "is it running?"), "no database answers at db:5432; is it running?"),
    ],
)
async def test_any_reason_can_be_recorded(place: Place, error: Exception, reason: str) -> None:
    place.schemas.error = error

    with pytest.raises(ProvisioningError):
        await place.create()

    assert (await place.service.get(ACME)).failure == f"schemas: {reason}"


async def test_a_step_that_is_done_and_gone_is_run_again(place: Place) -> None:
    place.insights.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()
    place.insights.error = None
    place.schemas.made.clear()

    tenant = await place.service.retry(ACME)

    assert steps_of(tenant) == [("schemas", "done", 2), ("insights", "done", 2)]
    assert await place.is_complete(ACME)


async def test_a_cancellation_is_no_failure_and_can_be_gone_on_from(place: Place) -> None:
    place.insights.error = asyncio.CancelledError()

    with pytest.raises(asyncio.CancelledError):
        await place.create()

    tenant = await place.service.get(ACME)
    assert tenant.failure is None
    assert steps_of(tenant) == [("schemas", "done", 1), ("insights", "running", 1)]

    place.insights.error = None
    await place.service.retry(ACME)

    assert await place.is_complete(ACME)


COMMITS = 6  # the registration, two for each of the two steps, the flip


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
async def test_whenever_the_process_dies_the_tenant_can_be_finished(place: Place, moment: str, commit: int) -> None:
    setattr(place.registry, f"dies_{moment}", commit)
    with pytest.raises(Death):
        await place.create()
    assert place.registry.commits == commit
    setattr(place.registry, f"dies_{moment}", None)
    place.clock.advance(minutes=2)

    if commit == 1 and moment == "before":
        with pytest.raises(TenantNotFoundError):
            await place.service.retry(ACME)
        await place.create()
    else:
        await place.service.retry(ACME)

    assert await place.is_complete(ACME)
    assert len([event for event in place.registry.events if isinstance(event, TenantActivated)]) <= 1


async def test_an_undisturbed_creation_has_that_many_commits(place: Place) -> None:
    await place.create()

    assert place.registry.commits == COMMITS


async def test_a_tenant_is_not_active_before_the_last_commit(place: Place) -> None:
    place.registry.dies_before = COMMITS

    with pytest.raises(Death):
        await place.create()

    with pytest.raises(TenantNotActiveError, match="acme is provisioning"):
        await place.directory.admit(ACME)


async def test_an_active_tenant_is_returned_as_it_is(place: Place) -> None:
    created = await place.create()
    place.calls.clear()

    assert await place.service.retry(ACME) == created
    assert place.calls == []


async def test_a_suspended_tenant_is_returned_as_it_is_too(place: Place) -> None:
    await place.create()
    suspended = await place.service.suspend(ACME)

    assert await place.service.retry(ACME) == suspended


async def test_a_step_that_is_new_since_the_failure_is_run_too(place: Place) -> None:
    place.insights.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()
    place.insights.error = None
    roles = RecordedStep("roles", place.calls)

    tenant = await TenantProvisioning(place.registry, [roles, place.schemas, place.insights]).retry(ACME)

    assert steps_of(tenant) == [("roles", "done", 1), ("schemas", "done", 1), ("insights", "done", 2)]


async def test_a_recorded_step_that_nobody_knows_stops_before_anything_is_touched(place: Place) -> None:
    place.insights.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()
    place.calls.clear()

    with pytest.raises(ProvisioningError, match="stopped at step insights: it is recorded, but none of the steps here"):
        await TenantProvisioning(place.registry, [place.schemas]).retry(ACME)

    assert place.calls == []


async def test_a_tenant_registered_without_a_plan_gets_one(place: Place) -> None:
    tenant = Tenant.register(
        ACME,
        name="Acme",
        region=EU,
        tier=STANDARD,
        database_config=(await place.create(GLOBEX)).database_config,
        steps=(),
    )
    tenant.operation = None
    async with place.registry.registry() as unit:
        unit.repository(TenantRepository).add(tenant)
        await unit.commit()

    await place.service.retry(ACME)

    assert await place.is_complete(ACME)


async def test_a_tenant_is_suspended_and_resumed(place: Place) -> None:
    await place.create()
    await place.directory.admit(ACME)

    assert (await place.service.suspend(ACME)).status is TenantStatus.SUSPENDED
    with pytest.raises(TenantNotActiveError, match="acme is suspended"):
        await place.directory.admit(ACME)
    assert (await place.service.resume(ACME)).status is TenantStatus.ACTIVE
    await place.directory.admit(ACME)

    assert [type(event) for event in place.registry.events[-2:]] == [TenantSuspended, TenantResumed]


async def test_suspending_and_resuming_twice_changes_nothing(place: Place) -> None:
    created = await place.create()

    assert await place.service.resume(ACME) == created
    await place.service.suspend(ACME)
    await place.service.suspend(ACME)

    assert len([event for event in place.registry.events if isinstance(event, TenantSuspended)]) == 1


async def test_a_tenant_in_provisioning_is_neither_suspended_nor_resumed(place: Place) -> None:
    place.schemas.error = OSError("no space left")
    with pytest.raises(ProvisioningError):
        await place.create()

    with pytest.raises(IllegalTransitionError, match="from provisioning to suspended"):
        await place.service.suspend(ACME)
    with pytest.raises(IllegalTransitionError, match="from provisioning to active"):
        await place.service.resume(ACME)


async def test_an_unknown_tenant_is_named(place: Place) -> None:
    with pytest.raises(TenantNotFoundError, match="there is no tenant globex"):
        await place.service.suspend(GLOBEX)


async def test_tenants_are_listed_by_state(place: Place) -> None:
    await place.create(ACME)
    await place.create(GLOBEX)
    await place.service.suspend(GLOBEX)

    assert [tenant.tenant_id for tenant in await place.service.list()] == [ACME, GLOBEX]
    assert [tenant.tenant_id for tenant in await place.service.list(TenantStatus.SUSPENDED)] == [GLOBEX]
    assert await place.service.list(TenantStatus.DELETED) == []


async def test_a_registry_that_is_gone_when_a_failure_is_to_be_recorded_says_so_itself(place: Place) -> None:
    class Breaking(RecordedStep):
        async def ensure(self, tenant: Tenant) -> None:
            place.registry.unavailable = True
            raise OSError("no space left")

    service = TenantProvisioning(place.registry, [Breaking("schemas", []), place.insights], clock=place.clock)

    with pytest.raises(DatabaseUnavailableError) as caught:
        await service.create("Acme", region=EU, tier=STANDARD, tenant_id=ACME)

    assert isinstance(caught.value.__context__, OSError)
    place.registry.unavailable = False
    tenant = await place.service.get(ACME)
    assert tenant.operation is not None
    assert tenant.operation.step("schemas").status is StepStatus.RUNNING
    place.clock.advance(minutes=2)
    await place.service.retry(ACME)
    assert await place.is_complete(ACME)
