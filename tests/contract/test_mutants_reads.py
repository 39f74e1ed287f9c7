"""Twins of pages both ways, of what is read several at a time, of smaller models and locks: the contract goes red."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import projecting, reading
from prismicx.adapters.memory import MemoryBackend, MemoryRepository
from prismicx.adapters.memory import repository as in_memory
from prismicx.adapters.reading import Reading
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain import pages
from prismicx.domain.cursors import Cursor
from prismicx.domain.errors import UnsupportedOperationError
from prismicx.domain.following import Following
from prismicx.domain.locking import Lock
from prismicx.domain.pages import Page, PageQuery
from prismicx.domain.specification import EVERYTHING, Order, Specification
from prismicx.testing.contracts import RepositoryContract, assert_contract_catches
from prismicx.testing.contracts.locking import LockingContract
from prismicx.testing.contracts.paging import PagingContract
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    pages._plan.cache_clear()
    projecting._known(Widget).clear()
    yield
    pages._plan.cache_clear()
    projecting._known(Widget).clear()


class _Unshrunk(PagingContract):
    shrink = False


# --- Pages both ways. ---


async def test_nulls_that_stay_last_on_the_way_back(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Order, "reversed", property(lambda self: replace(self, descending=not self.descending)))

    await assert_contract_catches(
        RepositoryContract.test_pages_joined_backwards_are_the_whole_list, backend, order=(Order(Widget, "note"),)
    )


async def test_pages_that_begin_where_the_last_one_ended(backend: MemoryBackend, monkeypatch: Patch) -> None:
    holds = Following.holds

    def holds_there_too(self: Following, value_of: Any) -> bool:
        return holds(self, value_of) or all(
            value_of(key.attribute) == at for key, at in zip(self.order, self.place, strict=True)
        )

    monkeypatch.setattr(Following, "holds", holds_there_too)

    await assert_contract_catches(
        RepositoryContract.test_any_pages_joined_are_the_whole_list_both_ways, backend, contract=_Unshrunk()
    )


async def test_pages_that_come_back_the_wrong_way_round(backend: MemoryBackend, monkeypatch: Patch) -> None:
    asked = PageQuery.asked
    monkeypatch.setattr(PageQuery, "asked", lambda self, **cursors: asked(self, **cursors)._replace(is_backwards=False))

    await assert_contract_catches(RepositoryContract.test_a_page_says_where_it_goes_on_both_ways, backend)


async def test_pages_that_promise_one_before_them(backend: MemoryBackend, monkeypatch: Patch) -> None:
    page = PageQuery.page

    def promising(self: PageQuery, *asked: Any, **options: Any) -> Page[Any]:
        found: Page[Any] = page(self, *asked, **options)
        return replace(found, previous=found.previous or Cursor("another"))

    monkeypatch.setattr(PageQuery, "page", promising)

    await assert_contract_catches(RepositoryContract.test_an_empty_page_leads_nowhere, backend)


async def test_pages_that_move_with_what_is_added(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def page(self: TrackedRepository[Any], *, order_by: Any, size: int, after: Cursor | None = None) -> Page[Any]:
        start = 0 if after is None else int(after.text)
        found = await self.list(order_by=order_by)
        more = len(found) > start + size
        return Page(tuple(found[start : start + size]), Cursor(str(start + size)) if more else None)

    monkeypatch.setattr(TrackedRepository, "page", page)

    await assert_contract_catches(RepositoryContract.test_what_is_added_meanwhile_moves_nothing, backend)


async def test_places_of_what_the_unit_holds(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        MemoryRepository, "_plain", lambda self, row, names: [getattr(self._resolve(row), name) for name in names]
    )

    await assert_contract_catches(RepositoryContract.test_a_place_is_what_is_stored_there, backend)
    await assert_contract_catches(
        RepositoryContract.test_a_list_by_key_sees_the_units_own_writes_and_goes_by_what_is_stored, backend
    )


async def test_cursors_that_lead_both_ways(backend: MemoryBackend, monkeypatch: Patch) -> None:
    context = PageQuery._context
    monkeypatch.setattr(PageQuery, "_context", lambda self, way: context(self, "after"))

    await assert_contract_catches(RepositoryContract.test_a_cursor_leads_one_way, backend)


# --- Several at a time. ---


async def test_a_fetch_in_any_order(backend: MemoryBackend, monkeypatch: Patch) -> None:
    fetch = Reading.fetch

    async def by_identity(self: Reading[Any], identities: Any, /) -> dict[Any, Any]:
        return dict(sorted((await fetch(self, identities)).items()))

    monkeypatch.setattr(Reading, "fetch", by_identity)

    await assert_contract_catches(RepositoryContract.test_several_are_fetched_by_identity, backend)


async def test_a_fetch_that_asks_for_what_is_known(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "holds", lambda self, kind, identity: False)

    await assert_contract_catches(RepositoryContract.test_what_the_unit_holds_is_fetched_as_it_holds_it, backend)


async def test_a_fetch_that_nobody_watches(backend: MemoryBackend, monkeypatch: Patch) -> None:
    resolved = Reading._resolved
    monkeypatch.setattr(Reading, "_resolved", lambda self, rows, track=True: resolved(self, rows, track=False))

    await assert_contract_catches(RepositoryContract.test_what_is_fetched_is_tracked, backend, raising=KeyError)


async def test_a_fetch_of_a_thousand_at_most(backend: MemoryBackend, monkeypatch: Patch) -> None:
    rows = MemoryRepository._rows

    async def thousand_at_most(self: Any, asked: Specification, order: tuple[Order, ...], limit: int | None) -> Any:
        return (await rows(self, asked, order, limit))[:1000]

    monkeypatch.setattr(MemoryRepository, "_rows", thousand_at_most)

    await assert_contract_catches(RepositoryContract.test_any_number_is_fetched_and_listed, backend)


async def test_lists_by_key_without_the_empty_ones(backend: MemoryBackend, monkeypatch: Patch) -> None:
    list_by = Reading.list_by

    async def of_some(self: Reading[Any], *asked: Any, **options: Any) -> dict[Any, list[Any]]:
        return {key: found for key, found in (await list_by(self, *asked, **options)).items() if found}

    monkeypatch.setattr(Reading, "list_by", of_some)

    await assert_contract_catches(RepositoryContract.test_several_are_listed_by_what_they_belong_to, backend)


async def test_keys_in_small_letters(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(reading, "plain_value", lambda kind, name, key: key.lower())

    await assert_contract_catches(RepositoryContract.test_keys_of_every_kind_are_told_apart, backend, raising=KeyError)


async def test_keys_that_nobody_checks(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Reading, "_require_identities", lambda self, identities: ())

    await assert_contract_catches(RepositoryContract.test_what_cannot_be_fetched_is_refused, backend)


# --- Smaller models. ---


async def test_smaller_models_of_everything(backend: MemoryBackend, monkeypatch: Patch) -> None:
    projected = MemoryRepository._projected

    async def of_all(self: Any, names: Any, asked: Specification, order: Any, limit: int | None) -> Any:
        return await projected(self, names, EVERYTHING, order, None)

    monkeypatch.setattr(MemoryRepository, "_projected", of_all)

    await assert_contract_catches(RepositoryContract.test_a_smaller_model_has_what_is_stored, backend)


async def test_a_stream_of_smaller_models_that_ends_early(backend: MemoryBackend, monkeypatch: Patch) -> None:
    batches = MemoryRepository._projected_batches

    async def first_batch(self: Any, *asked: Any) -> AsyncGenerator[Sequence[Any], None]:
        async for batch in batches(self, *asked):
            yield batch
            return

    monkeypatch.setattr(MemoryRepository, "_projected_batches", first_batch)

    await assert_contract_catches(RepositoryContract.test_smaller_models_are_streamed, backend)


async def test_smaller_models_of_what_was_there_before(backend: MemoryBackend, monkeypatch: Patch) -> None:
    flush = TrackedUnitOfWork.flush

    async def flush_at_commit_only(self: TrackedUnitOfWork) -> None:
        if sys._getframe(1).f_code.co_name == "commit":
            await flush(self)

    monkeypatch.setattr(TrackedUnitOfWork, "flush", flush_at_commit_only)

    await assert_contract_catches(RepositoryContract.test_a_smaller_model_sees_the_units_own_writes, backend)


async def test_smaller_models_that_share_their_structures(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(in_memory, "_copied", lambda row, names: {name: row.values[name] for name in names})

    await assert_contract_catches(RepositoryContract.test_a_change_to_a_smaller_model_is_not_written, backend)


async def test_models_that_nobody_checks(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(projecting, "_problems", lambda kind, model: ())

    await assert_contract_catches(
        RepositoryContract.test_a_model_that_does_not_fit_is_refused_before_anything_is_asked,
        backend,
        raising=KeyError,
    )


async def test_models_that_nobody_validates(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(projecting.Projection, "made", lambda self, values: self._model.model_construct(**values))

    await assert_contract_catches(RepositoryContract.test_a_model_that_refuses_what_is_stored_says_so, backend)


# --- Locks. ---


async def test_locks_for_everybody(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedUnitOfWork, "require_writable", lambda self, operation: None)

    await assert_contract_catches(
        RepositoryContract.test_a_lock_is_for_units_that_write, backend, raising=UnsupportedOperationError
    )


async def test_locks_that_are_pretended(backend: MemoryBackend, monkeypatch: Patch) -> None:
    class WithoutLocks(LockingContract):
        has_locks = False

    async def unlocked(self: Any, lock: Lock, *asked: Any) -> Any:
        return await self._rows(*asked)

    monkeypatch.setattr(MemoryRepository, "has_locks", True)
    monkeypatch.setattr(MemoryRepository, "_locked", unlocked)

    await assert_contract_catches(
        RepositoryContract.test_a_backend_without_locks_says_so, backend, contract=WithoutLocks()
    )
