"""The memory backend, wired up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory.repository import MemoryRepository
from prismicx.adapters.memory.store import Store
from prismicx.adapters.memory.system import MemorySystemRepository, MemorySystemUnitOfWork
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.domain.errors import BackendNotStartedError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import EventHandler, TenantAdmission
from prismicx.domain.system import SystemAccess


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
    ) -> None:
        super().__init__(
            mappings,
            repository_class=MemoryRepository,
            system_repository_class=MemorySystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
        )
        self._store = Store()
        self._running = False

    async def start(self) -> None:
        self._running = True

    async def close(self) -> None:
        self._running = False

    def _system_unit(self, access: SystemAccess) -> MemorySystemUnitOfWork:
        record = self._unit(None, read_only=False)
        return MemorySystemUnitOfWork(access, record=record, wiring=self._system_wiring, store=self._store)

    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> MemoryUnitOfWork:
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        return MemoryUnitOfWork(tenant, read_only=read_only, wiring=self._wiring, store=self._store)
