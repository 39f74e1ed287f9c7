"""Twins of the promises about tenants: with the wall torn down, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork, store
from prismicx.adapters.memory.mapping import Key, Place, Row, Table
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.terms import terms_of
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.errors import DuplicateEntityError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.pages import PageQuery
from prismicx.domain.placement import EntityMapping
from prismicx.testing.contracts import TenancyContract, assert_contract_catches
from prismicx.testing.contracts.tenancy import IN_TENANT_DATABASE, IN_TENANT_SCHEMA, SHARED, Kept
from prismicx.testing.examples import EXAMPLE_MAPPINGS

Patch = pytest.MonkeyPatch

_EVERY_PLACEMENT = pytest.mark.parametrize("kept", [SHARED, IN_TENANT_SCHEMA, IN_TENANT_DATABASE])


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
def one_place_for_all_tenants(monkeypatch: Patch) -> None:
    """The namespace no longer says whose it is, and neither does any statement."""

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


@_EVERY_PLACEMENT
@pytest.mark.usefixtures("one_place_for_all_tenants")
async def test_a_tenant_predicate_that_is_missing(backend: MemoryBackend, kept: Kept) -> None:
    await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, backend, kept=kept)
    await assert_contract_catches(TenancyContract.test_every_tenant_sees_its_own, backend, kept=kept)
    await assert_contract_catches(TenancyContract.test_units_of_two_tenants_do_not_mix, backend)


@_EVERY_PLACEMENT
async def test_a_write_that_does_not_name_the_tenant(backend: MemoryBackend, monkeypatch: Patch, kept: Kept) -> None:
    def replace(self: Overlay, mapping: EntityMapping, key: Key, row: Row | None, *, version: int) -> None:
        for place, rows in self._store.tables.items():
            for other, found in tuple(rows.items()):
                if place.name == mapping.name and other.identity == key.identity:
                    rows[other] = Row(version + 1, found.values | {"name": "stolen"})

    monkeypatch.setattr(Overlay, "replace", replace)

    await assert_contract_catches(
        TenancyContract.test_a_disguised_aggregate_of_another_tenant_changes_and_removes_nothing, backend, kept=kept
    )


@_EVERY_PLACEMENT
async def test_keys_that_tell_of_other_tenants(backend: MemoryBackend, monkeypatch: Patch, kept: Kept) -> None:
    insert = Overlay.insert

    def insert_where_nobody_is(self: Overlay, mapping: EntityMapping, key: Key, row: Row) -> None:
        for rows in self._store.tables.values():
            if any(other.identity == key.identity for other in rows):
                raise DuplicateEntityError(mapping.entity.__name__, ("id",))
        insert(self, mapping, key, row)

    monkeypatch.setattr(Overlay, "insert", insert_where_nobody_is)

    await assert_contract_catches(
        TenancyContract.test_another_tenant_has_its_own_identities_and_keys,
        backend,
        kept=kept,
        raising=DuplicateEntityError,
    )


@_EVERY_PLACEMENT
async def test_aggregates_that_change_hands(backend: MemoryBackend, monkeypatch: Patch, kept: Kept) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "claim", lambda self, entities: None)

    await assert_contract_catches(
        TenancyContract.test_nothing_of_another_tenant_is_added_or_removed, backend, kept=kept
    )


async def test_an_ambient_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    begin, ambient = MemoryUnitOfWork._begin, dict[str, TenantId | None]()

    async def remember_the_last(self: MemoryUnitOfWork) -> None:
        await begin(self)
        ambient["tenant"] = self._tenant

    monkeypatch.setattr(MemoryUnitOfWork, "_begin", remember_the_last)
    monkeypatch.setattr(MemoryUnitOfWork, "tenant", property(lambda self: ambient["tenant"]))
    monkeypatch.setattr(
        Overlay, "_tenant", property(lambda self: ambient["tenant"], lambda self, _: None), raising=False
    )

    await assert_contract_catches(TenancyContract.test_units_of_two_tenants_do_not_mix, backend)


async def test_a_commit_of_one_placement_only(backend: MemoryBackend, monkeypatch: Patch) -> None:
    commit = Overlay.commit

    def commit_what_is_shared(self: Overlay) -> None:
        self._writes = {key: write for key, write in self._writes.items() if key[0].namespace == "public"}
        commit(self)

    monkeypatch.setattr(Overlay, "commit", commit_what_is_shared)

    await assert_contract_catches(TenancyContract.test_one_commit_spans_all_placements_of_a_tenant, backend)


async def test_cursors_that_cross_over(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(PageQuery, "_context", lambda self, way: b"")

    await assert_contract_catches(TenancyContract.test_a_cursor_of_another_tenant_is_refused, backend)


async def test_a_door_that_asks_for_no_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def open_to_all(self: Any, tenant: Any, *, read_only: bool = False) -> Any:
        return self._unit(tenant, terms=terms_of(read_only=read_only))

    monkeypatch.setattr(TrackedBackend, "unit_of_work", open_to_all)

    await assert_contract_catches(TenancyContract.test_no_tenant_is_refused, backend)
    await assert_contract_catches(TenancyContract.test_what_is_not_a_tenant_id_is_refused, backend)


async def test_a_door_that_admits_everybody() -> None:
    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend:
        await assert_contract_catches(TenancyContract.test_an_unknown_tenant_does_not_get_in, backend)
        await assert_contract_catches(TenancyContract.test_a_suspended_tenant_does_not_get_in, backend)
