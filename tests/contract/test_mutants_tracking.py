"""Further twins of what a unit knows and what becomes of its writes: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import tracking
from prismicx.adapters.change_set import Changes
from prismicx.adapters.fields import fields_of
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.memory.mapping import Key, Row
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.tracking import Tracker
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, EntityNotFoundError, UnitOfWorkClosedError
from prismicx.domain.events import DomainEvent
from prismicx.domain.placement import EntityMapping
from prismicx.testing.contracts import UnitOfWorkContract as Contract
from prismicx.testing.contracts import assert_contract_catches

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- What was added and removed. ---


async def test_additions_that_are_not_found_by_their_unit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "find", lambda self, kind, identity: None)

    await assert_contract_catches(
        Contract.test_what_is_added_is_the_object_that_is_found, backend, raising=EntityNotFoundError
    )


async def test_additions_that_are_all_taken_for_new(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def add_anew(self: Tracker, entities: Sequence[AggregateRoot]) -> None:
        self.remember_all(entities, changeable=False)
        for entity in entities:
            self._held[type(entity)].added[entity.id] = entity

    monkeypatch.setattr(Tracker, "add", add_anew)

    for test in (
        Contract.test_adding_the_same_object_twice_adds_it_once,
        Contract.test_two_objects_of_one_identity_are_refused,
        Contract.test_adding_what_was_removed_keeps_it,
    ):
        await assert_contract_catches(test, backend, raising=DuplicateEntityError)


async def test_additions_whose_later_changes_are_not_looked_for(backend: MemoryBackend, monkeypatch: Patch) -> None:
    written = Tracker.written

    def written_for_good(self: Tracker, changes: Changes, *, last: bool) -> None:
        written(self, changes, last=last)
        for added in changes.inserts.values():
            for entity in added:
                self.remember(entity, changeable=False)

    monkeypatch.setattr(Tracker, "written", written_for_good)

    await assert_contract_catches(
        Contract.test_an_added_aggregate_that_changes_before_the_flush_is_written_as_it_is_then, backend
    )


async def test_removals_that_their_unit_forgets(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "is_removed", lambda self, kind, identity: False)

    await assert_contract_catches(Contract.test_what_was_removed_is_gone_for_the_unit, backend)


async def test_removals_of_what_was_never_written(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def mark(self: Tracker, entity: AggregateRoot) -> None:
        held = self._held[type(entity)]
        held.removed[entity.id] = held.present.pop(entity.id)
        held.added.clear()

    monkeypatch.setattr(Tracker, "remove", mark)

    await assert_contract_catches(
        Contract.test_what_was_added_and_removed_was_never_there, backend, raising=ConcurrencyError
    )


async def test_removals_that_keep_their_identity(backend: MemoryBackend, monkeypatch: Patch) -> None:
    written = Tracker.written

    def written_and_kept(self: Tracker, changes: Changes, *, last: bool) -> None:
        written(self, changes, last=last)
        for removals in changes.removals.values():
            for removal in removals:
                self._held[type(removal.entity)].removed[removal.entity.id] = removal.entity

    monkeypatch.setattr(Tracker, "written", written_and_kept)

    await assert_contract_catches(
        Contract.test_an_identity_is_free_again_once_its_removal_is_written, backend, raising=DuplicateEntityError
    )


async def test_changes_that_are_not_checked_before_they_are_written(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def unchecked(entity: AggregateRoot, before: Any) -> tuple[str, ...]:
        return tuple(found.name for found in fields_of(type(entity)))

    monkeypatch.setattr(tracking, "changed_since", unchecked)

    await assert_contract_catches(
        Contract.test_a_change_to_what_cannot_be_stored_is_refused_and_can_be_taken_back,
        backend,
        raising=UnitOfWorkClosedError,
    )


async def test_last_words_that_nobody_hears(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def of_the_living(self: Tracker) -> list[DomainEvent]:
        living = [entity for held in self._held.values() for entity in held.present.values()]
        return [event for entity in living for event in entity.take_events()]

    monkeypatch.setattr(Tracker, "take_events", of_the_living)

    await assert_contract_catches(Contract.test_a_removed_aggregates_last_words_are_handed_over, backend)


# --- Units that meet, and savepoints. ---


async def test_a_change_that_brings_back_what_is_gone(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def write(self: Overlay, mapping: EntityMapping, key: Key, row: Row | None, *, version: int) -> None:
        self._write(mapping, key, row)

    async def update(self: MemoryUnitOfWork, mapping: EntityMapping, updates: Any) -> None:
        await self._insert(mapping, [update.entity for update in updates])

    monkeypatch.setattr(Overlay, "replace", write)
    monkeypatch.setattr(MemoryUnitOfWork, "_update", update)

    await assert_contract_catches(Contract.test_a_change_of_what_is_gone_is_refused, backend)


async def test_a_savepoint_that_takes_back_what_ended_well(backend: MemoryBackend, monkeypatch: Patch) -> None:
    @asynccontextmanager
    async def taken_back(self: MemoryUnitOfWork) -> AsyncIterator[None]:
        before = self._overlay.fork()
        try:
            yield
        finally:
            self._overlay.restore(before)

    monkeypatch.setattr(MemoryUnitOfWork, "_forked", taken_back)

    await assert_contract_catches(Contract.test_a_savepoint_that_ends_well_lasts_with_its_unit, backend)


async def test_a_savepoint_whose_removals_stay(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "restore", lambda self, memento: None)

    await assert_contract_catches(
        Contract.test_a_removal_in_a_savepoint_that_raises_is_taken_back, backend, raising=EntityNotFoundError
    )
