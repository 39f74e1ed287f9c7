"""The memory backend, wired up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory.outbox import MemoryOutbox
from prismicx.adapters.memory.registry_feed import MemoryRegistryFeed
from prismicx.adapters.memory.repository import MemoryRepository
from prismicx.adapters.memory.store import Store
from prismicx.adapters.memory.system import MemorySystemRepository, MemorySystemUnitOfWork
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.adapters.terms import WRITING, Terms
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.errors import BackendNotStartedError
from prismicx.domain.health import DEFAULT_PATIENCE, Health
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import EventHandler, TenantAdmission
from prismicx.domain.system import SystemAccess
from prismicx.domain.telemetry import Telemetry


class MemoryBackend(TrackedBackend):
    """Units of work in memory, for the unit tests of services.

    It keeps unique keys, versions, tenants and rollback as the databases do. What it holds ends with it. It has no
    logins, so system units of work need none.
    """

    def __init__(
        self,
        mappings: Sequence[EntityMapping],
        *,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        admission: TenantAdmission | None = None,
        on_commit: EventHandler | None = None,
        outbox: bool = False,
        telemetry: Telemetry | None = None,
        cursor_keys: CursorKeys | None = None,
    ) -> None:
        super().__init__(
            mappings,
            repository_class=MemoryRepository,
            system_repository_class=MemorySystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
            outbox=outbox,
            telemetry=telemetry,
            cursor_keys=cursor_keys,
        )
        self._store = Store()
        self._running = False

    async def start(self) -> None:
        self._running = True

    async def close(self) -> None:
        self._running = False

    async def health(self, *, patience: float = DEFAULT_PATIENCE) -> Health:
        if not self._running:
            return Health(type(self).__name__, "memory", reachable=False, problems=("it has not been started",))
        return Health(type(self).__name__, "memory", reachable=True, latency=0.0, prepared=True, transactions=True)

    @property
    def registry_feed(self) -> MemoryRegistryFeed:
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        return MemoryRegistryFeed(self._store)

    def _outbox(self) -> MemoryOutbox:
        return MemoryOutbox(self._store.outbox)

    def _system_unit(self, access: SystemAccess) -> MemorySystemUnitOfWork:
        record = self._unit(None, terms=WRITING)
        return MemorySystemUnitOfWork(access, record=record, wiring=self._system_wiring, store=self._store)

    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> MemoryUnitOfWork:
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        return MemoryUnitOfWork(tenant, terms=terms, wiring=self._wiring, store=self._store)
