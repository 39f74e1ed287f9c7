"""Repositories over rows in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from copy import deepcopy
from typing import Any, cast
from uuid import UUID

from prismicx.adapters.fields import entity_from, stored_specification
from prismicx.adapters.memory.mapping import Key, Row
from prismicx.adapters.memory.specification import matching, ordered
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.adapters.repository import TrackedRepository
from prismicx.domain.ports import RootT
from prismicx.domain.specification import Order, Specification

_BATCH = 100


class MemoryRepository(TrackedRepository[RootT]):
    """The aggregates of one kind that one tenant has in memory."""

    @property
    def _rows_in_sight(self) -> dict[Key, Row]:
        unit = cast("MemoryUnitOfWork", self._unit)  # made by this unit
        return unit.table(self._mapping).rows

    async def _row(self, identity: UUID) -> Row | None:
        return self._rows_in_sight.get(Key(self._unit.tenant, identity))

    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Row]:
        return ordered(self._matching(specification), order)[:limit]

    async def _batches(
        self, specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Row], None]:
        rows = ordered(self._matching(specification), order)
        for start in range(0, len(rows), _BATCH):
            yield rows[start : start + _BATCH]

    async def _count(self, specification: Specification) -> int:
        return len(self._matching(specification))

    async def _any(self, specification: Specification) -> bool:
        return bool(self._matching(specification))

    def _identity(self, row: Any) -> Hashable:
        return cast("UUID", row.values["id"])  # every entity's

    def _entity(self, row: Any) -> RootT:
        # A copy: what changes inside an untyped structure must not change the row.
        return entity_from(self._kind, deepcopy(row.values), version=row.version, tenant=self._unit.tenant)

    def _matching(self, specification: Specification) -> list[Row]:
        return matching(self._rows_in_sight.values(), stored_specification(self._kind, specification))
