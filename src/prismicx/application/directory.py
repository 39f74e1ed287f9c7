"""Who may open a unit of work, and where, answered from memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from prismicx.domain.errors import TenantNotActiveError, TenantNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend, TenantAdmission
from prismicx.domain.registry import TenantRepository
from prismicx.domain.tenancy import DatabaseConfig, Tenant, TenantStatus

DEFAULT_MAX_AGE: Final = 5.0
"""Seconds for which a snapshot of the registry answers."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A tenant's state and dedicated database, if it has one, and the version of its record that said so."""

    status: TenantStatus
    version: int
    dedicated: DatabaseConfig | None

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        place = tenant.database_config
        return cls(tenant.status, tenant.version, place if place.type == "dedicated" else None)


class TenantDirectory(TenantAdmission):
    """The states and places of all tenants as the registry had them `max_age` seconds ago or later.

    While the snapshot is fresh, admitting costs no I/O, for known and for unknown tenants alike; naming tenants that do
    not exist makes nobody read the registry more often. An older one is read anew by one task, while the others wait
    for it. So a change made by another process counts after at most `max_age` seconds and one reading of the registry;
    a change made by this one counts at once, because the services `observe` it.

    Where the registry cannot be read and the snapshot is too old, nobody is admitted: the registry's error is raised.
    """

    def __init__(
        self,
        registry: Callable[[], Backend],
        *,
        max_age: float = DEFAULT_MAX_AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire it up; nothing is read before the first admission.

        Args:
            registry: returns the backend that holds the registry; a function, because the backend needs this directory.
            max_age: seconds for which a snapshot answers; zero reads the registry for each admission.
            clock: monotonic seconds.

        Raises:
            ValueError: `max_age` is negative.
        """
        if not max_age >= 0:
            raise ValueError(f"max_age must not be negative, and is {max_age}")
        self._registry = registry
        self._max_age = max_age
        self._clock = clock
        self._known: dict[TenantId, _Known] = {}
        self._observed: dict[TenantId, _Known] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._readings = 0
        self._failure: Exception | None = None

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
        seen = _Known.of(tenant)
        _keep_newer(self._known, tenant.tenant_id, seen)
        _keep_newer(self._observed, tenant.tenant_id, seen)

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock() - self._read_at < self._max_age

    async def _read_once(self) -> None:
        """Read the registry, or share the outcome of the reading that ended while this task waited for its turn."""
        asked_at = self._readings
        async with self._reading:
            if self._readings == asked_at:
                await self._read()
        if self._failure is not None:
            raise self._failure

    async def _read(self) -> None:
        started_at = self._clock()
        self._observed = {}
        try:
            known = await self._states()
        except Exception as error:
            self._failure = error
            self._readings += 1
            raise
        for tenant_id, seen in self._observed.items():  # committed while the registry was being read
            _keep_newer(known, tenant_id, seen)
        self._known, self._read_at, self._failure = known, started_at, None
        self._readings += 1

    async def _states(self) -> dict[TenantId, _Known]:
        async with self._registry().registry(read_only=True) as unit:
            tenants = unit.repository(TenantRepository).stream()
            return {tenant.tenant_id: _Known.of(tenant) async for tenant in tenants}


def _keep_newer(known: dict[TenantId, _Known], tenant_id: TenantId, seen: _Known) -> None:
    before = known.get(tenant_id)
    if before is None or before.version <= seen.version:
        known[tenant_id] = seen
