"""Carrying out what was begun for a tenant's plugin: under a lease that is renewed, and a fence that only grows."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeVar

from prismicx.application.leases import while_renewing
from prismicx.application.reasons import reason_of
from prismicx.application.recording import recorded
from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    LeaseLostError,
    PluginInstallationError,
    PrismicxError,
    TenantNotActiveError,
    TransactionConflictError,
)
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.installations import TenantPlugin, TenantPluginStatus
from prismicx.domain.moments import utc_now
from prismicx.domain.plugins import Plugin, SchemaMigration
from prismicx.domain.ports import Backend, PluginSchemas, UnitOfWork
from prismicx.domain.registry import PluginRepository, TenantPluginRepository, TenantRepository
from prismicx.domain.retry import Retry
from prismicx.domain.tenancy import Tenant, TenantStatus

ResultT = TypeVar("ResultT")

Begun = tuple[Tenant, Plugin, TenantPlugin]
"""Whose plugin it is, the plugin, and the record of it, which says what has been begun."""

DEFAULT_LEASE: Final = timedelta(seconds=60)
"""How long a worker that says nothing keeps a plugin of a tenant."""

_RENEWALS_PER_LEASE: Final = 3
_RETRY: Final = Retry(tries=6, base=0.2, cap=5.0)
# The ledger says what was done, so running again is right whatever became of the last try.
_PASSING: Final = (TransactionConflictError, ConnectionLostError, CommitOutcomeUnknownError)

_END: Final = {
    TenantPluginStatus.INSTALLING: TenantPlugin.activate,
    TenantPluginStatus.UPGRADING: TenantPlugin.activate,
    TenantPluginStatus.DOWNGRADING: TenantPlugin.activate,
    TenantPluginStatus.PURGING: TenantPlugin.finish_purge,
    TenantPluginStatus.ABANDONING: TenantPlugin.finish_abandonment,
}
_GOING_BACK: Final = frozenset(
    {TenantPluginStatus.DOWNGRADING, TenantPluginStatus.PURGING, TenantPluginStatus.ABANDONING}
)


class PluginWork:
    """Takes a tenant's plugin into its hands, brings the schema to where the record says, and closes the record.

    Each write to the registry checks the lease and prolongs it; while scripts run it is renewed in the background.
    Whoever was overtaken stops with `LeaseLostError`: its writes to the registry find another holder, its scripts a
    greater fencing number.
    """

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
            lease: how long the worker keeps a plugin of a tenant without a sign of life.
            clock: tells the time in UTC.
            pause: waits that many seconds.

        Raises:
            ValueError: the lease is no time at all.
        """
        if lease <= timedelta(0):
            raise ValueError(f"a lease lasts longer than nothing, and this one {lease}")
        self._registry = registry
        self._schemas = schemas
        self._lease = lease
        self._clock = clock
        self._pause = pause

    def claim(self, installation: TenantPlugin) -> None:
        """Take a plugin of a tenant into new hands; each claim has a holder of its own, two of one process too.

        Raises:
            OperationUnderWayError: another worker's lease is not over.
        """
        installation.claim(new_holder(), now=self._clock(), until=self._clock() + self._lease)

    def is_due(self, installation: TenantPlugin) -> bool:
        """Tell whether nobody is at work on it."""
        return installation.is_free(self._clock())

    async def recorded(self, change: Callable[[UnitOfWork], Awaitable[ResultT]]) -> ResultT:
        """Run the change in a unit of the registry, and return its result.

        Raises:
            ConcurrencyError, DuplicateEntityError, TransactionConflictError: others were faster, five times.
        """
        return await recorded(self._registry, change)

    async def carried_out(self, begin: Callable[[UnitOfWork], Awaitable[Begun | TenantPlugin]]) -> TenantPlugin:
        """Record what is begun, carry it out, and return the record; a mere record means that there is nothing to do.

        Raises:
            LeaseLostError, PluginInstallationError: as `carry_out` does.
        """
        begun = await self.recorded(begin)
        return begun if isinstance(begun, TenantPlugin) else await self.carry_out(*begun)

    async def carry_out(self, tenant: Tenant, plugin: Plugin, installation: TenantPlugin) -> TenantPlugin:
        """Finish what the record says is under way, and return the record; this worker has claimed it.

        A cancellation lets go of it, so that anybody can go on at once.

        Raises:
            LeaseLostError: another worker has taken over.
            PluginInstallationError: a script failed; it is recorded, and the schema is as it was.
        """
        try:
            await while_renewing(
                self._bring_schema(tenant, plugin, installation),
                renew=lambda: self._change(installation, lambda found: None),
                every=self._lease.total_seconds() / _RENEWALS_PER_LEASE,
            )
        except asyncio.CancelledError:
            with suppress(PrismicxError):  # then the lease ends by itself
                await self._change(installation, TenantPlugin.let_go)
            raise
        except LeaseLostError:
            raise
        except Exception as error:
            reason = reason_of(error)
            await self._change(installation, lambda found: found.fail(reason))
            raise PluginInstallationError(
                tenant_id=installation.tenant_id.value, plugin=installation.plugin_name, reason=reason
            ) from error
        return await self._change(installation, _END[installation.status])

    async def _bring_schema(self, tenant: Tenant, plugin: Plugin, installation: TenantPlugin) -> None:
        if not plugin.migrations:
            return
        schemas, wanted = await self._schemas.at(tenant.database_config), _wanted(plugin, installation)
        back = plugin.migrations if installation.status in _GOING_BACK else ()
        for delay in _RETRY.waits():
            try:
                await self._migrate(schemas, installation, wanted, back)
            except _PASSING:
                await self._pause(delay)
            else:
                return
        await self._migrate(schemas, installation, wanted, back)

    async def _migrate(
        self,
        schemas: PluginSchemas,
        installation: TenantPlugin,
        wanted: tuple[SchemaMigration, ...],
        back: tuple[SchemaMigration, ...],
    ) -> None:
        await schemas.migrate(
            installation.tenant_id,
            installation.plugin_type,
            installation.plugin_name,
            wanted,
            fence=installation.fence,
            back=back,
        )

    async def _change(self, installation: TenantPlugin, change: Callable[[TenantPlugin], object]) -> TenantPlugin:
        lease = installation.lease
        assert lease is not None, "it was claimed"

        async def changed(unit: UnitOfWork) -> TenantPlugin:
            found = await unit.repository(TenantPluginRepository).get(installation.id)
            found.hold(lease, until=self._clock() + self._lease)
            change(found)
            return found

        return await self.recorded(changed)


