"""A rollout over many tenants: killed half-way, resumed once, and then nothing is left to do.

PRISMICX_SOAK_ROLLOUT says how many tenants there are; 1,000 take minutes.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.opened import initialised_by_contracts
from tests.crash.killing import Killing
from tests.crash.plugin_deeds import ONE, PLUGIN, backend_at, publish

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.application.plugin_verification import PluginVerification
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.application.rollouts import PluginRollouts
from prismicx.domain.identifiers import Region, TenantId, Tier
from prismicx.domain.moments import utc_now
from prismicx.domain.rollouts import RolloutPlan, RolloutStatus
from prismicx.testing.databases import PostgresDatabases

MODULE = "tests.crash.plugin_deeds"
TENANTS = int(os.environ.get("PRISMICX_SOAK_ROLLOUT") or 40)


async def test_a_rollout_that_is_killed_half_way_is_resumed_and_finished(
    prismicx_postgres_database: PostgresDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await prismicx_postgres_database("contracts", initialised_by_contracts)
    address = {"dsn": database.dsn, "admin_dsn": database.admin_dsn}
    async with backend_at(**address) as backend, Killing(MODULE, processes=1) as killing:
        before = time.monotonic()
        await with_plugins(backend, [TenantId(f"t{number:05}") for number in range(TENANTS)])
        prepared = time.monotonic()
        # A point before and after each commit: one commit begins, and each tenant takes two.
        await killing.kill(f"{MODULE}:roll_out", 2 + 2 * TENANTS, **address)
        killed = time.monotonic()
        rollouts = an_hour_later(backend)
        resumed_from: list[int] = []

        done = await rollouts.upgrade_all(
            PLUGIN,
            resume=True,
            plan=RolloutPlan(concurrency=4),
            report=lambda rollout: resumed_from.append(rollout.tally.upgraded),
        )

        resumed = time.monotonic()
        asked = statements(monkeypatch)
        assert await rollouts.upgrade_all(PLUGIN) is None
        nothing, asked = time.monotonic(), list(asked)
        found = await PluginVerification(backend, backend.plugin_schemas).verify(PLUGIN)

    assert done is not None
    assert (done.status, done.tally.upgraded, done.tally.failed) == (RolloutStatus.DONE, TENANTS, 0)
    assert TENANTS // 4 < resumed_from[0] < TENANTS * 3 // 4
    assert [statement for statement in asked if "tenant_plugins" in statement] == asked[-1:]
    assert len(asked) == 2, "the plugin, and whether any tenant is left"
    assert (found.checked, found.drifts) == (TENANTS, ())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"\n{TENANTS} tenants: made in {prepared - before:.1f} s; killed after {killed - prepared:.1f} s; from tenant "
        f"{resumed_from[0]} on in {resumed - killed:.1f} s; nothing to do: {(nothing - resumed) * 1000:.0f} ms; "
        f"peak memory of the process {peak} MiB"
    )


async def with_plugins(backend: SqlAlchemyBackend, tenants: Sequence[TenantId]) -> None:
    """Make active tenants that have the first version of the plugin."""
    provisioning = TenantProvisioning(backend, [])
    service = PluginInstallation(backend, backend.plugin_schemas)
    await publish(service)

    async def make(tenant_id: TenantId) -> None:
        await provisioning.create(
            "One of many", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id, plugin_types=[]
        )
        await service.install(tenant_id, PLUGIN, version=ONE)

    await _a_few_at_a_time(make, tenants)


def an_hour_later(backend: SqlAlchemyBackend) -> PluginRollouts:
    """Return rollouts by a worker for whom the leases of the killed one are over."""

    def later() -> Any:
        return utc_now() + timedelta(hours=1)

    return PluginRollouts(backend, PluginInstallation(backend, backend.plugin_schemas, clock=later), clock=later)


def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that every statement with an answer is added to from now on."""
    asked: list[str] = []
    fetch = Transaction.fetch

    async def noted(self: Transaction, query: str, *args: Any, **named: Any) -> Any:
        asked.append(query)
        return await fetch(self, query, *args, **named)

    monkeypatch.setattr(Transaction, "fetch", noted)
    return asked


async def _a_few_at_a_time(work: Callable[[TenantId], Awaitable[None]], tenants: Sequence[TenantId]) -> None:
    limit = asyncio.Semaphore(4)

    async def limited(tenant_id: TenantId) -> None:
        async with limit:
            await work(tenant_id)

    await asyncio.gather(*map(limited, tenants))
