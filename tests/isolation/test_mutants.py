"""Twins in memory: each wall of the memory backend torn down, and the machine goes red in the profile of CI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.contract.opened import DOORS, opened_memory
from tests.isolation.catching import EVERY_PLACEMENT, assert_machine_catches

from prismicx.adapters.fields import stored_specification
from prismicx.adapters.memory import MemoryBackend, MemoryRepository, MemoryUnitOfWork, store
from prismicx.adapters.memory.mapping import Key, Place, Row, Table
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.writing import Reached
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError
from prismicx.domain.pages import PageQuery
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import Specification
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


def rows_of_all(unit: MemoryUnitOfWork, mapping: EntityMapping) -> list[tuple[Key, Row]]:
    tables = unit._overlay._store.tables.items()
    return [found for place, rows in tables if place.name == mapping.name for found in rows.items()]


@pytest.mark.parametrize("repository", EVERY_PLACEMENT)
async def test_a_tenant_predicate_that_is_missing(backend: MemoryBackend, monkeypatch: Patch, repository: Any) -> None:
    def read_everything(self: Overlay, place: Place, mapping: EntityMapping) -> Table:
        table = Table(tuple(map(tuple, mapping.unique)))
        for key, row in self._store.tables.get(place, {}).items():
            if (place, key) not in self._writes:
                table.put(Key(self._tenant, key.identity), row)
        for (written_place, key), write in self._writes.items():
            if written_place == place:
                table.put(key, write.after)
        return table

    monkeypatch.setattr(store, "place_of", lambda mapping, tenant: Place("everybody's", mapping.name))
    monkeypatch.setattr(Overlay, "_read", read_everything)

    await assert_machine_catches(backend, [repository])


async def test_a_count_that_does_not_name_the_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def count_all(self: MemoryRepository[Any], specification: Specification) -> int:
        unit = self._unit
        assert isinstance(unit, MemoryUnitOfWork)
        return len(rows_of_all(unit, self._mapping))

    monkeypatch.setattr(MemoryRepository, "_count", count_all)

    found = await assert_machine_catches(backend)
    assert found.method.endswith(".count")


async def test_a_write_that_does_not_name_the_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def replace_all(self: Overlay, mapping: EntityMapping, key: Key, row: Row | None, *, version: int) -> None:
        for place, rows in self._store.tables.items():
            for other in [other for other in rows if place.name == mapping.name and other.identity == key.identity]:
                if row is not None:
                    rows[other] = row

    monkeypatch.setattr(Overlay, "replace", replace_all)

    await assert_machine_catches(backend)


async def test_identities_that_tell_of_other_tenants(backend: MemoryBackend, monkeypatch: Patch) -> None:
    insert = Overlay.insert

    def insert_where_nobody_is(self: Overlay, mapping: EntityMapping, key: Key, row: Row) -> None:
        for place, rows in self._store.tables.items():
            if place.name == mapping.name and any(other.identity == key.identity for other in rows):
                raise DuplicateEntityError(mapping.entity.__name__, ("id",))
        insert(self, mapping, key, row)

    monkeypatch.setattr(Overlay, "insert", insert_where_nobody_is)

    found = await assert_machine_catches(backend)
    assert "answered DuplicateEntityError" in found.finding


async def test_unique_keys_that_tell_of_other_tenants(backend: MemoryBackend, monkeypatch: Patch) -> None:
    require = Overlay._require_unique

    def require_of_all(self: Overlay, mapping: EntityMapping, key: Key, row: Row | None) -> None:
        for place, rows in self._store.tables.items():
            if row is not None and place.name == mapping.name:
                codes = {found.values["code"] for other, found in rows.items() if other.tenant != key.tenant}
                if row.values["code"] in codes:
                    raise DuplicateEntityError(mapping.entity.__name__, ("code",))
        require(self, mapping, key, row)

    monkeypatch.setattr(Overlay, "_require_unique", require_of_all)

    await assert_machine_catches(backend)


async def test_a_key_that_finds_another_tenants_row(backend: MemoryBackend, monkeypatch: Patch) -> None:
    row_with = MemoryRepository._row_with

    def row_of_anybody(self: Any, key: tuple[str, ...], values: Mapping[str, Any]) -> Row | None:
        others = [row for _, row in rows_of_all(self._unit, self._mapping)]
        same = (row for row in others if all(row.values[name] == values[name] for name in key))
        return row_with(self, key, values) or next(same, None)

    monkeypatch.setattr(MemoryRepository, "_row_with", row_of_anybody)

    found = await assert_machine_catches(backend, [Widgets])
    assert found.method.endswith((".upsert", ".get_or_create"))


async def test_criteria_that_reach_another_tenants_rows(backend: MemoryBackend, monkeypatch: Patch) -> None:
    update_where = MemoryRepository._update_where

    async def update_everybodys(
        self: Any, asked: Specification, changes: Mapping[str, Any], held: Sequence[UUID]
    ) -> Reached:
        for key, row in rows_of_all(self._unit, self._mapping):
            if key.tenant != self._unit.tenant and stored_specification(self._kind, asked).holds(row.values.get):
                row.values.update(changes)
        return await update_where(self, asked, changes, held)

    monkeypatch.setattr(MemoryRepository, "_update_where", update_everybodys)

    await assert_machine_catches(backend, [Widgets])


async def test_an_identity_map_that_direct_writes_leave_stale(backend: MemoryBackend, monkeypatch: Patch) -> None:
    rewrite = Tracker.rewrite

    def keep_what_is_known(self: Tracker, entity: AggregateRoot, **written: Any) -> None:
        if self.find(type(entity), entity.id) is None:
            rewrite(self, entity, **written)

    monkeypatch.setattr(Tracker, "rewrite", keep_what_is_known)

    await assert_machine_catches(backend, [Widgets])


async def test_unique_keys_that_are_forgotten(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Overlay, "_require_unique", lambda self, mapping, key, row: None)

    await assert_machine_catches(backend)


async def test_a_version_check_that_is_skipped(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def replace(self: Overlay, mapping: EntityMapping, key: Key, row: Row | None, *, version: int) -> None:
        if self.table(mapping).rows.get(key) is None:
            raise ConcurrencyError(mapping.entity.__name__, (key.identity,))
        self._write(mapping, key, row)

    monkeypatch.setattr(Overlay, "replace", replace)

    found = await assert_machine_catches(backend)
    assert "it is ConcurrencyError" in found.finding


async def test_an_identity_map_whose_key_has_no_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    find, remember = Tracker.find, Tracker.remember
    cache: dict[tuple[type[AggregateRoot], UUID], AggregateRoot] = {}

    def remember_for_all(self: Tracker, entity: AggregateRoot, *, changeable: bool) -> None:
        cache[type(entity), entity.id] = entity
        remember(self, entity, changeable=changeable)

    def find_for_all(self: Tracker, kind: type[AggregateRoot], identity: UUID) -> AggregateRoot | None:
        return find(self, kind, identity) or cache.get((kind, identity))

    monkeypatch.setattr(Tracker, "remember", remember_for_all)
    monkeypatch.setattr(Tracker, "find", find_for_all)

    await assert_machine_catches(backend)


async def test_aggregates_that_change_hands(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "claim", lambda self, entities: None)

    await assert_machine_catches(backend)


async def test_cursors_that_cross_over(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(PageQuery, "_context", lambda self, way: b"")

    found = await assert_machine_catches(backend)
    assert found.method.endswith(".page")


async def test_a_rollback_that_commits(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def commit_instead(self: MemoryUnitOfWork) -> None:
        self._overlay.commit()

    monkeypatch.setattr(MemoryUnitOfWork, "_rollback", commit_instead)

    await assert_machine_catches(backend)


# --- A team's own methods. ---


class TellingWidgets(Widgets, MemoryRepository[Widget]):
    """What a team could have written."""

    def _stored(self) -> list[tuple[Key, Row]]:
        unit = self._unit
        assert isinstance(unit, MemoryUnitOfWork)
        return rows_of_all(unit, self._mapping)


class CountsAll(TellingWidgets):
    async def how_many(self) -> int:
        return len(self._stored())


class NamesAll(TellingWidgets):
    async def names(self) -> list[str]:
        return [row.values["name"] for _, row in self._stored()]


class FindsOfAll(TellingWidgets):
    async def priced(self, amount: int) -> list[Widget]:
        return [self._entity(row) for _, row in self._stored() if row.values["amount"] == amount]


class RefusesOfAll(TellingWidgets):
    async def require_free(self, code: str) -> None:
        if any(row.values["code"] == code for _, row in self._stored()):
            raise ValueError("this code is taken")


class CachesWithoutTenant(TellingWidgets):
    known: dict[str, str]

    async def name_of(self, code: str) -> str | None:
        found = await self.by_code(code)
        return self.known.setdefault(code, found.name) if found else None


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (CountsAll, "how_many"),
        (NamesAll, "names"),
        (FindsOfAll, "priced"),
        (RefusesOfAll, "require_free"),
        (CachesWithoutTenant, "name_of"),
    ],
)
async def test_a_query_of_a_teams_own_that_tells_of_other_tenants(kind: type[TellingWidgets], method: str) -> None:
    CachesWithoutTenant.known = {}
    async with MemoryBackend(EXAMPLE_MAPPINGS, repositories={Widgets: kind}, **DOORS) as backend:
        found = await assert_machine_catches(backend, [Widgets])

    assert found.method == f"Widgets.{method}"
    assert found.history
