"""Further twins of work over all tenants, what it reaches and when: with the bug planted, the contract goes red."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import open_units
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.memory.mapping import Key, Table
from prismicx.adapters.memory.store import SystemOverlay
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.system import SystemRepository, SystemTracker, TrackedSystemUnit
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import EntityNotFoundError, NotMappedError, SystemScopeInsideTenantError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.pages import PageQuery
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.registry import SystemAccessRepository
from prismicx.domain.system import SystemAccess
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.contracts.system_door import SystemDoorContract
from prismicx.testing.contracts.system_reading import SystemReadingContract
from prismicx.testing.contracts.system_writing import SystemWritingContract
from prismicx.testing.contracts.working import store
from prismicx.testing.examples import Gadgets, Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
async def known(backend: MemoryBackend) -> dict[str, Any]:
    """What the contracts of system units take."""
    acme, globex, code = TenantId.new(), TenantId.new(), f"system {new_id()}"
    first = Widget(code=code, name="acme's", amount=1)
    second = Widget(id=first.id, code=code, name="globex's", amount=2)
    await store(backend, acme, first)
    await store(backend, globex, second)
    return {"acme": acme, "globex": globex, "code": code, "kept": (first, second)}


# --- What it reads. ---


async def test_a_query_of_the_domain_that_leaves_tenants_out(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    last = max(known["acme"], known["globex"], key=str)

    def sees_last(self: SystemOverlay, key: Key) -> bool:
        return key.tenant in (None, last)

    monkeypatch.setattr(SystemOverlay, "_sees", sees_last)

    await assert_contract_catches(SystemReadingContract.test_a_query_of_the_domain_spans_tenants_too, backend, **known)


async def test_a_find_among_nobodys(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    monkeypatch.setattr(SystemRepository, "find", TrackedRepository.find)

    await assert_contract_catches(
        SystemReadingContract.test_a_unique_identity_is_found_by_itself,
        backend,
        raising=EntityNotFoundError,
        **known,
    )


async def test_a_tenants_cursor_that_opens_all(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(PageQuery, "_context", lambda self, way: b"")
    monkeypatch.setattr(SystemRepository, "_total", TrackedRepository._total)

    await assert_contract_catches(SystemReadingContract.test_a_tenants_cursor_is_refused, backend, **known)


async def test_a_registry_out_of_reach(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    def shared_only(self: TrackedSystemUnit, entity: type[AggregateRoot]) -> EntityMapping:
        mapping = self._wiring.mappings[entity]
        if not isinstance(mapping.placement, Shared):
            raise NotMappedError(entity.__name__)
        return mapping

    monkeypatch.setattr(TrackedSystemUnit, "_mapping_within_reach", shared_only)

    await assert_contract_catches(
        SystemReadingContract.test_it_reads_the_registry, backend, raising=NotMappedError, **known
    )


async def test_a_reach_without_bounds(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    def anything(self: TrackedSystemUnit, entity: type[AggregateRoot]) -> EntityMapping:
        return self._wiring.mappings.get(entity, self._wiring.mappings[Widget])

    monkeypatch.setattr(TrackedSystemUnit, "_mapping_within_reach", anything)

    await assert_contract_catches(
        SystemReadingContract.test_what_a_tenant_has_in_a_place_of_its_own_is_out_of_reach,
        backend,
        port=Gadgets,
        **known,
    )
    await assert_contract_catches(SystemReadingContract.test_what_is_not_mapped_stays_so, backend, **known)


# --- What it writes. ---


async def test_writes_to_whoever_was_read_last(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemTracker, "_identities", lambda self, entities: [(None, each.id) for each in entities])
    monkeypatch.setattr(SystemRepository, "_resolve", _resolved_by_id(SystemRepository._resolve))

    await assert_contract_catches(
        SystemWritingContract.test_it_changes_and_removes_what_it_has_read_and_every_tenant_keeps_its_own,
        backend,
        raising=(EntityNotFoundError, KeyError),
        **known,
    )


def _resolved_by_id(resolve: Any) -> Any:
    def by_id(self: SystemRepository[Any], row: Any, *, track: bool = True) -> Any:
        known = self._unit.tracker.find(self._kind, (None, row.values["id"]))
        return known or resolve(self, row, track=track)

    return by_id


async def test_a_system_unit_that_commits_when_it_is_left(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    async def commit_instead(self: MemoryUnitOfWork) -> None:
        self._overlay.commit()

    monkeypatch.setattr(MemoryUnitOfWork, "_rollback", commit_instead)

    await assert_contract_catches(SystemWritingContract.test_nothing_lasts_without_commit, backend, **known)


async def test_unique_keys_that_are_forgotten_over_all_tenants(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Table, "taken_key", lambda self, key, row: None)

    await assert_contract_catches(SystemWritingContract.test_a_unique_key_is_each_tenants_own, backend, **known)


async def test_a_removal_of_what_was_not_read(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemTracker, "remove", lambda self, entity: None)

    await assert_contract_catches(SystemWritingContract.test_what_it_has_not_read_cannot_be_removed, backend, **known)


# --- The door. ---


async def test_a_record_of_the_last_access_only(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    latest = SystemAccessRepository.latest

    async def the_latest(self: SystemAccessRepository, limit: int = 50) -> Sequence[SystemAccess]:
        return await latest(self, 1)

    monkeypatch.setattr(SystemAccessRepository, "latest", the_latest)

    await assert_contract_catches(SystemDoorContract.test_the_latest_are_found_first, backend, **known)


async def test_a_door_that_takes_any_word_for_yes(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemAccess, "of", SystemAccess.model_construct)

    await assert_contract_catches(SystemDoorContract.test_whether_it_writes_is_a_plain_yes_or_no, backend, **known)


async def test_a_door_that_stays_shut(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    monkeypatch.setattr(open_units, "open_tenant", lambda: known["acme"])

    await assert_contract_catches(
        SystemDoorContract.test_it_opens_after_a_tenants_unit_and_beside_one,
        backend,
        raising=SystemScopeInsideTenantError,
        **known,
    )


async def test_a_system_unit_that_shuts_the_tenants_out(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    admit = TrackedUnitOfWork._admit
    inside: list[TrackedSystemUnit] = []

    async def alone(self: TrackedUnitOfWork) -> None:
        if inside and self.tenant is not None:
            raise SystemScopeInsideTenantError(self.tenant.value)
        await admit(self)

    async def first(self: TrackedSystemUnit) -> None:
        inside.append(self)

    monkeypatch.setattr(TrackedUnitOfWork, "_admit", alone)
    monkeypatch.setattr(TrackedSystemUnit, "_admit", first)

    await assert_contract_catches(
        SystemDoorContract.test_a_tenants_unit_opens_inside_a_system_unit,
        backend,
        raising=SystemScopeInsideTenantError,
        **known,
    )


async def test_a_system_unit_that_can_be_entered_again(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    async def enter(self: TrackedUnitOfWork) -> TrackedUnitOfWork:
        self._owner, self._state = asyncio.current_task(), "open"
        return self

    monkeypatch.setattr(TrackedUnitOfWork, "__aenter__", enter)

    await assert_contract_catches(SystemDoorContract.test_it_is_entered_once_and_ends_with_its_block, backend, **known)
