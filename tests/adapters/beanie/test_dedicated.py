"""Tenants with a MongoDB of their own: made, used, unmade and refused there, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract.dedicated import (
    ACME,
    GLOBEX,
    INITECH,
    Platform,
    databases_at,
    mongo_platform,
    tenants_in_mongo,
)

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseUnavailableError,
    MappingError,
    ProvisioningError,
    SecretNotFoundError,
    TenantNotActiveError,
    TransactionsUnavailableError,
)
from prismicx.domain.findings import AuditScope
from prismicx.domain.tenancy import DatabaseConfig, TenantStatus
from prismicx.embedded import EmbeddedMongo
from prismicx.testing.databases import MongoServer
from prismicx.testing.examples import Widgets

OnMongo = Platform[BeanieBackend]

NAME = "dedicated_tenants"


@pytest.fixture(scope="module")
def own() -> Iterator[str]:
    """A deployment of somebody's own, empty."""
    with EmbeddedMongo() as server:
        yield server.uri


@pytest.fixture
async def platform(prismicx_mongo_server: MongoServer, own: str) -> AsyncIterator[OnMongo]:
    async with mongo_platform(prismicx_mongo_server, {"acme": own}, NAME) as platform:
        yield platform


async def test_creating_a_dedicated_tenant_prepares_its_deployment(
    platform: OnMongo, own: str, prismicx_mongo_server: MongoServer
) -> None:
    created = await platform.create(ACME, connection="acme")
    await platform.create(GLOBEX)
    await platform.store(ACME)
    await platform.store(GLOBEX)

    assert created.status is TenantStatus.ACTIVE
    assert await platform.names(ACME) == ["acme"] * 3
    assert await tenants_in_mongo(own) == {"acme": 3}
    assert await tenants_in_mongo(prismicx_mongo_server.uri) == {"globex": 3}
    assert not [name for name in await databases_at(prismicx_mongo_server.uri) if name.startswith("tenant_acme")]


async def test_the_drivers_session_and_collections_are_there_too(platform: OnMongo) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)

    async with platform.backend.unit_of_work(ACME) as unit:
        assert isinstance(unit, BeanieUnitOfWork)
        assert unit.session.client is not platform.backend._client.client
        mapping = next(mapping for mapping in platform.backend._wiring.mappings.values() if mapping.name == "widgets")
        assert await unit.collection(mapping).count_documents({}) == 1


async def test_many_first_units_open_one_client(platform: OnMongo) -> None:
    await platform.create(ACME, connection="acme")
    platform.secrets.asked.clear()
    await asyncio.gather(*(platform.store(ACME) for _ in range(5)))

    assert platform.secrets.asked == [("acme", "mongo_uri")]


async def test_a_suspended_or_moved_tenant_opens_nothing_here(platform: OnMongo) -> None:
    await platform.create(ACME, connection="acme")
    await platform.tenants.suspend(ACME)
    with pytest.raises(TenantNotActiveError):
        await platform.store(ACME)
    await platform.tenants.resume(ACME)
    await platform.move(ACME, DatabaseConfig.of(ACME, connection="nowhere", dedicated=True))
    with pytest.raises(SecretNotFoundError, match="connection nowhere has no mongo_uri"):
        await platform.store(ACME)

    assert platform.backend._dedicated.connections == ()


async def test_an_address_that_nobody_prepared_is_refused_before_anything_is_written(
    platform: OnMongo, own: str
) -> None:
    before = await databases_at(own)
    await platform.create(GLOBEX)
    await platform.move(GLOBEX, DatabaseConfig.of(GLOBEX, connection="acme", dedicated=True))
    with pytest.raises(MappingError, match="there is no collection"):
        await platform.store(GLOBEX)

    assert await databases_at(own) == before
    deployment = await platform.backend.deployment_of("acme")
    assert deployment is not None
    await deployment.initialise()
    async with platform.backend.unit_of_work(GLOBEX) as unit:
        assert await unit.repository(Widgets).count() == 0


async def test_a_server_without_transactions_is_refused(
    platform: OnMongo, prismicx_mongo_standalone_server: MongoServer
) -> None:
    platform.secrets.add("initech", {"mongo_uri": prismicx_mongo_standalone_server.uri})
    with pytest.raises(ProvisioningError, match="no transactions"):
        await platform.create(INITECH, connection="initech")
    await platform.create(ACME)
    await platform.move(ACME, DatabaseConfig.of(ACME, connection="initech", dedicated=True))

    with pytest.raises(TransactionsUnavailableError):
        await platform.store(ACME)


async def test_an_address_that_leads_nowhere_is_named_without_its_password(platform: OnMongo) -> None:
    platform.secrets.add("acme", {"mongo_uri": "mongodb://app:pa55word@acme.test/?no-option"})
    await platform.create(ACME)
    await platform.move(ACME, DatabaseConfig.of(ACME, connection="acme", dedicated=True))

    with pytest.raises(DatabaseUnavailableError) as refused:
        await platform.store(ACME)

    assert refused.value.address == "mongodb://acme.test"
    assert "pa55word" not in f"{refused.value!r} {refused.value}"


async def test_over_the_limit_idle_clients_are_closed(prismicx_mongo_server: MongoServer, own: str) -> None:
    places = {"acme": own, "initech": own}
    async with mongo_platform(prismicx_mongo_server, places, NAME, max_dedicated=1) as platform:
        for tenant in (ACME, INITECH):
            await platform.create(tenant, connection=tenant.value)
        async with platform.backend.unit_of_work(ACME) as unit:
            await platform.store(INITECH)
            assert await unit.repository(Widgets).count() == 0

        assert platform.backend._dedicated.connections == ("acme",)
        assert await platform.names(INITECH) == ["initech"] * 3
        assert platform.backend._dedicated.connections == ("initech",)


async def test_deletion_removes_what_is_there(platform: OnMongo, own: str) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)
    await platform.tenants.suspend(ACME)
    deleted = await platform.tenants.delete(ACME)

    assert deleted.status is TenantStatus.DELETED
    assert await tenants_in_mongo(own) == {}


async def test_the_audit_looks_there(platform: OnMongo, own: str) -> None:
    await platform.create(ACME, connection="acme")
    deployment = await platform.backend.deployment_of("acme")
    assert deployment is not None
    report = await deployment.audit(AuditScope(places=await platform.backend.registered_places()))

    assert deployment.address == own
    assert {finding.code for finding in report.findings} <= {"NO_ACCESS_CONTROL"}


async def test_closing_the_backend_closes_them_all(platform: OnMongo) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)
    client = (await platform.backend._dedicated.lease("acme")).client  # type: ignore[union-attr]  # it has an address
    await platform.backend.close()

    with pytest.raises(BackendNotStartedError):
        _ = client.client
    await platform.backend.start()
