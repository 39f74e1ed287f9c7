"""Twins of the repository's promises: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import tracking
from prismicx.adapters.fields import entity_from
from prismicx.adapters.memory import MemoryBackend, MemoryRepository, repository
from prismicx.adapters.memory.mapping import Row, Table
from prismicx.adapters.memory.specification import matching
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.tracking import Tracker
from prismicx.domain import attribute, criteria
from prismicx.domain.errors import MappingError
from prismicx.domain.following import Following
from prismicx.domain.pages import PageQuery
from prismicx.domain.specification import Comparison, Order, Specification
from prismicx.testing.contracts import RepositoryContract, SpecificationContract, assert_contract_catches
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- The collection. ---


async def test_unique_keys_that_are_forgotten(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Table, "taken_key", lambda self, key, row: None)

    await assert_contract_catches(RepositoryContract.test_a_unique_key_is_taken_once, backend)
    await assert_contract_catches(
        RepositoryContract.test_a_key_of_two_attributes_collides_in_both_and_never_in_a_null, backend
    )


async def test_a_silent_limit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    rows = MemoryRepository._rows

    async def hundred_at_most(self: Any, asked: Specification, order: tuple[Order, ...], limit: int | None) -> Any:
        return await rows(self, asked, order, limit or 100)

    monkeypatch.setattr(MemoryRepository, "_rows", hundred_at_most)

    await assert_contract_catches(RepositoryContract.test_a_list_is_as_long_as_it_is, backend)


async def test_a_stream_of_one_batch(backend: MemoryBackend, monkeypatch: Patch) -> None:
    batches = MemoryRepository._batches

    async def first_batch(self: Any, asked: Specification, order: tuple[Order, ...]) -> AsyncIterator[Sequence[Row]]:
        async for batch in batches(self, asked, order):
            yield batch
            return

    monkeypatch.setattr(MemoryRepository, "_batches", first_batch)

    await assert_contract_catches(RepositoryContract.test_a_list_is_as_long_as_it_is, backend)


async def test_tracking_what_should_not_be_tracked(backend: MemoryBackend, monkeypatch: Patch) -> None:
    resolved = TrackedRepository._resolved
    monkeypatch.setattr(TrackedRepository, "_resolved", lambda self, rows, track: resolved(self, rows, track=True))
    monkeypatch.setattr(TrackedRepository, "_untracked", lambda self, rows: map(self._resolve, rows))

    await assert_contract_catches(RepositoryContract.test_what_is_listed_untracked_or_streamed_is_not_written, backend)


async def test_a_removal_of_anything(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "remove", lambda self, entity: None)

    await assert_contract_catches(RepositoryContract.test_what_was_removed_is_gone, backend)
    await assert_contract_catches(RepositoryContract.test_what_the_unit_has_not_read_cannot_be_removed, backend)


async def test_counting_without_criteria(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def count_all(self: Any, asked: Specification) -> int:
        return len(self._rows_in_sight)

    monkeypatch.setattr(MemoryRepository, "_count", count_all)

    await assert_contract_catches(RepositoryContract.test_counting_and_asking_whether_any_exists, backend)


async def test_adding_a_part_of_many(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedRepository, "_require_kind", lambda self, aggregates: None)

    await assert_contract_catches(RepositoryContract.test_many_are_added_all_or_none, backend, raising=KeyError)


# --- Pages. ---


async def test_pages_that_lose_the_nulls(backend: MemoryBackend, monkeypatch: Patch) -> None:
    holds = Following.holds

    def holds_of_none(self: Following, value_of: Any) -> bool:
        return holds(self, value_of) and all(value_of(key.attribute) is not None for key in self.order)

    monkeypatch.setattr(Following, "holds", holds_of_none)

    await assert_contract_catches(
        RepositoryContract.test_pages_joined_are_the_whole_list, backend, order=(Order(Widget, "note"),)
    )


async def test_cursors_for_everything(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(PageQuery, "_context", lambda self, way: b"")

    await assert_contract_catches(RepositoryContract.test_a_cursor_of_anything_else_is_refused, backend)


async def test_cursors_that_nobody_reads_closely(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(PageQuery, "_place", lambda self, cursor, way: ("", Widget().id))

    await assert_contract_catches(RepositoryContract.test_a_damaged_cursor_is_refused, backend)


# --- Values. ---


async def test_texts_that_are_trimmed(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, lambda value: value.strip() if isinstance(value, str) else value)

    await assert_contract_catches(RepositoryContract.test_a_hostile_text_is_stored_found_and_compared_as_it_is, backend)


async def test_texts_that_are_patterns(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def like(found: str, value: str) -> bool:
        return value.replace("%", "").replace("_", "") in found

    monkeypatch.setitem(criteria._HOLDS, "contains", like)

    await assert_contract_catches(RepositoryContract.test_a_hostile_text_is_stored_found_and_compared_as_it_is, backend)
    await assert_contract_catches(SpecificationContract.test_parts_of_a_text_are_found_case_and_all, backend)


async def test_numbers_that_pass_through_floats(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, lambda value: int(float(value)) if type(value) is int else value)

    await assert_contract_catches(
        RepositoryContract.test_extremes_come_back_and_are_found, backend, raising=MappingError
    )


async def test_times_that_lose_their_zone(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, lambda value: value.replace(hour=0) if hasattr(value, "hour") else value)

    await assert_contract_catches(RepositoryContract.test_times_become_utc_and_whole_milliseconds, backend)


async def test_values_that_are_not_checked(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(tracking, "columns_of", lambda entities: [])

    await assert_contract_catches(
        RepositoryContract.test_what_not_every_database_can_keep_is_refused_before_any_write,
        backend,
        values={"amount": 2**63},
    )


async def test_criteria_that_are_not_checked(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(attribute, "require_storable_text", lambda text, subject: None)

    await assert_contract_catches(RepositoryContract.test_a_criterion_that_no_attribute_could_meet_is_refused, backend)


# --- Criteria and order. ---


class Unshrunk(SpecificationContract):
    shrink = False


async def test_nulls_that_come_first(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def nulls_first(rows: Iterable[Row], order: tuple[Order, ...]) -> list[Row]:
        key = order[0]
        present = [row for row in rows if row.values[key.attribute] is not None]
        absent = [row for row in rows if row.values[key.attribute] is None]
        return absent + sorted(present, key=lambda row: row.values[key.attribute], reverse=key.descending)

    monkeypatch.setattr(repository, "ordered", nulls_first)

    await assert_contract_catches(SpecificationContract.test_nulls_come_last_in_both_directions, backend, name="note")


async def test_order_that_folds_case(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def folded(rows: Iterable[Row], order: tuple[Order, ...]) -> list[Row]:
        return sorted(rows, key=lambda row: str(row.values[order[0].attribute]).casefold())

    monkeypatch.setattr(repository, "ordered", folded)

    await assert_contract_catches(RepositoryContract.test_texts_are_ordered_by_code_point, backend)
    await assert_contract_catches(SpecificationContract.test_later_orders_decide_between_equals, backend)


async def test_three_valued_logic(backend: MemoryBackend, monkeypatch: Patch) -> None:

    def as_sql_does(rows: Iterable[Row], asked: Specification) -> list[Row]:
        named = _attributes_of(asked)
        return matching((row for row in rows if all(row.values[name] is not None for name in named)), asked)

    monkeypatch.setattr(repository, "matching", as_sql_does)

    await assert_contract_catches(
        SpecificationContract.test_a_null_is_a_value_to_equality_and_negation_and_nothing_to_order,
        backend,
        name="order",
    )
    await assert_contract_catches(
        SpecificationContract.test_any_question_is_answered_as_the_model_answers_it, backend, contract=Unshrunk()
    )


async def test_aggregates_that_lose_a_digit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, lambda value: value / 2 if isinstance(value, float) else value)

    await assert_contract_catches(
        SpecificationContract.test_any_aggregate_comes_back_as_it_was, backend, contract=Unshrunk()
    )


def _change_what_is_read(monkeypatch: Patch, change: Any) -> None:

    def changed(kind: Any, values: Any, **framework: Any) -> Any:
        return entity_from(kind, {name: change(value) for name, value in values.items()}, **framework)

    monkeypatch.setattr(repository, "entity_from", changed)


def _attributes_of(asked: Any) -> set[str]:
    if isinstance(asked, Comparison):
        return set() if asked.operator == "is_null" else {asked.attribute}
    parts = asked.parts if hasattr(asked, "parts") else (asked.part,)
    return set().union(*map(_attributes_of, parts))
