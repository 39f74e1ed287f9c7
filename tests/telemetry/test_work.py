"""What is heard of provisioning steps, migrations and deliveries, through the use cases that do them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self
from uuid import uuid4

import pytest
from dependency_injector import providers
from tests.telemetry.recording import Recording

from prismicx.adapters.memory import MemoryPluginSchemas
from prismicx.application.observing import ObservedPluginSchemas, ObservedPublisher, ObservedStep
from prismicx.container import Container, running, use_memory
from prismicx.domain.errors import ForeignObjectError
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import Publisher, StoredEvent
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.telemetry import Activity
from prismicx.domain.tenancy import Tenant
from prismicx.settings import Settings
from prismicx.testing.databases import MongoDatabases
from prismicx.testing.examples import example_tenant

ACME = TenantId("acme")


class Step(ProvisioningStep):
    """Makes nothing, or finds that somebody else has."""

    def __init__(self, *, foreign: bool = False) -> None:
        self._foreign = foreign

    @property
    def name(self) -> str:
        return "step"

    async def ensure(self, tenant: Tenant) -> None:
        if self._foreign:
            raise ForeignObjectError("schema", "tenant_acme_crm", "it bears no mark")

    async def verify(self, tenant: Tenant) -> None: ...

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return {"table": 2}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        return {"table": 2}


class Letters(Publisher):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.entered = 0

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        self.events += events

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1


@pytest.fixture
def recording() -> Recording:
    return Recording()


async def test_a_step_is_heard_of_and_does_what_it_did(recording: Recording) -> None:
    tenant, step = example_tenant(ACME), ObservedStep(Step(), recording)
    await step.ensure(tenant)
    await step.verify(tenant)
    contents, removed = await step.contents(tenant), await step.remove(tenant)
    with pytest.raises(ForeignObjectError):
        await ObservedStep(Step(foreign=True), recording).ensure(tenant)

    assert step.name == "step"
    assert contents == removed == {"table": 2}
    assert [(heard.facts["action"], heard.outcome) for heard in recording.heard] == [
        ("ensure", "done"),
        ("remove", "done"),
        ("ensure", "failed"),
    ]
    assert {(heard.activity, heard.tenant, heard.facts["step"]) for heard in recording.heard} == {
        (Activity.STEP, ACME, "step")
    }


async def test_a_migration_is_heard_of_with_its_plugin(recording: Recording) -> None:
    tenant = example_tenant(ACME)
    schemas = await ObservedPluginSchemas(MemoryPluginSchemas(), recording).at(tenant.database_config)
    await schemas.migrate(ACME, PluginType("crm"), "leads", [], fence=1)

    assert await schemas.ledger(ACME, PluginType("crm"), "leads") == ()
    (heard,) = recording.heard
    assert (heard.activity, heard.tenant, heard.outcome) == (Activity.MIGRATION, ACME, "done")
    assert heard.facts == {"plugin": "leads", "version": "none"}


async def test_a_delivery_is_heard_of_with_the_number_of_its_events(recording: Recording) -> None:
    letters = Letters()
    event = StoredEvent(id=uuid4(), name="Won", tenant=ACME, position=1, occurred_at=utc_now(), payload={})
    async with ObservedPublisher(letters, recording) as publisher:
        assert letters.entered == 1
        await publisher.publish([event])
        await publisher.publish([])

    assert letters.entered == 0
    assert letters.events == [event]
    assert [(heard.tenant, heard.facts["events"]) for heard in recording.heard] == [(ACME, 1), (None, 0)]


@pytest.fixture
async def container(recording: Recording, prismicx_mongo_database: MongoDatabases) -> AsyncIterator[Container]:
    database = prismicx_mongo_database()
    settings = Settings.load({"mongo_uri": database.uri, "mongo_database": database.name})
    container = Container(settings=settings)
    container.telemetry.override(providers.Object(recording))
    await container.mongo().initialise_database()  # type: ignore[attr-defined]  # nobody has put another in its place
    async with running(container):
        yield container


async def test_the_container_lets_the_use_cases_be_heard(container: Container, recording: Recording) -> None:
    assert [type(step) for step in container.provisioning_steps()] == [ObservedStep] * 3
    assert isinstance(container.plugin_schemas(), ObservedPluginSchemas)
    async with container.registry().registry():
        pass

    assert recording.heard[-1].tenant is None
    assert recording.heard[-1].facts["backend"] == "BeanieBackend"


@pytest.mark.parametrize(("name", "kind"), [("none", "NoneType"), ("log", "LogTelemetry"), ("otel", "OpenTelemetry")])
def test_the_settings_say_where_it_is_heard(name: str, kind: str) -> None:
    container = Container(settings=Settings.load({"registry": "memory", "telemetry": name}))
    use_memory(container)

    assert type(container.telemetry()).__name__ == kind
