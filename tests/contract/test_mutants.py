"""Twins of the unit of work's promises: with the bug planted, the contract goes red."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import snapshots, tracking
from prismicx.adapters.fields import Kind, fields_of
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork, repository
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.errors import DuplicateEntityError
from prismicx.testing.contracts import UnitOfWorkContract as Contract
from prismicx.testing.contracts import assert_contract_catches

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- The life of a unit. ---


@pytest.fixture
def rollback_that_commits(monkeypatch: Patch) -> None:
    async def commit_instead(self: MemoryUnitOfWork) -> None:
        self._overlay.commit()

    monkeypatch.setattr(MemoryUnitOfWork, "_rollback", commit_instead)


@pytest.mark.usefixtures("rollback_that_commits")
async def test_a_rollback_that_commits(backend: MemoryBackend) -> None:
    await assert_contract_catches(Contract.test_nothing_lasts_without_commit, backend)
    await assert_contract_catches(Contract.test_changes_and_removals_do_not_last_without_commit, backend)
    await assert_contract_catches(Contract.test_rollback_discards_everything_and_ends_the_unit, backend)
    await assert_contract_catches(
        Contract.test_many_units_end_in_every_way_and_the_next_one_works, backend, raising=DuplicateEntityError
    )


@pytest.mark.usefixtures("rollback_that_commits")
async def test_an_error_that_commits(backend: MemoryBackend) -> None:
    await assert_contract_catches(Contract.test_an_error_discards_everything, backend)


async def test_a_failed_commit_that_keeps_a_part(backend: MemoryBackend, monkeypatch: Patch) -> None:
    insert = MemoryUnitOfWork._insert

    async def insert_one_by_one(self: MemoryUnitOfWork, mapping: Any, entities: Sequence[Any]) -> None:
        for entity in entities:
            await insert(self, mapping, (entity,))
            self._overlay.commit()

    monkeypatch.setattr(MemoryUnitOfWork, "_insert", insert_one_by_one)

    await assert_contract_catches(Contract.test_a_failed_commit_leaves_nothing, backend)


async def test_a_commit_that_is_lost(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Overlay, "commit", lambda self: None)

    await assert_contract_catches(Contract.test_what_was_committed_lasts, backend)


async def test_a_commit_that_leaves_the_unit_open(backend: MemoryBackend, monkeypatch: Patch) -> None:
    commit = TrackedUnitOfWork.commit

    async def commit_and_go_on(self: TrackedUnitOfWork) -> None:
        await commit(self)
        self._state = "open"

    monkeypatch.setattr(TrackedUnitOfWork, "commit", commit_and_go_on)

    await assert_contract_catches(Contract.test_commit_ends_the_unit, backend)


async def test_leaving_that_leaves_the_unit_open(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def leave(self: TrackedUnitOfWork, *error: object) -> None:
        await self._rollback()

    monkeypatch.setattr(TrackedUnitOfWork, "__aexit__", leave)

    await assert_contract_catches(Contract.test_leaving_ends_the_unit, backend)


async def test_a_unit_that_can_be_entered_again(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def enter(self: TrackedUnitOfWork) -> TrackedUnitOfWork:
        self._owner, self._state = asyncio.current_task(), "open"
        return self

    monkeypatch.setattr(TrackedUnitOfWork, "__aenter__", enter)

    await assert_contract_catches(Contract.test_a_unit_is_entered_once, backend)


async def test_a_unit_that_works_before_it_is_entered(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "require_open", lambda self: None)

    await assert_contract_catches(Contract.test_a_unit_that_was_not_entered_cannot_be_used, backend)


async def test_a_unit_that_any_task_may_use(backend: MemoryBackend, monkeypatch: Patch) -> None:
    require_open = TrackedUnitOfWork.require_open

    def take_ownership(self: TrackedUnitOfWork) -> None:
        self._owner = asyncio.current_task()
        require_open(self)

    monkeypatch.setattr(TrackedUnitOfWork, "require_open", take_ownership)

    await assert_contract_catches(Contract.test_a_second_task_is_refused, backend)


async def test_a_unit_that_goes_on_after_an_error(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def attempt(self: TrackedUnitOfWork, action: Any) -> Any:
        return await action

    monkeypatch.setattr(TrackedUnitOfWork, "attempt", attempt)

    for test in (
        Contract.test_an_error_of_the_database_breaks_the_unit,
        Contract.test_an_error_that_is_swallowed_in_a_savepoint_still_ends_it,
    ):
        await assert_contract_catches(test, backend, raising=DuplicateEntityError)


async def test_a_read_only_unit_that_writes(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "require_writable", lambda self, operation: None)

    await assert_contract_catches(Contract.test_a_read_only_unit_reads_and_refuses_to_write, backend)


async def test_a_cancellation_that_commits(backend: MemoryBackend, monkeypatch: Patch) -> None:
    rollback = TrackedUnitOfWork.__aexit__

    async def commit_if_cancelled(self: MemoryUnitOfWork, kind: Any, *error: Any) -> None:
        if kind is asyncio.CancelledError:
            self._overlay.commit()
        await rollback(self, kind, *error)

    monkeypatch.setattr(TrackedUnitOfWork, "__aexit__", commit_if_cancelled)

    await assert_contract_catches(Contract.test_cancellation_in_the_middle_leaves_nothing, backend)


async def test_a_cancelled_unit_that_keeps_a_part(backend: MemoryBackend, monkeypatch: Patch) -> None:
    insert = MemoryUnitOfWork._insert

    async def insert_with_pauses(self: MemoryUnitOfWork, mapping: Any, entities: Sequence[Any]) -> None:
        for entity in entities:
            await insert(self, mapping, (entity,))
            self._overlay.commit()
            await asyncio.sleep(0)

    monkeypatch.setattr(MemoryUnitOfWork, "_insert", insert_with_pauses)

    await assert_contract_catches(Contract.test_cancellation_at_any_await_stores_all_or_nothing, backend, turns=1)


async def test_units_without_bounds_to_their_reach(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "_mapping_within_reach", lambda self, kind: self._wiring.mappings[kind])

    await assert_contract_catches(Contract.test_a_tenants_unit_does_not_reach_the_registry, backend)
    await assert_contract_catches(Contract.test_a_unit_of_the_registry_reaches_no_tenant, backend)


# --- What a unit knows. ---


async def test_an_identity_map_that_is_off(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "find", lambda self, kind, identity: None)

    await assert_contract_catches(Contract.test_one_identity_is_one_object, backend)


async def test_a_snapshot_that_is_skipped(backend: MemoryBackend, monkeypatch: Patch) -> None:
    remember_all = Tracker.remember_all

    def remember_without(self: Tracker, entities: Sequence[Any], *, changeable: bool) -> None:
        remember_all(self, entities, changeable=False)

    monkeypatch.setattr(Tracker, "remember_all", remember_without)
    monkeypatch.setattr(
        Tracker, "remember", lambda self, entity, changeable: remember_without(self, (entity,), changeable=changeable)
    )

    await assert_contract_catches(Contract.test_a_change_is_written_without_being_asked_for, backend)
    await assert_contract_catches(Contract.test_every_attribute_can_change, backend)


async def test_structures_that_are_compared_by_reference(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(snapshots, "_compared_by_form", lambda kind: ())

    await assert_contract_catches(Contract.test_a_structure_that_changes_in_place_is_written, backend)


async def test_decimals_that_are_compared_by_value(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def structures_only(kind: Any) -> tuple[tuple[str, Any], ...]:
        return tuple((found.name, found.plain) for found in fields_of(kind) if found.kind is Kind.STRUCTURE)

    monkeypatch.setattr(snapshots, "_compared_by_form", structures_only)

    await assert_contract_catches(Contract.test_a_change_of_a_decimals_scale_is_a_change, backend)


async def test_writes_of_what_did_not_change(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(tracking, "changed_since", lambda entity, before: ("name",))

    await assert_contract_catches(Contract.test_what_did_not_change_is_not_written, backend)


async def test_rows_that_share_their_structures(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(repository, "deepcopy", lambda values: values)

    await assert_contract_catches(Contract.test_a_structure_that_changes_in_place_does_not_last_without_commit, backend)


async def test_queries_that_do_not_flush(backend: MemoryBackend, monkeypatch: Patch) -> None:
    flush = TrackedUnitOfWork.flush

    async def flush_at_commit_only(self: TrackedUnitOfWork) -> None:
        if sys._getframe(1).f_code.co_name == "commit":
            await flush(self)

    monkeypatch.setattr(TrackedUnitOfWork, "flush", flush_at_commit_only)

    await assert_contract_catches(Contract.test_a_query_sees_the_units_own_writes, backend)


async def test_removals_that_are_written_first(backend: MemoryBackend, monkeypatch: Patch) -> None:
    insert, remove = MemoryUnitOfWork._insert, MemoryUnitOfWork._remove

    async def remove_then_insert(self: MemoryUnitOfWork, mapping: Any, entities: Any) -> None:
        for removals in self.tracker.changes().removals.values():
            await remove(self, mapping, removals)
        await insert(self, mapping, entities)

    async def already_removed(self: MemoryUnitOfWork, mapping: Any, removals: Any) -> None:
        """Do nothing: it has been done."""

    monkeypatch.setattr(MemoryUnitOfWork, "_insert", remove_then_insert)
    monkeypatch.setattr(MemoryUnitOfWork, "_remove", already_removed)

    await assert_contract_catches(Contract.test_inserts_are_written_before_removals, backend)
