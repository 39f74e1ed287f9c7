"""Further twins of what a repository finds, and of pages and values: with the bug planted, the contract goes red."""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import reading
from prismicx.adapters.fields import entity_from
from prismicx.adapters.memory import MemoryBackend, MemoryRepository, MemoryUnitOfWork
from prismicx.adapters.memory import repository as in_memory
from prismicx.adapters.memory.mapping import Key, Row
from prismicx.adapters.memory.specification import matching
from prismicx.adapters.memory.store import Overlay
from prismicx.adapters.repository import TrackedRepository
from prismicx.domain import criteria
from prismicx.domain.cursors import Cursor
from prismicx.domain.errors import UnitOfWorkClosedError
from prismicx.domain.pages import Page
from prismicx.domain.placement import EntityMapping
from prismicx.domain.registry import TenantRepository
from prismicx.domain.specification import Order, Specification
from prismicx.testing.contracts import (
    RepositoryContract,
    SpecificationContract,
    UnitOfWorkContract,
    assert_contract_catches,
)
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- What is found. ---


async def test_numbers_that_are_halved(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, lambda value: value / 2 if isinstance(value, float) else value)

    await assert_contract_catches(RepositoryContract.test_an_aggregate_comes_back_as_it_was, backend)


async def test_names_in_capitals(backend: MemoryBackend, monkeypatch: Patch) -> None:
    _change_what_is_read(monkeypatch, _in_capitals)

    await assert_contract_catches(UnitOfWorkContract.test_a_registered_tenant_is_found_as_it_was, backend)


def _in_capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) and " " in value else value


async def test_a_get_that_returns_nothing(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedRepository, "get", TrackedRepository.find)

    await assert_contract_catches(
        RepositoryContract.test_get_raises_and_find_returns_none_for_what_is_not_there, backend
    )


async def test_a_tenant_who_is_nobody(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TenantRepository, "of", TenantRepository.find_by_tenant_id)

    await assert_contract_catches(UnitOfWorkContract.test_an_unknown_tenant_is_not_found, backend)


