"""The tools of the contracts do what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import strategies as st
from tests.contract.opened import opened_memory

from prismicx.adapters.deadline import Deadline
from prismicx.adapters.memory import MemoryUnitOfWork
from prismicx.domain.identifiers import TenantId
from prismicx.testing import interruption
from prismicx.testing.contracts import (
    TenancyContract,
    UnitOfWorkContract,
    assert_contract_catches,
    concurrency,
    running,
)
from prismicx.testing.contracts import interruption as interruptions
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.contracts.tenancy import SHARED
from prismicx.testing.contracts.working import reached

_HANGS = 5


async def test_a_test_that_stays_green_is_reported() -> None:
    async with opened_memory() as backend:
        with pytest.raises(AssertionError, match="stays green on MemoryBackend"):
            await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, backend, kept=SHARED)


async def test_an_error_that_is_no_way_to_go_red_is_raised() -> None:
    async with opened_memory() as backend:
        with pytest.raises(TypeError):
            await assert_contract_catches(TenancyContract.test_another_tenant_sees_nothing, backend)


async def test_a_property_is_asked_of_as_many_examples_as_wanted() -> None:
    seen: list[int] = []

    async def holds(number: int) -> None:
        seen.append(number)

    await for_all(st.integers(), holds, examples=17)

    assert len(seen) == 17


async def test_a_property_that_fails_fails_with_the_smallest_example() -> None:
    async def holds(number: int) -> None:
        assert number < 100, f"{number} is too large"

    with pytest.raises(AssertionError, match="100 is too large"):
        await for_all(st.integers(), holds, examples=200)


@pytest.mark.parametrize(
    "test",
    [
        UnitOfWorkContract.test_cancellation_in_the_middle_leaves_nothing,
        UnitOfWorkContract.test_a_cancellation_is_no_deadline,
    ],
    ids=lambda test: test.__name__,
)
async def test_a_unit_that_does_not_begin_fails_who_waits_for_it(
    test: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: MemoryUnitOfWork) -> None:
        raise NotImplementedError

    monkeypatch.setattr(MemoryUnitOfWork, "_begin", fail)

    async with opened_memory() as backend, asyncio.timeout(_HANGS):
        with pytest.raises(NotImplementedError):
            await test(UnitOfWorkContract(), backend, TenantId("acme"))


async def test_of_two_units_that_wait_for_each_other_one_that_fails_fails_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[MemoryUnitOfWork] = []

    async def fail_once(self: MemoryUnitOfWork) -> None:
        begun.append(self)
        if len(begun) == 1:
            raise NotImplementedError

    monkeypatch.setattr(MemoryUnitOfWork, "_begin", fail_once)
    monkeypatch.setattr(concurrency, "PATIENCE", 0.05)

    async with opened_memory() as backend, asyncio.timeout(_HANGS):
        test = UnitOfWorkContract.test_of_two_units_that_add_one_key_one_succeeds
        await assert_contract_catches(test, backend, raising=TimeoutError)


@pytest.mark.parametrize(
    "test",
    [
        UnitOfWorkContract.test_a_unit_whose_time_is_over_is_rolled_back,
        UnitOfWorkContract.test_the_deadline_is_for_all_tries,
    ],
    ids=lambda test: test.__name__,
)
async def test_a_deadline_that_never_passes_fails_the_test(
    test: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deadline, "start", lambda self: None)
    monkeypatch.setattr(interruptions, "PATIENCE", 0.1)
    monkeypatch.setattr(running, "PATIENCE", 0.1)

    async with opened_memory() as backend, asyncio.timeout(_HANGS):
        with pytest.raises(TimeoutError):
            await test(UnitOfWorkContract(), backend, TenantId("acme"))


async def test_a_task_that_ends_too_early_is_not_waited_for() -> None:
    async def end() -> None:
        """Say nothing."""

    async with asyncio.timeout(_HANGS):
        with pytest.raises(AssertionError, match="without coming this far"):
            await reached(asyncio.Event(), by=asyncio.create_task(end()))


async def test_work_that_does_not_end_when_interrupted_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    monkeypatch.setattr(interruption, "_PATIENCE", 0.05)

    async with asyncio.timeout(_HANGS):
        with pytest.raises(AssertionError, match="does not end"):
            await interruption.interrupted_at(hang(), 1, interruption.Moment.WAITING)
