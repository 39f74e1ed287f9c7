"""Repositories over rows in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from contextlib import aclosing
from copy import deepcopy
from typing import Any, cast
from uuid import UUID

from prismicx.adapters.change_set import FIRST_VERSION
from prismicx.adapters.fields import entity_from, stored_specification
from prismicx.adapters.memory.mapping import Key, Row
from prismicx.adapters.memory.specification import matching, ordered
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.writing import Reached, Stored
from prismicx.domain.errors import DuplicateEntityError
from prismicx.domain.ports import RootT
from prismicx.domain.specification import Order, Specification

_BATCH = 100


class MemoryRepository(TrackedRepository[RootT]):
    """The aggregates of one kind that one tenant has in memory."""

    @property
    def _memory_unit(self) -> MemoryUnitOfWork:
        return cast("MemoryUnitOfWork", self._unit)  # made by this unit

    @property
    def _rows_in_sight(self) -> dict[Key, Row]:
        return self._memory_unit.table(self._mapping).rows

    async def _row(self, identity: UUID) -> Row | None:
        return self._rows_in_sight.get(Key(self._unit.tenant, identity))

    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Row]:
        return ordered(self._matching(specification), order)[:limit]

    async def _projected(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Mapping[str, Any]]:
        return [_copied(row, names) for row in await self._rows(specification, order, limit)]

    async def _projected_batches(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Mapping[str, Any]], None]:
        async with aclosing(self._batches(specification, order)) as batches:
            async for rows in batches:
                yield [_copied(row, names) for row in rows]

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

    async def _upsert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Stored:
        known = self._row_with(key, values)
        if known is None:
            self._put_new(values)
            return Stored(values["id"], FIRST_VERSION)
        written = Stored(known.values["id"], known.version + 1)
        self._put(written.identity, Row(written.version, {**values, "id": written.identity}))
        return written

    async def _get_or_insert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Row | None:
        known = self._row_with(key, values)
        if known is None:
            self._put_new(values)
        return known

    async def _update_where(
        self, specification: Specification, changes: Mapping[str, Any], held: Sequence[UUID]
    ) -> Reached:
        met = [Row(row.version + 1, {**row.values, **deepcopy(changes)}) for row in self._matching(specification)]
        for row in met:
            self._put(row.values["id"], row)
        return _reached(met, held)

    async def _delete_where(self, specification: Specification, held: Sequence[UUID]) -> Reached:
        met = self._matching(specification)
        for row in met:
            self._put(row.values["id"], None)
        return _reached(met, held)

    def _identity(self, row: Any) -> Hashable:
        return cast("UUID", row.values["id"])  # every entity's

    def _version(self, row: Any) -> int:
        return cast("Row", row).version  # of this repository's rows

    def _plain(self, row: Any, names: tuple[str, ...]) -> Sequence[Any]:
        return [row.values[name] for name in names]

    def _entity(self, row: Any) -> RootT:
        # A copy: what changes inside an untyped structure must not change the row.
        return entity_from(self._kind, deepcopy(row.values), version=row.version, tenant=self._unit.tenant)

    def _row_with(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Row | None:
        table = self._memory_unit.table(self._mapping)
        owner = table.owner(key, Key(self._unit.tenant, values["id"]), Row(FIRST_VERSION, dict(values)))
        return None if owner is None else table.rows[owner]

    def _put_new(self, values: Mapping[str, Any]) -> None:
        if Key(self._unit.tenant, values["id"]) in self._rows_in_sight:
            raise DuplicateEntityError(self._kind.__name__, ("id",))
        self._put(values["id"], Row(FIRST_VERSION, dict(values)))

    def _put(self, identity: UUID, row: Row | None) -> None:
        self._memory_unit.put(self._mapping, Key(self._unit.tenant, identity), row)

    def _matching(self, specification: Specification) -> list[Row]:
        return matching(self._rows_in_sight.values(), stored_specification(self._kind, specification))


def _reached(rows: Sequence[Row], held: Sequence[UUID]) -> Reached:
    asked = set(held)
    return Reached(len(rows), {row.values["id"]: row.version for row in rows if row.values["id"] in asked})


def _copied(row: Row, names: tuple[str, ...]) -> Mapping[str, Any]:
    return {name: deepcopy(row.values[name]) for name in names}
