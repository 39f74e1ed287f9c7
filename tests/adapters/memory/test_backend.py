"""The memory backend, where the contracts do not reach."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters.memory import MemoryBackend, MemoryRepository, MemoryUnitOfWork
from prismicx.adapters.memory.mapping import Place, place_of
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    BackendNotStartedError,
    ConcurrencyError,
    DuplicateEntityError,
    MappingError,
    NotMappedError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference
from prismicx.domain.ports import Repository
from prismicx.testing.contracts.working import store, stored, stored_count
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

ACME = TenantId("acme")


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


async def test_a_backend_that_was_not_started_opens_nothing(backend: MemoryBackend) -> None:
    await backend.close()

    with pytest.raises(BackendNotStartedError):
        backend.unit_of_work(ACME)
    with pytest.raises(BackendNotStartedError):
        backend.registry()


async def test_what_it_holds_outlives_a_stop(backend: MemoryBackend) -> None:
    await store(backend, ACME, Widget())

    await backend.close()
    await backend.start()

    assert await stored_count(backend, ACME) == 1


async def test_of_two_flushed_units_with_one_key_the_first_to_commit_wins(backend: MemoryBackend) -> None:
    async with backend.unit_of_work(ACME) as first, backend.unit_of_work(ACME) as second:
        for uow in (first, second):
            uow.repository(Widgets).add(Widget(code="wanted by both"))
            await uow.flush()
        await second.commit()
        with pytest.raises(DuplicateEntityError) as refused:
            await first.commit()

    assert refused.value.key == ("code",)
    assert await stored_count(backend, ACME) == 1


async def test_of_two_flushed_units_with_one_identity_the_first_to_commit_wins(backend: MemoryBackend) -> None:
    widget = Widget()

    async with backend.unit_of_work(ACME) as first, backend.unit_of_work(ACME) as second:
        for uow in (first, second):
            uow.repository(Widgets).add(Widget(id=widget.id))
            await uow.flush()
        await second.commit()
        with pytest.raises(DuplicateEntityError) as refused:
            await first.commit()

    assert refused.value.key == ("id",)


async def test_of_two_flushed_changes_the_first_to_commit_wins(backend: MemoryBackend) -> None:
    widget = Widget()
    await store(backend, ACME, widget)

    async with backend.unit_of_work(ACME) as first, backend.unit_of_work(ACME) as second:
        for number, uow in enumerate((first, second)):
            (await uow.repository(Widgets).get(widget.id)).amount = number + 1
            await uow.flush()
        await second.commit()
        with pytest.raises(ConcurrencyError):
            await first.commit()

    found = await stored(backend, ACME, widget)
    assert found is not None
    assert found.amount == 2


async def test_a_unique_key_moves_from_one_aggregate_to_another(backend: MemoryBackend) -> None:
    widget = Widget(code="moving")
    await store(backend, ACME, widget)

    async with backend.unit_of_work(ACME) as uow:
        widgets = uow.repository(Widgets)
        (await widgets.get(widget.id)).code = "moved"
        await uow.flush()
        widgets.add(Widget(code="moving"))
        await uow.commit()

    assert await stored_count(backend, ACME) == 2


async def test_a_structure_can_be_a_unique_key() -> None:
    class Shelf(AggregateRoot):
        labels: list[str]

    class Shelves(Repository[Shelf]):
        pass

    async with MemoryBackend([EntityMapping(Shelf, "shelves", unique=[["labels"]])]) as backend:
        async with backend.unit_of_work(ACME) as uow:
            uow.repository(Shelves).add_many((Shelf(labels=["a"]), Shelf(labels=["b"])))
            await uow.commit()
        async with backend.unit_of_work(ACME) as uow:
            uow.repository(Shelves).add(Shelf(labels=["a"]))
            with pytest.raises(DuplicateEntityError):
                await uow.commit()


async def test_a_teams_own_repository_answers_for_its_port() -> None:
    class MemoryWidgets(Widgets, MemoryRepository[Widget]):
        async def by_code(self, code: str) -> Widget | None:
            rows = await self._unit.attempt(self._rows(Widget.code != "", (), None))  # type: ignore[arg-type]  # an expression
            return next((self._resolve(row) for row in rows if row.values["code"] == code), None)

    backend = MemoryBackend(EXAMPLE_MAPPINGS, repositories={Widgets: MemoryWidgets})
    async with backend:
        await store(backend, ACME, widget := Widget(code="own"))

        async with backend.unit_of_work(ACME) as uow:
            widgets = uow.repository(Widgets)
            assert type(widgets) is MemoryWidgets
            assert widgets is uow.repository(Widgets)
            assert widgets.tenant == ACME
            assert await widgets.by_code("own") == widget


async def test_a_repository_of_nothing_or_of_a_stranger_is_refused(backend: MemoryBackend) -> None:
    class Stranger(AggregateRoot):
        pass

    class Strangers(Repository[Stranger]):
        pass

    async with backend.unit_of_work(ACME) as uow:
        with pytest.raises(NotMappedError, match="not a class"):
            uow.repository("customers")  # type: ignore[arg-type]  # what a caller without a type checker may write
        with pytest.raises(NotMappedError, match="no mapping"):
            uow.repository(Strangers)
        with pytest.raises(NotMappedError, match="does not say"):
            uow.repository(Stranger)  # type: ignore[type-var]  # the mistake under test
        with pytest.raises(NotMappedError, match="does not say"):
            uow.repository(MemoryRepository)


def test_two_mappings_of_one_entity_are_refused() -> None:
    with pytest.raises(MappingError, match="mapped twice"):
        MemoryBackend([EntityMapping(Widget, "one"), EntityMapping(Widget, "two")])


async def test_a_backend_without_savepoints_of_its_own_refuses_them(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryUnitOfWork, "_database_savepoint", TrackedUnitOfWork._database_savepoint)

    async with backend.unit_of_work(ACME) as uow:
        with pytest.raises(UnsupportedOperationError, match="savepoints"):
            uow.savepoint()


def test_each_placement_is_a_place_of_its_own() -> None:
    places = [place_of(mapping, ACME) for mapping in EXAMPLE_MAPPINGS]

    assert places == [
        Place("public", "widgets"),
        Place("tenant_acme_crm", "gadgets"),
        Place("tenant_acme_db", "gizmos"),
    ]
    assert place_of(EntityMapping(Widget, "widgets", Reference()), None) == Place("prismicx", "widgets")
    with pytest.raises(AssertionError):
        place_of(EntityMapping(Widget, "widgets", Reference()), ACME)