async def test_lists_in_the_order_of_writing(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def as_asked(self: TrackedRepository[Any], order_by: Order | Sequence[Order]) -> tuple[Order, ...]:
        return (order_by,) if isinstance(order_by, Order) else tuple(order_by)

    monkeypatch.setattr(TrackedRepository, "_total", as_asked)

    await assert_contract_catches(RepositoryContract.test_find_one_finds_the_smallest_id, backend)
    await assert_contract_catches(RepositoryContract.test_a_list_is_ordered_by_id_unless_told_otherwise, backend)


async def test_adding_the_first_of_many(backend: MemoryBackend, monkeypatch: Patch) -> None:
    add_many = TrackedRepository.add_many

    def add_first(self: TrackedRepository[Any], aggregates: Iterable[Any]) -> None:
        add_many(self, tuple(aggregates)[:1])

    monkeypatch.setattr(TrackedRepository, "add_many", add_first)

    await assert_contract_catches(RepositoryContract.test_many_are_added_at_once, backend)


async def test_changing_the_first_of_many(backend: MemoryBackend, monkeypatch: Patch) -> None:
    update = MemoryUnitOfWork._update

    async def update_first(self: MemoryUnitOfWork, mapping: EntityMapping, updates: Sequence[Any]) -> None:
        await update(self, mapping, updates[:1])

    monkeypatch.setattr(MemoryUnitOfWork, "_update", update_first)

    await assert_contract_catches(RepositoryContract.test_many_are_changed_and_removed_at_once, backend)


async def test_a_stream_that_breaks_its_unit_when_it_is_left(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def one_by_one(
        self: MemoryRepository[Any], asked: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Row], None]:
        try:
            for row in await self._rows(asked, order, None):
                yield [row]
        except GeneratorExit:
            self._unit._state = "broken by an earlier error"
            raise

    monkeypatch.setattr(MemoryRepository, "_batches", one_by_one)

    await assert_contract_catches(
        RepositoryContract.test_a_stream_can_be_left_in_the_middle, backend, raising=UnitOfWorkClosedError
    )


async def test_identities_that_are_taken_twice(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def insert(self: Overlay, mapping: EntityMapping, key: Key, row: Row) -> None:
        self._write(mapping, key, row)

    monkeypatch.setattr(Overlay, "insert", insert)

    await assert_contract_catches(RepositoryContract.test_an_identity_is_taken_once, backend)


async def test_questions_that_nobody_checks(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedRepository, "_require_identity", lambda self, identity: None)

    await assert_contract_catches(RepositoryContract.test_what_cannot_be_asked_is_refused, backend)


# --- Pages. ---


async def test_pages_that_count_what_they_skip(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def page(
        self: TrackedRepository[Any], criteria: Any = None, /, *, size: int, after: Cursor | None = None
    ) -> Page[Any]:
        start = 0 if after is None else int(after.text)
        found = await self.list(criteria)
        return Page(tuple(found[start : start + size]), Cursor(str(start + size)))

    monkeypatch.setattr(TrackedRepository, "page", page)

    await assert_contract_catches(
        RepositoryContract.test_a_page_goes_on_behind_what_has_been_removed_meanwhile, backend
    )


async def test_pages_that_forget_their_criteria(backend: MemoryBackend, monkeypatch: Patch) -> None:
    page = TrackedRepository.page

    async def page_of_all(self: TrackedRepository[Any], criteria: Any = None, /, **options: Any) -> Page[Any]:
        return await page(self, **options)

    monkeypatch.setattr(TrackedRepository, "page", page_of_all)

    await assert_contract_catches(RepositoryContract.test_pages_keep_to_their_criteria, backend)


async def test_a_last_page_that_promises_another(backend: MemoryBackend, monkeypatch: Patch) -> None:
    page = TrackedRepository.page

    async def endless(self: TrackedRepository[Any], criteria: Any = None, /, **options: Any) -> Page[Any]:
        found = await page(self, criteria, **options)
        return Page(found.items, found.next or Cursor("another"))

    monkeypatch.setattr(TrackedRepository, "page", endless)

    await assert_contract_catches(RepositoryContract.test_the_last_page_has_no_next, backend)


async def test_pages_of_any_size(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(reading, "require_positive", lambda name, value: None)

    await assert_contract_catches(RepositoryContract.test_a_page_has_a_size, backend)


# --- Criteria and values. ---


async def test_borders_that_are_taken_in(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setitem(criteria._HOLDS, "gt", operator.ge)

    await assert_contract_catches(SpecificationContract.test_choices_and_truths_are_compared, backend)


async def test_an_empty_structure_that_counts_as_null(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def emptied(rows: Iterable[Row], asked: Specification) -> list[Row]:
        return [row for row in rows if matching([Row(row.version, _without_empty(row.values))], asked)]

    monkeypatch.setattr(in_memory, "matching", emptied)

    await assert_contract_catches(SpecificationContract.test_a_structure_is_null_or_it_is_not, backend)


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value == {} else value for name, value in values.items()}


async def test_numbers_in_the_order_of_their_digits(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def as_texts(rows: Iterable[Row], order: tuple[Order, ...]) -> list[Row]:
        return sorted(rows, key=lambda row: str(row.values[order[0].attribute]))

    monkeypatch.setattr(in_memory, "ordered", as_texts)

    await assert_contract_catches(RepositoryContract.test_extremes_are_ordered, backend, name="amount")


async def test_whole_floats_that_become_integers(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def as_integers(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: as_integers(found) for name, found in value.items()}
        return int(value) if isinstance(value, float) and value.is_integer() else value

    _change_what_is_read(monkeypatch, as_integers)

    await assert_contract_catches(
        RepositoryContract.test_a_number_in_a_structure_stays_the_kind_of_number_that_it_was, backend
    )


async def test_attributes_that_nobody_validates(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Widget, "model_validate", lambda values: None)

    await assert_contract_catches(RepositoryContract.test_what_is_no_such_value_never_becomes_an_attribute, backend)


def _change_what_is_read(monkeypatch: Patch, change: Any) -> None:

    def changed(kind: Any, values: Any, **framework: Any) -> Any:
        return entity_from(kind, {name: change(value) for name, value in values.items()}, **framework)

    monkeypatch.setattr(in_memory, "entity_from", changed)
