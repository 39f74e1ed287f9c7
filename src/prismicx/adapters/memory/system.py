"""Work over all tenants in memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from prismicx.adapters.fields import stored_specification
from prismicx.adapters.memory.mapping import Row
from prismicx.adapters.memory.repository import MemoryRepository
from prismicx.adapters.memory.specification import matching
from prismicx.adapters.memory.store import Store, SystemOverlay
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.adapters.system import SystemRepository, TrackedSystemUnit
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.entity import stamp
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import RootT
from prismicx.domain.specification import TENANT, Specification
from prismicx.domain.system import SystemAccess


class MemorySystemUnitOfWork(TrackedSystemUnit, MemoryUnitOfWork):
    """A unit of work over the rows of all tenants in memory."""

    def __init__(self, access: SystemAccess, *, record: TrackedUnitOfWork, wiring: Wiring, store: Store) -> None:
        super().__init__(access, record=record, wiring=wiring, store=store)
        self._overlay = SystemOverlay(store, None)


class MemorySystemRepository(SystemRepository[RootT], MemoryRepository[RootT]):
    """The aggregates of one kind that all tenants have in memory; their rows hold the tenant."""

    def _identity(self, row: Any) -> Hashable:
        return self._tenant_of(row), row.values["id"]

    def _entity(self, row: Any) -> RootT:
        attributes = {name: value for name, value in row.values.items() if name != TENANT}
        entity = super()._entity(Row(row.version, attributes))
        return stamp(entity, version=row.version, tenant=self._tenant_of(row))

    def _matching(self, specification: Specification) -> list[Row]:
        rows = [
            Row(row.version, row.values if key.tenant is None else {**row.values, TENANT: key.tenant.value})
            for key, row in self._rows_in_sight.items()
        ]
        return matching(rows, stored_specification(self._kind, specification))

    @staticmethod
    def _tenant_of(row: Row) -> TenantId | None:
        return TenantId(row.values[TENANT]) if TENANT in row.values else None
