"""Twins of the promises about writing by key and by criteria: with the bug planted, the contract goes red."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import writing
from prismicx.adapters.memory import MemoryBackend, MemoryRepository, MemoryUnitOfWork, mapping
from prismicx.adapters.memory.mapping import Key, Row, Table
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.writing import Reached, Writing
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, MappingError
from prismicx.domain.specification import Specification
from prismicx.testing.contracts import RepositoryContract as Contract
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


async def test_direct_writes_that_raise_no_version(backend: MemoryBackend, monkeypatch: Patch) -> None:
    put = MemoryUnitOfWork.put

    def keep_version(self: MemoryUnitOfWork, kind: Any, key: Key, row: Row | None) -> None:
        present = self.table(kind).rows.get(key)
        put(self, kind, key, Row(present.version, row.values) if present and row else row)

    monkeypatch.setattr(MemoryUnitOfWork, "put", keep_version)

    for test in (
        Contract.test_an_upsert_overwrites_all_but_the_id_of_what_has_the_key,
        Contract.test_an_upsert_by_identity_overwrites_whatever_version_is_stored,
        Contract.test_all_that_meet_the_criteria_are_changed_and_no_others,
    ):
        await assert_contract_catches(test, backend, raising=ConcurrencyError)


async def test_an_identity_map_that_direct_writes_leave_stale(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "rewrite", lambda self, entity, version, attributes=None: None)

    await assert_contract_catches(Contract.test_an_upsert_adds_what_is_not_there, backend, on="code")
    for test in (
        Contract.test_what_the_unit_holds_stays_one_object,
        Contract.test_get_or_create_adds_what_is_not_there,
        Contract.test_what_the_unit_holds_is_brought_up_to_date,
    ):
        await assert_contract_catches(test, backend, raising=ConcurrencyError)


async def test_a_stale_aggregate_that_is_taken_for_fresh(backend: MemoryBackend, monkeypatch: Patch) -> None:
    update_where = MemoryRepository._update_where

    async def reach_all(self: Any, asked: Specification, changes: Mapping[str, Any], held: Sequence[Any]) -> Reached:
        reached = await update_where(self, asked, changes, held)
        return Reached(reached.rows, {each.id: each.version + 1 for each in self._unit.tracker.held(self._kind)})

    monkeypatch.setattr(MemoryRepository, "_update_where", reach_all)

    for amount in (1, 2):
        await assert_contract_catches(
            Contract.test_what_somebody_else_has_changed_stays_stale, backend, amount=amount, raising=ConcurrencyError
        )


async def test_aggregates_that_outlive_their_deletion(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "lose", lambda self, entity: None)

    await assert_contract_catches(Contract.test_what_was_deleted_is_forgotten, backend)


async def test_direct_writes_that_do_not_flush(backend: MemoryBackend, monkeypatch: Patch) -> None:
    flush = TrackedUnitOfWork.flush

    async def flush_at_commit_only(self: TrackedUnitOfWork) -> None:
        if sys._getframe(1).f_code.co_name == "commit":
            await flush(self)

    monkeypatch.setattr(TrackedUnitOfWork, "flush", flush_at_commit_only)

    await assert_contract_catches(Contract.test_what_is_pending_is_written_first, backend)
    await assert_contract_catches(Contract.test_what_is_pending_is_reached_too, backend)


async def test_two_statements_in_place_of_one(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def find_then_add(self: Any, aggregate: Widget, *, on: object = None) -> tuple[Widget, bool]:
        found = await self.find_one(Widget.code == aggregate.code)
        await asyncio.sleep(0)  # as long as it takes to send the second one
        if found is not None:
            return found, False
        self.add(aggregate)
        return aggregate, True

    async def find_then_write(self: Any, aggregate: Widget, *, on: object = None) -> Widget:
        written, _ = await find_then_add(self, aggregate)
        written.amount += 1
        return written

    monkeypatch.setattr(MemoryRepository, "get_or_create", find_then_add)
    monkeypatch.setattr(MemoryRepository, "upsert", find_then_write)

    for how in ("upsert", "get_or_create"):
        await assert_contract_catches(
            Contract.test_of_many_at_once_none_fails_and_one_row_is_left,
            backend,
            how=how,
            raising=DuplicateEntityError,
        )


async def test_a_get_or_create_that_writes_what_is_there(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def write_it(self: Any, key: tuple[str, ...], values: Mapping[str, Any]) -> Row | None:
        is_new = self._row_with(key, values) is None
        await self._upsert(key, values)
        return None if is_new else self._row_with(key, values)

    monkeypatch.setattr(MemoryRepository, "_get_or_insert", write_it)

    await assert_contract_catches(Contract.test_get_or_create_returns_what_is_there_and_writes_nothing, backend)


async def test_events_that_an_upsert_loses(backend: MemoryBackend, monkeypatch: Patch) -> None:
    upsert = Writing.upsert

    async def silently(self: Any, aggregate: Widget, *, on: object = None) -> Any:
        aggregate.take_events()
        return await upsert(self, aggregate, on=on)

    monkeypatch.setattr(Writing, "upsert", silently)

    await assert_contract_catches(Contract.test_events_go_with_what_is_written, backend)


async def test_keys_that_nobody_has_declared(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(writing, "unique_key", lambda mapping, on: ("code",))

    await assert_contract_catches(Contract.test_what_is_no_unique_key_is_refused_before_anything_is_written, backend)


async def test_direct_writes_that_collide_unnoticed(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Table, "taken_key", lambda self, key, row: None)

    await assert_contract_catches(Contract.test_another_key_that_is_taken_is_refused, backend)
    await assert_contract_catches(Contract.test_a_key_that_is_taken_is_refused, backend)


async def test_keys_that_find_nothing(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Table, "owner", lambda self, attributes, key, row: None)

    await assert_contract_catches(
        Contract.test_keys_of_the_registry_are_everybodys, backend, raising=DuplicateEntityError
    )


async def test_direct_writes_that_do_not_name_the_tenant(backend: MemoryBackend, monkeypatch: Patch) -> None:
    entry = mapping._entry

    def of_anybody(key: Key, attributes: tuple[str, ...], row: Row) -> Any:
        return entry(Key(None, key.identity), attributes, row)

    monkeypatch.setattr(mapping, "_entry", of_anybody)
    monkeypatch.setattr(Overlay, "_sees", lambda self, key: True)

    for how in ("upsert", "get_or_create"):
        await assert_contract_catches(
            Contract.test_the_key_is_the_tenants_own, backend, how=how, raising=DuplicateEntityError
        )
    await assert_contract_catches(Contract.test_another_tenants_are_not_reached, backend, raising=DuplicateEntityError)


async def test_direct_writes_of_aggregates_that_change_hands(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "claim", lambda self, entities: None)

    await assert_contract_catches(Contract.test_an_aggregate_of_another_tenant_is_not_written, backend)


async def test_direct_writes_that_everybody_sees_at_once(backend: MemoryBackend, monkeypatch: Patch) -> None:
    put = Overlay.put

    def write_through(self: Overlay, *arguments: Any) -> None:
        put(self, *arguments)
        self.commit()

    monkeypatch.setattr(Overlay, "put", write_through)

    await assert_contract_catches(Contract.test_it_does_not_last_without_commit, backend)
    await assert_contract_catches(Contract.test_a_write_by_criteria_does_not_last_without_commit, backend)


async def test_direct_writes_of_a_read_only_unit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Writing, "_require_writing", lambda self, operation: None)

    await assert_contract_catches(Contract.test_a_read_only_unit_refuses_to_write_by_key, backend)
    await assert_contract_catches(Contract.test_a_read_only_unit_refuses_to_write_by_criteria, backend)


async def test_criteria_that_writes_do_not_look_at(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(MemoryRepository, "_matching", lambda self, asked: list(self._rows_in_sight.values()))

    await assert_contract_catches(Contract.test_all_that_meet_the_criteria_are_changed_and_no_others, backend)
    await assert_contract_catches(Contract.test_all_that_meet_the_criteria_are_deleted_and_no_others, backend)


async def test_nulls_that_are_no_new_values(backend: MemoryBackend, monkeypatch: Patch) -> None:
    update_where = MemoryRepository._update_where

    async def without_nulls(self: Any, asked: Specification, changes: Mapping[str, Any], held: Any) -> Reached:
        given = {name: value for name, value in changes.items() if value is not None}
        return await update_where(self, asked, given, held)

    monkeypatch.setattr(MemoryRepository, "_update_where", without_nulls)

    await assert_contract_catches(Contract.test_every_attribute_can_be_given_a_new_value, backend)


async def test_everything_that_is_meant_by_nothing(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Writing, "_given", Writing._checked)

    await assert_contract_catches(Contract.test_everything_has_to_be_said, backend)


async def test_new_values_that_are_not_checked(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(writing, "checked_changes", lambda kind, changes: dict(changes))

    await assert_contract_catches(
        Contract.test_what_an_attribute_does_not_take_is_refused_before_anything_is_written,
        backend,
        raising=(KeyError, MappingError),
    )
