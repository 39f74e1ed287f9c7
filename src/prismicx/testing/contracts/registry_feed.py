"""The registry's feed: what changes among tenants is read by revision, and nothing is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.registry import TenantRepository
from prismicx.domain.registry_feed import Standing
from prismicx.domain.specification import attribute
from prismicx.domain.tenancy import DatabaseConfig, Tenant, TenantStatus
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.examples import example_tenant

PATIENCE = 5.0
"""Seconds for a push to come."""


class RegistryFeedContract(TwoTenants):
    """What a backend promises that can be the registry of a platform.

    The fixture `backend` is as for `UnitOfWorkContract`.
    """

    async def test_a_first_reading_has_every_tenant(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        await register(backend, acme)
        await register(backend, globex, connection="globex")

        reading = await backend.registry_feed.read(None)

        assert reading.is_whole
        assert reading.standings[acme] == Standing(TenantStatus.PROVISIONING, 1)
        place = DatabaseConfig.of(globex, connection="globex", dedicated=True)
        assert reading.standings[globex] == Standing(TenantStatus.PROVISIONING, 1, place)

    async def test_a_later_reading_has_only_what_has_changed(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        await register(backend, acme)
        await register(backend, globex)
        known = (await backend.registry_feed.read(None)).revision

        nothing = await backend.registry_feed.read(known)
        async with backend.registry() as unit:
            (await unit.repository(TenantRepository).of(acme)).activate()
            await unit.commit()
        something = await backend.registry_feed.read(known)

        assert (nothing.revision, nothing.standings, nothing.is_whole) == (known, {}, False)
        assert (something.standings, something.is_whole) == ({acme: Standing(TenantStatus.ACTIVE, 2)}, False)
        assert something.revision > known

    async def test_changes_by_criteria_are_not_missed(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        await register(backend, acme)
        await register(backend, globex)
        known = (await backend.registry_feed.read(None)).revision

        async with backend.registry() as unit:
            await unit.repository(TenantRepository).update_where(
                attribute(Tenant.tenant_id).in_([acme, globex]), status=TenantStatus.SUSPENDED
            )
            await unit.commit()

        changed = (await backend.registry_feed.read(known)).standings
        assert [changed[tenant] for tenant in (acme, globex)] == [Standing(TenantStatus.SUSPENDED, 2)] * 2

    async def test_a_tenant_whose_record_is_gone_is_reported(self, backend: Backend, acme: TenantId) -> None:
        await register(backend, acme)
        known = (await backend.registry_feed.read(None)).revision

        async with backend.registry() as unit:
            tenants = unit.repository(TenantRepository)
            tenants.remove(await tenants.of(acme))
            await unit.commit()

        assert (await backend.registry_feed.read(known)).standings == {acme: None}

    async def test_a_change_that_commits_late_is_not_missed(
        self, backend: Backend, acme: TenantId, globex: TenantId
    ) -> None:
        before = (await backend.registry_feed.read(None)).revision

        async with backend.registry() as late:
            late.repository(TenantRepository).add(example_tenant(acme))
            await late.flush()
            early = asyncio.create_task(register(backend, globex))
            meanwhile = await backend.registry_feed.read(before)
            await late.commit()
        await early

        afterwards = await backend.registry_feed.read(meanwhile.revision)
        seen = {**meanwhile.standings, **afterwards.standings}
        assert [seen.get(acme), seen.get(globex)] == [Standing(TenantStatus.PROVISIONING, 1)] * 2

    async def test_a_revision_that_the_registry_has_not_come_to_means_everything(
        self, backend: Backend, acme: TenantId
    ) -> None:
        await register(backend, acme)
        known = (await backend.registry_feed.read(None)).revision

        reading = await backend.registry_feed.read(known + 1)

        assert reading.is_whole
        assert acme in reading.standings

    async def test_a_change_wakes_who_listens(self, backend: Backend, acme: TenantId) -> None:
        async with listening(backend) as woken:
            await register(backend, acme)

            async with asyncio.timeout(PATIENCE):
                await woken.wait()
        assert (await backend.registry_feed.read(None)).standings[acme] is not None


async def register(backend: Backend, tenant_id: TenantId, *, connection: str | None = None) -> None:
    """Store a new tenant, a dedicated one behind this connection."""
    tenant = example_tenant(tenant_id)
    if connection is not None:
        tenant.database_config = DatabaseConfig.of(tenant_id, connection=connection, dedicated=True)
    async with backend.registry() as unit:
        unit.repository(TenantRepository).add(tenant)
        await unit.commit()


@asynccontextmanager
async def listening(backend: Backend) -> AsyncIterator[asyncio.Event]:
    """Listen to a registry for the length of the block, and set the event at each change from now on."""
    woken = asyncio.Event()
    listener = asyncio.create_task(backend.registry_feed.listen(woken.set))
    try:
        async with asyncio.timeout(10):
            await woken.wait()
        woken.clear()
        yield woken
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
