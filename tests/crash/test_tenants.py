"""Wherever a process is killed while it creates or deletes a tenant, reconciling leaves what no crash would have left.

Every point is one child process that is killed there with SIGKILL. The points are found by carrying the deed out once:
before and after each commit to the registry and each call of a step; with PRISMICX_SOAK_CRASH_POINTS=all also before
each message to the server.
"""

from __future__ import annotations

from tests.crash.deeds import create_tenant
from tests.crash.killing import Killing
from tests.crash.sites import CREATE, DELETE, Site, fill, kill_everywhere, new_names, states

from prismicx.domain.identifiers import TenantId
from prismicx.domain.tenancy import TenantStatus


async def test_wherever_a_process_is_killed_reconciling_converges(site: Site, killing: Killing) -> None:
    a_new_name = new_names()

    await kill_everywhere(site, killing, CREATE, a_new_name)
    active = [tenant for tenant, status in (await states(site)).items() if status is TenantStatus.ACTIVE]
    created_before = frozenset(active)

    async def a_tenant_with_data() -> str:
        tenant = active.pop() if active else await a_new_name()
        if tenant not in created_before:
            await create_tenant(site.service, TenantId(tenant))
        await fill(site, tenant)
        return tenant

    await kill_everywhere(site, killing, DELETE, a_tenant_with_data)
