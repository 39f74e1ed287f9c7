"""Twins of what a unit promises that is interrupted or run again: with the bug planted, the contract goes red."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.contract.opened import opened_memory
from tests.mutants import report_catch

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.deadline import Deadline
from prismicx.adapters.memory import MemoryBackend, MemoryUnitOfWork
from prismicx.adapters.running import Run
from prismicx.adapters.terms import WRITING
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.applied import forget_applied_units
from prismicx.domain.causes import Cause
from prismicx.domain.errors import (
    AlreadyAppliedError,
    CommitOutcomeUnknownError,
    DeadlineExceededError,
    PrismicxError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.testing.contracts import UnitOfWorkContract as Contract
from prismicx.testing.contracts import assert_contract_catches, running
from prismicx.testing.interruption import Moment

Patch = pytest.MonkeyPatch


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


# --- Interrupted. ---


@pytest.fixture
def units_that_wait(monkeypatch: Patch) -> None:
    """Memory never waits: let it, at each of its steps, so that it can be interrupted there."""
    for name in ("_begin", "_insert", "_update", "_commit"):
        step = getattr(MemoryUnitOfWork, name)

        def waiting(step: Any) -> Any:
            async def wait_first(self: MemoryUnitOfWork, *arguments: Any) -> None:
                await asyncio.sleep(0)
                await step(self, *arguments)

            return wait_first

        monkeypatch.setattr(MemoryUnitOfWork, name, waiting(step))


@pytest.mark.usefixtures("units_that_wait")
async def test_a_unit_that_keeps_a_part_when_it_is_cancelled(backend: MemoryBackend, monkeypatch: Patch) -> None:
    insert = MemoryUnitOfWork._insert

    async def insert_for_good(self: MemoryUnitOfWork, *arguments: Any) -> None:
        await insert(self, *arguments)
        self._overlay.commit()

    monkeypatch.setattr(MemoryUnitOfWork, "_insert", insert_for_good)

    await assert_contract_catches(
        Contract.test_cancellation_at_every_await_leaves_nothing_half_done, backend, moment=Moment.WAITING
    )


@pytest.mark.usefixtures("units_that_wait")
async def test_a_deadline_in_commit_that_is_reported_as_not_done(backend: MemoryBackend, monkeypatch: Patch) -> None:
    commit, verdict = MemoryUnitOfWork._commit, Deadline.verdict

    async def commit_and_wait(self: MemoryUnitOfWork) -> None:
        await commit(self)
        await asyncio.sleep(0)

    def not_done(self: Deadline, error: BaseException, *, place: str, commit_sent: bool) -> PrismicxError | None:
        return verdict(self, error, place=place, commit_sent=False)

    monkeypatch.setattr(MemoryUnitOfWork, "_commit", commit_and_wait)
    monkeypatch.setattr(Deadline, "verdict", not_done)

    await assert_contract_catches(
        Contract.test_a_deadline_that_passes_at_any_await_says_rightly_what_lasts, backend, moment=Moment.WAITING
    )


async def test_a_deadline_that_nobody_keeps(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Deadline, "start", lambda self: None)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await Contract().test_a_unit_whose_time_is_over_is_rolled_back(backend, TenantId.new())
    report_catch("interruption.py::test_a_unit_whose_time_is_over_is_rolled_back", "MemoryBackend")


@pytest.mark.usefixtures("units_that_wait")
async def test_a_deadline_that_comes_too_early(backend: MemoryBackend, monkeypatch: Patch) -> None:
    start = Deadline.start

    def at_once(self: Deadline) -> None:
        self._seconds /= 1e9
        start(self)

    monkeypatch.setattr(Deadline, "start", at_once)

    await assert_contract_catches(
        Contract.test_a_unit_that_is_done_in_time_is_left_alone, backend, raising=DeadlineExceededError
    )


async def test_options_that_nobody_looks_at(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def plain(self: TrackedBackend, tenant: TenantId, **options: Any) -> TrackedUnitOfWork:
        return self._unit(tenant, terms=WRITING)

    monkeypatch.setattr(TrackedBackend, "unit_of_work", plain)

    await assert_contract_catches(Contract.test_a_deadline_is_a_positive_number_of_seconds, backend, seconds=0)
    await assert_contract_catches(Contract.test_a_key_is_a_short_printable_text, backend, key="")
    await assert_contract_catches(Contract.test_a_unit_that_reads_only_has_no_key, backend)


async def test_a_cancellation_that_is_taken_for_a_deadline(backend: MemoryBackend, monkeypatch: Patch) -> None:
    def always(self: Deadline, error: BaseException, *, place: str, commit_sent: bool) -> PrismicxError | None:
        return DeadlineExceededError(place, 1)

    monkeypatch.setattr(Deadline, "verdict", always)

    await assert_contract_catches(Contract.test_a_cancellation_is_no_deadline, backend, raising=DeadlineExceededError)


# --- Run again. ---


async def test_a_run_that_gives_up_at_once(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Run, "_is_repeated", lambda self, cause, error: False)

    await assert_contract_catches(
        Contract.test_what_left_nothing_behind_is_run_again,
        backend,
        raising=PrismicxError,
        error=PrismicxErrorWithCause("conflict"),
    )


async def test_a_run_that_does_not_commit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def forgotten(self: Run[Any], unit: TrackedUnitOfWork, result: Any) -> None:
        """Leave the unit as it is."""

    monkeypatch.setattr(Run, "_commit", forgotten)

    await assert_contract_catches(Contract.test_run_commits_and_returns_what_the_work_returned, backend)


async def test_a_run_that_knows_no_limits(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Run, "_wait_after", lambda self, error: 0.0)

    await assert_contract_catches(Contract.test_the_last_error_is_raised_when_the_tries_are_used_up, backend)
    await assert_contract_catches(Contract.test_the_deadline_is_for_all_tries, backend, raising=PrismicxError)


async def test_a_run_that_forgets_what_was_not_answered(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def commit_only(self: Run[Any], unit: TrackedUnitOfWork, result: Any) -> None:
        await unit.commit()

    monkeypatch.setattr(Run, "_commit", commit_only)

    with monkeypatch.context() as patched:
        await assert_contract_catches(
            Contract.test_an_outcome_that_could_not_be_found_out_stays_unknown, backend, monkeypatch=patched
        )


async def test_records_that_are_forgotten_whatever_their_age(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def all_of_them(open_unit: Any, *, older_than: timedelta, batch: int = 1000) -> int:
        return await forget_applied_units(open_unit, older_than=timedelta(days=-1), batch=batch)

    monkeypatch.setattr(running, "forget_applied_units", all_of_them)

    await assert_contract_catches(Contract.test_records_are_forgotten_by_age, backend)


async def test_a_run_that_repeats_everything(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def twice(self: TrackedBackend, tenant: Any, work: Any, **options: Any) -> Any:
        for _ in range(2):
            try:
                async with self.unit_of_work(tenant) as uow:
                    result = await work(uow)
                    if not uow.has_ended:
                        await uow.commit()
                    return result
            except Exception:  # noqa: BLE001  # the bug
                continue
        return None

    monkeypatch.setattr(TrackedBackend, "run", twice)

    error = ValueError("a mistake")
    await assert_contract_catches(Contract.test_nothing_else_is_run_again, backend, error=error)
    await assert_contract_catches(Contract.test_work_that_has_committed_by_itself_is_never_run_again, backend)
    await assert_contract_catches(Contract.test_a_stale_version_is_left_to_whoever_asks_for_it, backend)


async def test_a_key_that_nobody_records(backend: MemoryBackend, monkeypatch: Patch) -> None:
    async def unrecorded(self: TrackedUnitOfWork, record: Any) -> None:
        """Leave no record."""

    monkeypatch.setattr(TrackedUnitOfWork, "_leave_record", unrecorded)

    await assert_contract_catches(Contract.test_a_key_is_applied_once, backend)
    await assert_contract_catches(Contract.test_of_many_that_apply_one_key_at_once_one_does, backend)
    with monkeypatch.context() as patched:
        await assert_contract_catches(
            Contract.test_a_lost_answer_to_commit_is_looked_up_by_the_key, backend, monkeypatch=patched, lasts=True
        )


async def test_a_key_that_is_recorded_before_the_unit_lasts(backend: MemoryBackend, monkeypatch: Patch) -> None:
    leave = TrackedUnitOfWork._leave_record

    async def leave_for_good(self: Any, record: Any) -> Any:
        standing = await leave(self, record)
        self._overlay.commit()
        return standing

    monkeypatch.setattr(TrackedUnitOfWork, "_leave_record", leave_for_good)

    await assert_contract_catches(
        Contract.test_a_key_that_was_not_committed_is_free, backend, raising=AlreadyAppliedError
    )


async def test_a_lost_answer_that_is_repeated_blindly(backend: MemoryBackend, monkeypatch: Patch) -> None:
    repeated = Run._is_repeated

    def blindly(self: Run[Any], cause: Cause, error: PrismicxError) -> bool:
        return isinstance(error, CommitOutcomeUnknownError) or repeated(self, cause, error)

    monkeypatch.setattr(Run, "_is_repeated", blindly)

    with monkeypatch.context() as patched:
        await assert_contract_catches(
            Contract.test_without_a_key_a_lost_answer_is_an_unknown_outcome, backend, monkeypatch=patched, lasts=True
        )


async def test_an_isolation_that_is_promised_and_not_kept(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(MemoryBackend, "isolations", frozenset(Isolation))

    await assert_contract_catches(
        Contract.test_an_isolation_is_given_or_refused, backend, isolation=Isolation.REPEATABLE_READ
    )


async def test_versions_that_outlive_their_unit(backend: MemoryBackend, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Tracker, "take_back", Tracker.forget)

    await assert_contract_catches(Contract.test_a_unit_that_did_not_last_leaves_its_aggregates_their_versions, backend)


class PrismicxErrorWithCause(PrismicxError):
    """What leaves nothing behind."""

    cause = Cause.SERIALIZATION
