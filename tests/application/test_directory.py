"""The directory admits from memory, is never older than it says, and reads the registry no more often than it must."""

import asyncio

import pytest
from tests.application.memory import Registry

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory.backend import MemoryBackend
from prismicx.application.directory import TenantDirectory
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import (
    DatabaseUnavailableError,
    InvalidNameError,
    TenantNotActiveError,
    TenantNotFoundError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.registry import TenantRepository

ACME = TenantId("acme")
GLOBEX = TenantId("globex")


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Office:
    """A directory over a registry that another process writes."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.clock = Clock()
        self.directory = TenantDirectory(lambda: registry, max_age=5.0, clock=self.clock)
        self.elsewhere = TenantProvisioning(registry, [])
        self.here = TenantProvisioning(registry, [], directory=self.directory)


async def create(service: TenantProvisioning, tenant_id: TenantId) -> None:
    await service.create("Acme", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id)


@pytest.fixture
async def office(registry: Registry) -> Office:
    office = Office(registry)
    await create(office.elsewhere, ACME)
    registry.reads = 0
    return office


async def test_a_fresh_snapshot_admits_without_reading(office: Office) -> None:
    for _ in range(100):
        await office.directory.admit(ACME)
    office.clock.now += 4.9
    await office.directory.admit(ACME)

    assert office.registry.reads == 1


async def test_an_old_snapshot_is_read_anew(office: Office) -> None:
    await office.directory.admit(ACME)
    office.clock.now += 5.0
    await office.directory.admit(ACME)

    assert office.registry.reads == 2


async def test_naming_unknown_tenants_reads_nothing_more(office: Office) -> None:
    for number in range(100):
        with pytest.raises(TenantNotFoundError):
            await office.directory.admit(TenantId(f"unknown-{number}"))

    assert office.registry.reads == 1


async def test_a_change_elsewhere_counts_after_the_age(office: Office) -> None:
    await office.directory.admit(ACME)
    await office.elsewhere.suspend(ACME)
    await create(office.elsewhere, GLOBEX)

    await office.directory.admit(ACME)
    with pytest.raises(TenantNotFoundError):
        await office.directory.admit(GLOBEX)

    office.clock.now += 5.0
    with pytest.raises(TenantNotActiveError):
        await office.directory.admit(ACME)
    await office.directory.admit(GLOBEX)


async def test_a_change_made_here_counts_at_once(office: Office) -> None:
    await office.directory.admit(ACME)
    await create(office.here, GLOBEX)
    await office.here.suspend(ACME)

    await office.directory.admit(GLOBEX)
    with pytest.raises(TenantNotActiveError):
        await office.directory.admit(ACME)

    assert office.registry.reads == 1


async def test_what_was_observed_before_the_first_reading_does_not_replace_it(office: Office) -> None:
    await create(office.here, GLOBEX)

    await office.directory.admit(ACME)
    await office.directory.admit(GLOBEX)

    assert office.registry.reads == 1


async def test_a_change_made_here_while_the_registry_is_read_is_not_forgotten(office: Office) -> None:
    before = await office.here.get(ACME)
    gate = office.registry.gate_after_reading = asyncio.Event()
    reading = asyncio.create_task(office.directory.admit(ACME))
    await asyncio.sleep(0)
    await office.here.suspend(ACME)
    await create(office.here, GLOBEX)
    office.directory.observe(before)
    gate.set()

    with pytest.raises(TenantNotActiveError):
        await reading
    await office.directory.admit(GLOBEX)


async def test_a_snapshot_is_as_old_as_the_start_of_its_reading(office: Office) -> None:
    gate = office.registry.gate_after_reading = asyncio.Event()
    reading = asyncio.create_task(office.directory.admit(ACME))
    await asyncio.sleep(0)
    office.clock.now += 5.0
    gate.set()
    await reading

    await office.directory.admit(ACME)

    assert office.registry.reads == 2


async def test_many_tasks_share_one_reading(office: Office) -> None:
    office.registry.gate = asyncio.Event()
    tasks = [asyncio.create_task(office.directory.admit(ACME)) for _ in range(50)]
    await asyncio.sleep(0)
    office.registry.gate.set()
    await asyncio.gather(*tasks)

    assert office.registry.reads == 1


async def test_many_tasks_share_one_failure_and_the_next_reads_again(office: Office) -> None:
    office.registry.gate = asyncio.Event()
    office.registry.unavailable = True
    tasks = [asyncio.create_task(office.directory.admit(ACME)) for _ in range(50)]
    await asyncio.sleep(0)
    office.registry.gate.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailableError}
    assert office.registry.reads == 1
    office.registry.unavailable = False
    await office.directory.admit(ACME)


async def test_a_reading_that_began_too_long_ago_is_not_shared(office: Office) -> None:
    gate = office.registry.gate = asyncio.Event()
    first = asyncio.create_task(office.directory.admit(ACME))
    await asyncio.sleep(0)
    office.clock.now += 5.1
    late = asyncio.create_task(office.directory.admit(ACME))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, late)

    assert office.registry.reads == 2


async def test_once_a_minute_everything_is_read(office: Office) -> None:
    for _ in range(14):
        await office.directory.admit(ACME)
        office.clock.now += 5.0

    assert [reading.is_whole for reading in office.registry.readings] == [True, *[False] * 11, True, False]


async def test_what_is_gone_from_the_registry_is_forgotten(office: Office) -> None:
    await office.directory.admit(ACME)
    async with office.registry.registry() as unit:
        tenants = unit.repository(TenantRepository)
        tenants.remove(await tenants.of(ACME))
        await unit.commit()
    office.clock.now += 5.0

    with pytest.raises(TenantNotFoundError):
        await office.directory.admit(ACME)
    assert [reading.is_whole for reading in office.registry.readings] == [True, False]


async def test_a_task_that_is_cancelled_while_reading_leaves_it_to_the_next(office: Office) -> None:
    office.registry.gate = asyncio.Event()
    first, second = (asyncio.create_task(office.directory.admit(ACME)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    office.registry.gate.set()

    await second

    assert first.cancelled()
    assert office.registry.reads == 2


async def test_without_a_registry_an_old_snapshot_admits_nobody(office: Office) -> None:
    await office.directory.admit(ACME)
    office.registry.unavailable = True
    await office.directory.admit(ACME)
    office.clock.now += 5.0

    with pytest.raises(DatabaseUnavailableError, match="registry:5432"):
        await office.directory.admit(ACME)


async def test_an_age_of_zero_reads_each_time(office: Office) -> None:
    directory = TenantDirectory(lambda: office.registry, max_age=0)

    await directory.admit(ACME)
    await directory.admit(ACME)

    assert office.registry.reads == 2


@pytest.mark.parametrize("age", [-1, float("nan")])
def test_an_age_that_makes_no_sense_is_refused(registry: Registry, age: float) -> None:
    with pytest.raises(ValueError, match="max_age"):
        TenantDirectory(lambda: registry, max_age=age)


async def test_a_backend_admits_by_its_own_registry() -> None:
    directory = TenantDirectory(lambda: backend)
    backend = MemoryBackend([], admission=directory)
    await backend.start()
    service = TenantProvisioning(backend, [], directory=directory)
    await create(service, ACME)

    async with backend.unit_of_work(ACME) as unit:
        assert unit.tenant == ACME
    with pytest.raises(TenantNotFoundError):
        async with backend.unit_of_work(GLOBEX):
            pass
    await service.suspend(ACME)
    with pytest.raises(TenantNotActiveError):
        async with backend.unit_of_work(ACME):
            pass


async def test_it_says_where_a_dedicated_tenant_is_and_nothing_of_the_others(office: Office) -> None:
    await office.here.create(
        "Globex", region=Region("eu"), tier=Tier("standard"), tenant_id=GLOBEX, dedicated_connection="globex"
    )

    place = await office.directory.admit(GLOBEX)
    assert place is not None
    assert (place.type, place.connection) == ("dedicated", "globex")
    assert await office.directory.admit(ACME) is None
    office.clock.now += 5.0
    assert await office.directory.admit(GLOBEX) == place


async def test_in_memory_a_dedicated_tenant_is_like_all_others(office: Office) -> None:
    await office.here.create(
        "Globex", region=Region("eu"), tier=Tier("standard"), tenant_id=GLOBEX, dedicated_connection="globex"
    )
    async with MemoryBackend([], admission=office.directory) as backend, backend.unit_of_work(GLOBEX) as unit:
        assert unit.tenant == GLOBEX


@pytest.mark.parametrize("connection", ["", "postgresql://app:pa55word@globex.test/globex"])
async def test_a_connection_that_is_no_name_is_refused_before_anything_is_recorded(
    office: Office, connection: str
) -> None:
    with pytest.raises(InvalidNameError) as refused:
        await office.here.create(
            "Globex", region=Region("eu"), tier=Tier("standard"), tenant_id=GLOBEX, dedicated_connection=connection
        )

    assert "pa55word" not in str(refused.value)
    assert [tenant.tenant_id for tenant in await office.here.list()] == [ACME]


async def test_a_backend_without_a_feed_is_no_registry() -> None:
    class Feedless(MemoryBackend):
        registry_feed = TrackedBackend.registry_feed  # type: ignore[assignment]  # what a backend has that says nothing

    with pytest.raises(UnsupportedOperationError, match="Feedless"):
        await TenantDirectory(lambda: Feedless([])).admit(ACME)