async def tenant_and_plugin(unit: UnitOfWork, tenant_id: TenantId, name: str) -> tuple[Tenant, Plugin]:
    """Return a tenant that is active, and a plugin.

    Raises:
        PluginNotFoundError: no plugin has this name.
        TenantNotActiveError: the tenant is in another state.
        TenantNotFoundError: there is no such tenant.
    """
    tenant = await unit.repository(TenantRepository).of(tenant_id)
    if tenant.status is not TenantStatus.ACTIVE:
        raise TenantNotActiveError(tenant_id.value, tenant.status.value)
    return tenant, await unit.repository(PluginRepository).named(name)


async def installed(unit: UnitOfWork, tenant_id: TenantId, name: str) -> Begun:
    """Return a tenant that is active, a plugin, and the record of it for the tenant.

    Raises:
        PluginNotFoundError, TenantNotActiveError, TenantNotFoundError: as `tenant_and_plugin` does.
        PluginNotInstalledError: the tenant has never had the plugin.
    """
    tenant, plugin = await tenant_and_plugin(unit, tenant_id, name)
    return tenant, plugin, await unit.repository(TenantPluginRepository).of(tenant_id, plugin)


def new_holder() -> str:
    """Return a name for a worker: where it runs, and something that nobody had before."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(8)}"


def _wanted(plugin: Plugin, installation: TenantPlugin) -> tuple[SchemaMigration, ...]:
    """Return all that the schema will have come through when what is under way is done."""
    version: Version | None = None
    if installation.pending is not None:
        version = installation.pending.version
    if installation.status is TenantPluginStatus.ABANDONING:
        version = installation.installed_version
    return plugin.way_to(version)
