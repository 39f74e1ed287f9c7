"""Twins of the promises about work over all tenants: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.contract.opened import opened_memory

from prismicx.adapters import open_units
from prismicx.adapters.memory import MemoryBackend
from prismicx.adapters.memory.mapping import Key
from prismicx.adapters.memory.store import SystemOverlay
from prismicx.adapters.memory.system import MemorySystemRepository
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.system import SystemRepository, SystemTracker, TrackedSystemUnit
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.errors import PrismicxError
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.system import SystemAccess
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.contracts.across_tenants import Kept
from prismicx.testing.contracts.system_door import SystemDoorContract
from prismicx.testing.contracts.system_reading import SystemReadingContract
from prismicx.testing.contracts.system_writing import SystemWritingContract
from prismicx.testing.contracts.working import store
from prismicx.testing.examples import Widget

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


@pytest.fixture
def acme() -> TenantId:
    return TenantId.new()


@pytest.fixture
def globex() -> TenantId:
    return TenantId.new()


@pytest.fixture
def code() -> str:
    return f"system {new_id()}"


@pytest.fixture
async def kept(backend: MemoryBackend, acme: TenantId, globex: TenantId, code: str) -> Kept:
    first = Widget(code=code, name="acme's", amount=1)
    second = Widget(id=first.id, code=code, name="globex's", amount=2)
    await store(backend, acme, first)
    await store(backend, globex, second)
    return first, second


@pytest.fixture
def known(acme: TenantId, globex: TenantId, code: str, kept: Kept) -> dict[str, Any]:
    """What the contracts of system units take."""
    return {"acme": acme, "globex": globex, "code": code, "kept": kept}


async def test_a_system_unit_that_leaves_tenants_out(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    def sees_one(self: SystemOverlay, key: Key) -> bool:
        return key.tenant in (None, known["acme"])

    monkeypatch.setattr(SystemOverlay, "_sees", sees_one)

    await assert_contract_catches(SystemReadingContract.test_it_reads_all_tenants, backend, **known)


async def test_an_identity_map_without_the_tenant(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemTracker, "_identities", Tracker._identities)
    monkeypatch.setattr(MemorySystemRepository, "_identity", lambda self, row: row.values["id"])

    await assert_contract_catches(SystemReadingContract.test_one_row_is_one_object, backend, **known)
    await assert_contract_catches(
        SystemWritingContract.test_many_of_many_tenants_are_changed_in_one_unit, backend, **known
    )


async def test_an_ambiguous_identity_that_is_guessed(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    async def first(self: SystemRepository[Any], identity: Any) -> Any:
        return await self.find_one(Widget.id == identity)

    monkeypatch.setattr(SystemRepository, "find", first)

    await assert_contract_catches(SystemReadingContract.test_one_identity_of_two_tenants_is_ambiguous, backend, **known)


async def test_an_order_that_leaves_equals_to_chance(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemRepository, "_total", TrackedRepository._total)

    await assert_contract_catches(SystemReadingContract.test_pages_joined_are_everything_once, backend, **known)


async def test_a_system_unit_that_writes_without_being_asked(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    begin = TrackedSystemUnit.__init__

    def writing(self: TrackedSystemUnit, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.read_only = False

    monkeypatch.setattr(TrackedSystemUnit, "__init__", writing)

    await assert_contract_catches(
        SystemWritingContract.test_it_is_read_only_unless_asked, backend, raising=PrismicxError, **known
    )


async def test_a_system_unit_that_adds_to_nobody(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemRepository, "add_many", TrackedRepository.add_many)

    await assert_contract_catches(SystemWritingContract.test_adding_needs_a_tenants_own_unit, backend, **known)


async def test_a_system_unit_that_writes_by_criteria(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemRepository, "_require_writing", TrackedRepository._require_writing)

    await assert_contract_catches(
        SystemWritingContract.test_writing_by_key_or_by_criteria_needs_a_tenants_own_unit, backend, **known
    )


async def test_a_system_unit_that_writes_the_registry(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(TrackedSystemUnit, "_expect", TrackedUnitOfWork._expect)

    await assert_contract_catches(SystemWritingContract.test_it_writes_nothing_to_the_registry, backend, **known)
    await assert_contract_catches(
        SystemDoorContract.test_it_cannot_change_or_remove_what_is_on_record, backend, **known
    )


async def test_a_version_check_that_is_missing_over_all_tenants(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    replace = SystemOverlay.replace

    def replace_any(self: SystemOverlay, mapping: Any, key: Any, row: Any, *, version: int) -> None:
        present = self.table(mapping).rows[key]
        replace(self, mapping, key, row, version=present.version)

    monkeypatch.setattr(SystemOverlay, "replace", replace_any)

    await assert_contract_catches(
        SystemWritingContract.test_a_stale_write_is_refused_and_takes_the_others_with_it,
        backend,
        change="update one",
        **known,
    )


async def test_events_that_lose_their_tenant(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    monkeypatch.setattr(TrackedSystemUnit, "_hand_over_events", TrackedUnitOfWork._hand_over_events)

    await assert_contract_catches(SystemWritingContract.test_events_are_handed_over_tenant_by_tenant, backend, **known)


async def test_a_system_unit_off_the_record(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    async def admit(self: TrackedSystemUnit) -> None:
        """Ask for nothing and write nothing down."""

    monkeypatch.setattr(TrackedSystemUnit, "_admit", admit)

    await assert_contract_catches(
        SystemDoorContract.test_it_is_on_record_before_the_first_query, backend, raising=ValueError, **known
    )
    await assert_contract_catches(
        SystemDoorContract.test_it_stays_on_record_whatever_becomes_of_the_unit, backend, **known
    )


async def test_a_door_inside_a_tenants_unit(backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch) -> None:
    monkeypatch.setattr(open_units, "open_tenant", lambda: None)

    for test in (
        SystemDoorContract.test_it_is_refused_inside_a_tenants_unit,
        SystemDoorContract.test_it_is_refused_in_a_task_that_a_tenants_unit_has_started,
        SystemDoorContract.test_it_is_refused_inside_a_tenants_unit_that_is_broken,
    ):
        await assert_contract_catches(test, backend, **known)


async def test_a_door_that_asks_for_no_reason(
    backend: MemoryBackend, known: dict[str, Any], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemAccess, "of", SystemAccess.model_construct)

    await assert_contract_catches(SystemDoorContract.test_a_reason_is_needed, backend, blank=" ", **known)
    await assert_contract_catches(SystemDoorContract.test_an_actor_is_needed, backend, blank=" ", **known)
