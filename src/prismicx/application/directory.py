"""Who may open a unit of work, and where, answered from memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from prismicx.application.refreshing import Refresher, RefreshObserver, UnobservedRefresh
from prismicx.domain.errors import TenantNotActiveError, TenantNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, TenantAdmission
from prismicx.domain.registry_feed import RegistryReading, Standing
from prismicx.domain.tenancy import DatabaseConfig, Tenant, TenantStatus

DEFAULT_MAX_AGE: Final = 5.0
"""Seconds for which a snapshot of the registry answers."""

_REFRESHES: Final = 4  # within the age, so that three may fail before anybody has to wait
_PATIENCE: Final = 5.0  # seconds for a refresh in the background, at least
_WHOLE_AFTER: Final = 60.0  # seconds; what was changed by hand, or restored, counted no revision up


class TenantDirectory(TenantAdmission):
    """The states and places of all tenants as the registry had them `max_age` seconds ago or later.

    While the snapshot is fresh, admitting costs no I/O, for known and for unknown tenants alike; naming tenants that do
    not exist makes nobody read the registry more often. Inside its `async with` block it keeps itself fresh in the
    background, from the first admission on: four times within the age, and at once when the registry pushes a change.
    A refresh reads what has changed since the last one; everything, once a minute.

    Where the snapshot is too old all the same, or there is no block, whoever asks for admission reads the registry
    first, or waits for another who does. So a change made by another process counts for all who ask `max_age` seconds
    later; a change made by this one counts at once, because the services `observe` it. Where the registry cannot be
    read and the snapshot is too old, nobody is admitted: the registry's error is raised.

        async with backend, directory:
            ...
    """

    def __init__(
        self,
        registry: Callable[[], Backend],
        *,
        max_age: float = DEFAULT_MAX_AGE,
        clock: Callable[[], float] = time.monotonic,
        observer: RefreshObserver | None = None,
    ) -> None:
        """Wire it up; nothing is read before the first admission.

        Args:
            registry: returns the backend that holds the registry; a function, because the backend needs this directory.
            max_age: seconds for which a snapshot answers; zero reads the registry for each admission.
            clock: monotonic seconds.
            observer: hears what goes wrong in the background.

        Raises:
            ValueError: `max_age` is negative.
        """
        if not max_age >= 0:
            raise ValueError(f"max_age must not be negative, and is {max_age}")
        self._registry = registry
        self._max_age = max_age
        self._clock = clock
        self._known: dict[TenantId, Standing] = {}
        self._observed: dict[TenantId, Standing] = {}
        self._revision: int | None = None
        self._read_at: float | None = None
        self._whole_at = 0.0
        self._reading = asyncio.Lock()
        self._readings = 0
        self._began_at = 0.0
        self._failure: Exception | None = None
        self._refresher = Refresher(
            self.refresh,
            self._listen,
            interval=max_age / _REFRESHES,
            patience=max(max_age, _PATIENCE),
            observer=observer or UnobservedRefresh(),
        )
        self._is_entered = False

    async def __aenter__(self) -> Self:
        self._is_entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_entered = False
        await self._refresher.stop()

    @property
    def revision(self) -> int | None:
        """The revision of the registry that the snapshot has; `None` before the first reading."""
        return self._revision

    async def admit(self, tenant: TenantId) -> DatabaseConfig | None:
        if not self._is_fresh():
            await self._read_once()
        known = self._known.get(tenant)
        if known is None:
            raise TenantNotFoundError(tenant.value)
        if known.status is not TenantStatus.ACTIVE:
            raise TenantNotActiveError(tenant.value, known.status.value)
        return known.dedicated

    def observe(self, tenant: Tenant) -> None:
        """Take over the state of a tenant whose record this process has just committed."""
        seen = Standing.of(tenant.status, tenant.version, tenant.database_config)
        _keep_newer(self._known, tenant.tenant_id, seen)
        _keep_newer(self._observed, tenant.tenant_id, seen)

    async def refresh(self) -> None:
        """Read what has changed, now.

        Raises:
            DatabaseUnavailableError, ConnectionLostError: the registry does not answer; the snapshot stays as it is.
        """
        async with self._reading:
            await self._read()

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock() - self._read_at < self._max_age

    async def _read_once(self) -> None:
        """Read the registry, or share the outcome of a reading that ended while this task waited for its turn."""
        asked_at, ended_before = self._clock(), self._readings
        async with self._reading:
            if self._readings == ended_before or self._began_at < asked_at - self._max_age:
                await self._read()
        if self._failure is not None:
            raise self._failure
        if self._is_entered and self._max_age > 0:
            self._refresher.start()

    async def _read(self) -> None:
        self._began_at = began_at = self._clock()
        self._observed = {}
        is_old = self._read_at is None or began_at - self._whole_at >= _WHOLE_AFTER
        try:
            reading = await self._registry().registry_feed.read(None if is_old else self._revision)
        except Exception as error:
            self._failure = error
            self._readings += 1
            raise
        self._take(reading)
        self._revision, self._read_at, self._failure = reading.revision, began_at, None
        self._whole_at = began_at if reading.is_whole else self._whole_at
        self._readings += 1

    def _take(self, reading: RegistryReading) -> None:
        if reading.is_whole:
            self._known = {tenant: standing for tenant, standing in reading.standings.items() if standing is not None}
        else:
            for tenant, standing in reading.standings.items():
                if standing is None:
                    self._known.pop(tenant, None)
                else:
                    _keep_newer(self._known, tenant, standing)
        for tenant, standing in self._observed.items():  # committed while the registry was being read
            _keep_newer(self._known, tenant, standing)

    async def _listen(self, wake: Callable[[], None]) -> None:
        await self._registry().registry_feed.listen(wake)


def _keep_newer(known: dict[TenantId, Standing], tenant: TenantId, seen: Standing) -> None:
    before = known.get(tenant)
    if before is None or before.version <= seen.version:
        known[tenant] = seen
