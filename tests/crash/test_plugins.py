"""Wherever a worker is killed on a plugin's way, reconciling leaves what an undisturbed run would have left.

Every point is one child process that is killed there with SIGKILL. The points are found by carrying the deed out once:
before and after each commit to the registry and each call of the schemas, and, with PRISMICX_SOAK_CRASHES, before each
message to the server.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest
from tests.contract.opened import initialised_by_contracts
from tests.crash import plugin_deeds
from tests.crash.killing import Killing
from tests.crash.plugin_deeds import ONE, PLUGIN, TWO, backend_at

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.application.plugin_verification import PluginVerification
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.errors import PluginInstallationError
from prismicx.domain.identifiers import Region, TenantId, Tier, plugin_schema_name
from prismicx.domain.installations import TenantPluginStatus
from prismicx.domain.moments import utc_now
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases

MODULE = "tests.crash.plugin_deeds"

State = tuple[object, ...]


@dataclass
class Scene:
    """A database with the plugin published, and two workers: one of now, and one of an hour later."""

    database: PostgresDatabase
    backend: SqlAlchemyBackend

    def __post_init__(self) -> None:
        schemas = self.backend.plugin_schemas
        self.service = PluginInstallation(self.backend, schemas)
        self.later = PluginInstallation(self.backend, schemas, clock=lambda: utc_now() + timedelta(hours=1))
        self.address = {"dsn": self.database.dsn, "admin_dsn": self.database.admin_dsn}

    async def tenant_before(self, deed: str, name: str) -> TenantId:
        """Return a new tenant that has what the deed begins with; its schema is made with the plugin."""
        tenant_id = TenantId(name)
        await TenantProvisioning(self.backend, []).create(
            "Killed", region=Region("eu"), tier=Tier("standard"), tenant_id=tenant_id, plugin_types=[]
        )
        if deed != "install":
            await self.service.install(tenant_id, PLUGIN, version=ONE if deed in ("upgrade", "abandon") else TWO)
        if deed == "abandon":
            notes = f'"{plugin_schema_name(tenant_id, plugin_deeds.DESK)}".notes'
            await self.run(f"ALTER TABLE {notes} ADD stars int")
            with pytest.raises(PluginInstallationError):
                await self.service.upgrade(tenant_id, PLUGIN)
            await self.run(f"ALTER TABLE {notes} DROP stars")
        return tenant_id

    async def states(self, *tenants: TenantId) -> dict[TenantId, State]:
        """Return what there is of the plugin, for each tenant: the record, the ledger, columns, and rows."""
        connection = await asyncpg.connect(self.database.superuser_dsn)
        try:
            return {tenant: await self._state(connection, tenant) for tenant in tenants}
        finally:
            await connection.close()

    async def _state(self, connection: asyncpg.Connection, tenant_id: TenantId) -> State:
        schema = plugin_schema_name(tenant_id, plugin_deeds.DESK)
        columns = await connection.fetch(
            "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = $1 "
            "AND table_name <> 'prismicx_migrations' ORDER BY 1, 2",
            schema,
        )
        has_notes = any(table == "notes" for table, _ in columns)
        rows = await connection.fetchval(f'SELECT count(*) FROM "{schema}".notes') if has_notes else None
        ledger = await self.backend.plugin_schemas.applied(tenant_id, plugin_deeds.DESK, PLUGIN)
        records = [
            (found.status, found.installed_version, found.pending, found.lease, found.error_message)
            for found in await self.service.list(tenant_id)
        ]
        return (*records, *ledger, *map(tuple, columns), rows)

    async def run(self, sql: str) -> None:
        connection = await asyncpg.connect(self.database.superuser_dsn)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def killing() -> AsyncIterator[Killing]:
    async with Killing(MODULE) as killing:
        yield killing


@pytest.fixture
async def scene(prismicx_postgres_database: PostgresDatabases) -> AsyncIterator[Scene]:
    database = await prismicx_postgres_database("contracts", initialised_by_contracts)
    async with backend_at(dsn=database.dsn, admin_dsn=database.admin_dsn) as backend:
        scene = Scene(database, backend)
        await plugin_deeds.publish(scene.service)
        yield scene


DEEDS = [(deed, "recorded") for deed in ("install", "upgrade", "downgrade", "purge", "abandon")]
if os.environ.get("PRISMICX_SOAK_CRASHES"):
    DEEDS += [(deed, "sent") for deed in ("install", "upgrade", "purge", "abandon")]


@pytest.mark.parametrize(("deed", "level"), DEEDS)
async def test_wherever_a_worker_is_killed_reconciling_converges(
    scene: Scene, killing: Killing, deed: str, level: str
) -> None:
    arguments = {"level": level, **scene.address}
    undisturbed, untouched = [await scene.tenant_before(deed, name) for name in ("undisturbed", "untouched")]
    points = await killing.points_of(f"{MODULE}:{deed}", tenant=undisturbed.value, **arguments)
    states = await scene.states(undisturbed, untouched)
    before, after = states[untouched], states[undisturbed]
    limit = asyncio.Semaphore(3)

    async def killed_at(point: int) -> TenantId:
        async with limit:
            tenant_id = await scene.tenant_before(deed, f"k{point:03}")
            await killing.kill(f"{MODULE}:{deed}", point, tenant=tenant_id.value, **arguments)
            return tenant_id

    victims = await asyncio.gather(*map(killed_at, range(len(points))))

    assert await scene.service.reconcile() == [], "no lease is over"
    left = await scene.states(*victims)
    rest = [tenant for tenant in victims if left[tenant] not in (before, after)]
    for tenant in rest:
        (record,) = await scene.service.list(tenant)
        assert record.status is not TenantPluginStatus.ACTIVE, "active before all was done"
        assert record.lease is not None, "touched before it was recorded"
    finished = await scene.later.reconcile()
    found = await scene.states(*victims)

    assert Counter(record.tenant_id for record in finished) == Counter(rest)
    assert rest, "not one was killed in the middle"
    for tenant, label in zip(victims, points, strict=True):
        assert found[tenant] == (after if tenant in rest else left[tenant]), label
    assert (await PluginVerification(scene.backend, scene.backend.plugin_schemas).verify(PLUGIN)).drifts == ()
    print(f"{deed}: killed at {len(points)} points, {len(rest)} of them in the middle")
