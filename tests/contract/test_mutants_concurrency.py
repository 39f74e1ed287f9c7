"""Twins of the promises about units that meet, savepoints and events: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import tracking
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.memory.mapping import Row, Table
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.events import DomainEvent
from prismicx.testing.contracts import UnitOfWorkContract as Contract
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.contracts.concurrency import SavepointContract

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- Units that meet. ---


async def test_a_version_check_that_is_missing(backend: MemoryBackend, monkeypatch: Patch) -> None:
    replace = Overlay.replace

    def replace_any(self: Overlay, mapping: Any, key: Any, row: Row | None, *, version: int) -> None:
        present = self.table(mapping).rows.get(key)
        replace(self, mapping, key, row, version=version if present is None else present.version)

    monkeypatch.setattr(Overlay, "replace", replace_any)

    await assert_contract_catches(Contract.test_a_stale_change_is_refused, backend)
    await assert_contract_catches(Contract.test_a_stale_removal_is_refused, backend)
    await assert_contract_catches(Contract.test_a_refused_change_takes_all_others_with_it, backend)
    await assert_contract_catches(Contract.test_of_two_units_that_change_one_aggregate_one_succeeds, backend)
    await assert_contract_catches(Contract.test_a_stale_change_of_a_tenant_is_refused, backend)


async def test_versions_that_stand_still(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(tracking, "renumbered", lambda entities, versions: [entity.version for entity in entities])

    await assert_contract_catches(Contract.test_versions_count_the_writes, backend)


async def test_unique_keys_that_are_forgotten(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Table, "taken_key", lambda self, key, row: None)

    await assert_contract_catches(Contract.test_of_two_units_that_add_one_key_one_succeeds, backend)
    await assert_contract_catches(Contract.test_a_tenant_is_registered_once, backend)


async def test_writes_that_everybody_sees_at_once(backend: MemoryBackend, monkeypatch: Patch) -> None:
    write = Overlay._write

    def write_through(self: Overlay, *arguments: Any) -> None:
        write(self, *arguments)
        self.commit()

    monkeypatch.setattr(Overlay, "_write", write_through)

    await assert_contract_catches(Contract.test_nobody_sees_what_is_not_committed, backend)


# --- Savepoints and events. ---


async def test_a_savepoint_that_keeps_its_writes(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(MemoryUnitOfWork, "_database_savepoint", lambda self: nullcontext())

    await assert_contract_catches(Contract.test_a_savepoint_that_raises_takes_its_own_writes_back, backend)
    await assert_contract_catches(Contract.test_savepoints_nest, backend)


async def test_a_savepoint_that_forgets_what_the_aggregates_were(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "restore", lambda self, memento: None)

    await assert_contract_catches(Contract.test_a_savepoint_that_raises_takes_its_own_writes_back, backend)


async def test_a_savepoint_that_swallows_the_error(backend: MemoryBackend, monkeypatch: Patch) -> None:
    @asynccontextmanager
    async def swallowing(self: TrackedUnitOfWork, database: Any) -> AsyncIterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001  # the bug
            self._state = "open"

    monkeypatch.setattr(TrackedUnitOfWork, "_tracked_savepoint", swallowing)

    await assert_contract_catches(Contract.test_a_unit_goes_on_after_an_error_of_the_database_in_a_savepoint, backend)


async def test_a_unit_that_ends_inside_a_savepoint(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "_refuse_inside_savepoint", lambda self, operation: None)

    await assert_contract_catches(Contract.test_a_unit_does_not_end_inside_a_savepoint, backend)


async def test_savepoints_that_are_pretended(backend: MemoryBackend) -> None:
    class WithoutSavepoints(SavepointContract):
        has_savepoints = False

    await assert_contract_catches(
        Contract.test_a_backend_without_savepoints_says_so, backend, contract=WithoutSavepoints()
    )


async def test_events_that_are_handed_over_without_commit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    rollback = TrackedUnitOfWork.rollback

    async def tell_and_roll_back(self: TrackedUnitOfWork) -> None:
        await self._hand_over_events()
        await rollback(self)

    monkeypatch.setattr(TrackedUnitOfWork, "rollback", tell_and_roll_back)

    await assert_contract_catches(Contract.test_events_are_not_handed_over_without_commit, backend)


async def test_events_in_any_order(backend: MemoryBackend, monkeypatch: Patch) -> None:
    take_events = Tracker.take_events

    def youngest_first(self: Tracker) -> list[DomainEvent]:
        return take_events(self)[::-1]

    monkeypatch.setattr(Tracker, "take_events", youngest_first)

    await assert_contract_catches(Contract.test_events_are_handed_over_after_commit_oldest_first, backend)


async def test_a_failing_handler_that_fails_the_commit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def hand_over(self: TrackedUnitOfWork) -> None:
        assert self._wiring.on_commit is not None
        await self._wiring.on_commit(self.tenant, self.tracker.take_events())

    monkeypatch.setattr(TrackedUnitOfWork, "_hand_over_events", hand_over)

    await assert_contract_catches(
        Contract.test_a_failing_handler_does_not_undo_the_commit, backend, raising=RuntimeError
    )
