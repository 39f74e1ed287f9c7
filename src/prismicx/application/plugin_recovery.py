"""What failures and crashes leave of a tenant's plugin: begun again, taken back, or finished."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from prismicx.application.plugin_work import DEFAULT_LEASE, Begun, PluginWork, installed
from prismicx.domain.errors import (
    LeaseLostError,
    OperationUnderWayError,
    PluginInstallationError,
    PluginNotInstalledError,
    PrismicxError,
    TenantNotActiveError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.installations import TenantPlugin
from prismicx.domain.moments import utc_now
from prismicx.domain.ports import Backend, PluginSchemas, UnitOfWork
from prismicx.domain.registry import TenantPluginRepository
from prismicx.domain.specification import asc

Report = Callable[[Sequence[TenantPlugin] | PrismicxError], None]
"""Takes the records that a round has left, or the error that ended it."""

_HELD_UP: Final = (LeaseLostError, OperationUnderWayError, PluginNotInstalledError, TenantNotActiveError)


class PluginRecovery:
    """Begins again, takes back or finishes what failures and crashes have left of a tenant's plugin."""

    def __init__(
        self,
        registry: Backend,
        schemas: PluginSchemas,
        *,
        lease: timedelta = DEFAULT_LEASE,
        clock: Callable[[], datetime] = utc_now,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            schemas: where migrations run.
            lease: how long a worker that says nothing keeps a plugin of a tenant.
            clock: tells the time in UTC.
            pause: waits that many seconds, before a migration is run again that could not get a lock.

        Raises:
            ValueError: the lease is no time at all.
        """
        self._registry = registry
        self._work = PluginWork(registry, schemas, lease=lease, clock=clock, pause=pause)

    async def retry(self, tenant_id: TenantId, plugin: str) -> TenantPlugin:
        """Begin again what failed, or go on with what a crash interrupted; return the record as that leaves it.

        Raises:
            IllegalTransitionError: nothing has failed, and nothing is under way.
            PluginInstallationError: it failed again, which is recorded.
            PluginNotInstalledError: the tenant has never had the plugin.
        """

        async def begin(unit: UnitOfWork) -> Begun:
            tenant, found, installation = await installed(unit, tenant_id, plugin)
            self._work.claim(installation)
            installation.begin_again()
            return tenant, found, installation

        return await self._work.carried_out(begin)

    async def abandon(self, tenant_id: TenantId, plugin: str) -> TenantPlugin:
        """Take back what failed, or what a crash interrupted, and return the record.

        Afterwards the tenant has what it had before: the plugin active in the version before, or, where it was being
        installed or purged, uninstalled. Mostly the schema is that already, and only the record changes. Where a crash
        came after the scripts had been committed, it is brought back by the down scripts.

        Raises:
            IllegalTransitionError: nothing has failed, and nothing is under way.
            PluginInstallationError: the scripts are committed and there is no way back from them (`retry` finishes what
                was begun), or a script failed; either is recorded.
            PluginNotInstalledError: the tenant has never had the plugin.
        """

        async def begin(unit: UnitOfWork) -> Begun:
            tenant, found, installation = await installed(unit, tenant_id, plugin)
            self._work.claim(installation)
            installation.begin_abandonment()
            return tenant, found, installation

        return await self._work.carried_out(begin)

    async def reconcile(self) -> Sequence[TenantPlugin]:
        """Finish every operation that a crash interrupted and nobody is at work on; return the records afterwards.

        What failed stays so, for `retry` or `abandon`; what fails now comes back as `failed`. Several at once are safe:
        each operation is finished by one of them. Tenants that are not active are left alone.
        """
        async with self._registry.registry(read_only=True) as unit:
            installations = unit.repository(TenantPluginRepository)
            under_way = await installations.list(installations.under_way(), order_by=asc(TenantPlugin.plugin_name))
        finished: list[TenantPlugin] = []
        for installation in filter(self._work.is_due, under_way):
            with suppress(*_HELD_UP):
                try:
                    finished.append(await self.retry(installation.tenant_id, installation.plugin_name))
                except PluginInstallationError:
                    finished.append(await self._record(installation))
        return finished

    async def watch(self, *, interval: float, stop: asyncio.Event, report: Report) -> None:
        """Reconcile, wait, and begin again, until `stop` is set.

        A round that cannot read the registry is reported and followed by the next one.

        Args:
            interval: seconds between two rounds, positive.
            stop: ends it, after the round that is at work.
            report: hears of each round.
        """
        while not stop.is_set():
            try:
                report(await self.reconcile())
            except PrismicxError as error:
                report(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval)

    async def _record(self, installation: TenantPlugin) -> TenantPlugin:
        async with self._registry.registry(read_only=True) as unit:
            return await unit.repository(TenantPluginRepository).get(installation.id)
