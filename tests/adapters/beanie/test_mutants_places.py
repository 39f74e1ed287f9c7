"""Twins of what is promised of places on MongoDB alone: fences before each write, marks, races and the probe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.adapters.beanie import test_fences, test_marks, test_races, test_shared_collections_step
from tests.adapters.beanie.examples import Commands, Faults
from tests.mutants import report_catch

from prismicx.adapters.beanie import BeanieBackend, fences, provisioning
from prismicx.adapters.beanie.definitions import BeforeWrite
from prismicx.adapters.beanie.provisioning import SharedCollectionsStep, TenantDatabaseStep
from prismicx.adapters.beanie.step import MongoStep
from prismicx.domain.errors import PrismicxError
from prismicx.domain.ports import ProvisioningStep

Patch = pytest.MonkeyPatch


@pytest.fixture
def step(backend: BeanieBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, TenantDatabaseStep))
    return found


@pytest.fixture
def shared(backend: BeanieBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, SharedCollectionsStep))
    return found


async def goes_red(test: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Return if the test fails."""
    with pytest.raises((AssertionError, pytest.fail.Exception, PrismicxError)):
        await test(*arguments)
    report_catch(f"{test.__module__.rpartition('.')[2]}.py::{test.__name__}", "BeanieBackend")


async def test_a_fence_that_lets_everybody_pass(
    backend: BeanieBackend, shared: ProvisioningStep, stored: Any, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(fences, "_is_outdated", lambda fence, seen: False)

    await goes_red(test_fences.test_a_number_passes_again_and_so_does_a_greater_one, backend)
    await goes_red(test_fences.test_initialising_makes_the_collection_and_keeps_what_is_in_it, backend, stored)
    await goes_red(test_shared_collections_step.test_a_worker_that_was_overtaken_deletes_nothing, shared, stored)


async def test_a_fence_that_is_asked_once(step: ProvisioningStep, commands: Commands, monkeypatch: Patch) -> None:
    fence = MongoStep.fence

    def once(self: MongoStep, *arguments: Any) -> BeforeWrite:
        asked = False
        ask = fence(self, *arguments)

        async def before_write() -> None:
            nonlocal asked
            if not asked:
                asked = True
                await ask()

        return before_write

    monkeypatch.setattr(MongoStep, "fence", once)

    await goes_red(test_marks.test_the_fence_is_asked_before_each_write, step, commands)


async def test_a_mark_that_is_written_last(
    step: ProvisioningStep, commands: Commands, server: Any, monkeypatch: Patch
) -> None:
    make = TenantDatabaseStep._make

    async def make_and_mark(self: TenantDatabaseStep, *arguments: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(TenantDatabaseStep, "_mark", nothing)
            await make(self, *arguments)
        await make(self, *arguments)

    async def nothing(*_: Any, **__: Any) -> None:
        """Mark nothing."""

    monkeypatch.setattr(TenantDatabaseStep, "_make", make_and_mark)

    await goes_red(test_marks.test_the_mark_is_written_first_and_dropped_last, step, commands, server)


async def test_races_that_are_failures(step: ProvisioningStep, faults: Faults, monkeypatch: Patch) -> None:
    async def once(work: Callable[[], Awaitable[Any]]) -> Any:
        return await work()

    monkeypatch.setattr(provisioning, "despite_races", once)

    await goes_red(test_races.test_what_passes_is_tried_again, step, faults, "createIndexes", 276)


async def test_a_probe_that_tries_nothing(
    backend: BeanieBackend, shared: ProvisioningStep, stored: Any, server: Any, monkeypatch: Patch
) -> None:
    async def nothing(*_: Any, **__: Any) -> list[str]:
        return []

    monkeypatch.setattr(provisioning, "probe_problems", nothing)

    found_by_trying = test_shared_collections_step.test_a_validator_that_only_warns_is_found_by_trying
    await goes_red(found_by_trying, backend, shared, stored, server)


async def test_a_deletion_that_forgets_the_tenant(
    shared: ProvisioningStep, stored: Any, database: Any, monkeypatch: Patch
) -> None:
    for owner, count in (("acme", 3), ("globex", 2)):
        stored.tasks.insert_many(
            [{"_id": f"{owner} {number}", "tenant_id": owner, "title": str(number)} for number in range(count)]
        )
    stored.notes.insert_one({"_id": "one", "tenant_id": "acme"})
    monkeypatch.setattr(provisioning, "TENANT", "nobodys_field")

    counted = test_shared_collections_step.test_the_tenants_documents_are_counted_and_deleted
    await goes_red(counted, shared, stored, database)
