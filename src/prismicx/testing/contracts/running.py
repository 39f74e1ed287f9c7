"""Running a unit of work again: for the causes that left nothing behind, and once under one idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from prismicx.domain.applied import AppliedUnits, forget_applied_units
from prismicx.domain.errors import (
    AlreadyAppliedError,
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConnectionLostError,
    DeadlineExceededError,
    InvalidNameError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
    StatementTimeoutError,
    TransactionConflictError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.moments import utc_now
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.retry import Retry
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import PATIENCE, store, stored, stored_count
from prismicx.testing.examples import Widget, Widgets

AT_ONCE = Retry(base=0.001, cap=0.001)

Work = Callable[[UnitOfWork], Awaitable[int]]


class RunContract(TwoTenants):
    """What `Backend.run` promises."""

    isolations: frozenset[Isolation] = frozenset((Isolation.READ_COMMITTED,))
    """What the backend can give."""

    async def test_run_commits_and_returns_what_the_work_returned(self, backend: Backend, acme: TenantId) -> None:
        assert await backend.run(acme, adding()) == 1

        assert await stored_count(backend, acme) == 1

    @pytest.mark.parametrize(
        "error",
        (TransactionConflictError("40001"), ConnectionLostError("gone"), ConcurrencyError("Widget", (1,))),
        ids=lambda error: type(error).__name__,
    )
    async def test_what_left_nothing_behind_is_run_again(
        self, backend: Backend, acme: TenantId, error: PrismicxError
    ) -> None:
        tries = await backend.run(acme, adding(error, error), retry=AT_ONCE)

        assert tries == 3
        assert await stored_count(backend, acme) == 1

    async def test_the_last_error_is_raised_when_the_tries_are_used_up(self, backend: Backend, acme: TenantId) -> None:
        errors = [TransactionConflictError(code) for code in ("first", "second", "third")]

        with pytest.raises(TransactionConflictError, match="second"):
            await backend.run(acme, adding(*errors), retry=Retry(tries=2, base=0.001, cap=0.001))

        assert await stored_count(backend, acme) == 0

    @pytest.mark.parametrize(
        "error",
        (StatementTimeoutError("57014"), CommitOutcomeUnknownError("of another unit"), ValueError("a mistake")),
        ids=lambda error: type(error).__name__,
    )
    async def test_nothing_else_is_run_again(self, backend: Backend, acme: TenantId, error: Exception) -> None:
        with pytest.raises(type(error)):
            await backend.run(acme, adding(error), retry=AT_ONCE, idempotency_key="once")

        assert await stored_count(backend, acme) == 0

    async def test_a_stale_version_is_left_to_whoever_asks_for_it(self, backend: Backend, acme: TenantId) -> None:
        with pytest.raises(ConcurrencyError):
            await backend.run(acme, adding(ConcurrencyError("Widget", (1,))), retry=Retry(stale=False))

    async def test_work_that_has_committed_by_itself_is_never_run_again(self, backend: Backend, acme: TenantId) -> None:
        async def commit_and_fail(unit: UnitOfWork) -> None:
            unit.repository(Widgets).add(Widget())
            await unit.commit()
            raise TransactionConflictError("of somewhere else")

        with pytest.raises(TransactionConflictError):
            await backend.run(acme, commit_and_fail, retry=AT_ONCE)

        assert await stored_count(backend, acme) == 1

    async def test_the_deadline_is_for_all_tries(self, backend: Backend, acme: TenantId) -> None:
        async def hang(unit: UnitOfWork) -> None:
            async with asyncio.timeout(PATIENCE):
                await asyncio.Event().wait()

        with pytest.raises(DeadlineExceededError):
            await backend.run(acme, hang, deadline=0.05)
        with pytest.raises(TransactionConflictError):
            await backend.run(
                acme, adding(*[TransactionConflictError("40001")] * 9), deadline=0.5, retry=Retry(9, base=99, cap=99)
            )

    # --- Idempotency keys. ---

    async def test_a_key_is_applied_once(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        before, again = utc_now(), adding()
        await backend.run(acme, adding(), idempotency_key="order's \\ 1 €")

        with pytest.raises(AlreadyAppliedError) as refused:
            await backend.run(acme, again, idempotency_key="order's \\ 1 €")

        assert before <= refused.value.at <= utc_now()
        assert refused.value.key == "order's \\ 1 €"
        assert again.tries == 0
        assert await stored_count(backend, acme) == 1
        assert await backend.run(globex, adding(), idempotency_key="order's \\ 1 €") == 1
        assert await backend.run(acme, adding(), idempotency_key="order 2") == 1

    async def test_a_key_that_was_not_committed_is_free(self, backend: Backend, acme: TenantId) -> None:
        async with backend.unit_of_work(acme, idempotency_key="order 1") as uow:
            uow.repository(Widgets).add(Widget())
            await uow.flush()
        with pytest.raises(ZeroDivisionError):
            await backend.run(acme, adding(ZeroDivisionError()), idempotency_key="order 1")

        assert await backend.run(acme, adding(), idempotency_key="order 1") == 1

    async def test_of_many_that_apply_one_key_at_once_one_does(self, backend: Backend, acme: TenantId) -> None:
        runs = [
            backend.run(acme, adding(), idempotency_key="order 1", retry=Retry(tries=50, base=0.01, cap=0.02))
            for _ in range(5)
        ]

        outcomes = await asyncio.gather(*runs, return_exceptions=True)

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyAppliedError"] * 4 + ["int"]
        assert await stored_count(backend, acme) == 1

    @pytest.mark.parametrize("lasts", (True, False), ids=("it lasts", "it does not"))
    async def test_a_lost_answer_to_commit_is_looked_up_by_the_key(
        self, backend: Backend, acme: TenantId, monkeypatch: pytest.MonkeyPatch, *, lasts: bool
    ) -> None:
        lose_answers(backend, acme, monkeypatch, lasts=lasts)
        work = adding()

        tries = await backend.run(acme, work, retry=AT_ONCE, idempotency_key="order 1")

        assert tries == work.tries == (1 if lasts else 2)
        assert await stored_count(backend, acme) == 1

    @pytest.mark.parametrize("lasts", (True, False), ids=("it lasts", "it does not"))
    async def test_without_a_key_a_lost_answer_is_an_unknown_outcome(
        self, backend: Backend, acme: TenantId, monkeypatch: pytest.MonkeyPatch, *, lasts: bool
    ) -> None:
        lose_answers(backend, acme, monkeypatch, lasts=lasts)

        with pytest.raises(CommitOutcomeUnknownError):
            await backend.run(acme, adding(), retry=AT_ONCE)

        assert await stored_count(backend, acme) == int(lasts)

    async def test_an_outcome_that_could_not_be_found_out_stays_unknown(
        self, backend: Backend, acme: TenantId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_answers(backend, acme, monkeypatch, lasts=True, then=ConnectionLostError("gone"))

        with pytest.raises(CommitOutcomeUnknownError) as unknown:
            await backend.run(acme, adding(), retry=AT_ONCE, idempotency_key="order 1")

        assert isinstance(unknown.value.__cause__, ConnectionLostError)

    @pytest.mark.parametrize("key", ("", "x" * 201, "two\nlines"), ids=("empty", "too long", "not printable"))
    async def test_a_key_is_a_short_printable_text(self, backend: Backend, acme: TenantId, key: str) -> None:
        with pytest.raises(InvalidNameError):
            backend.unit_of_work(acme, idempotency_key=key)

    async def test_a_unit_that_reads_only_has_no_key(self, backend: Backend, acme: TenantId) -> None:
        with pytest.raises(ReadOnlyUnitOfWorkError):
            backend.unit_of_work(acme, read_only=True, idempotency_key="order 1")

    async def test_records_are_forgotten_by_age(self, backend: Backend, acme: TenantId, globex: TenantId) -> None:
        for number in range(3):
            await backend.run(acme, adding(), idempotency_key=f"order {number}")
        await backend.run(globex, adding(), idempotency_key="order 1")

        kept = await forget_applied_units(lambda: backend.unit_of_work(acme), older_than=timedelta(days=1))
        forgotten = await forget_applied_units(
            lambda: backend.unit_of_work(acme), older_than=timedelta(seconds=-9), batch=2
        )

        assert (kept, forgotten) == (0, 3)
        async with backend.unit_of_work(globex, read_only=True) as uow:
            assert [record.key for record in await uow.repository(AppliedUnits).list()] == ["order 1"]

    # --- Isolation. ---

    @pytest.mark.parametrize("isolation", Isolation, ids=lambda isolation: isolation.name.lower())
    async def test_an_isolation_is_given_or_refused(
        self, backend: Backend, acme: TenantId, isolation: Isolation
    ) -> None:
        if isolation not in self.isolations:
            with pytest.raises(UnsupportedOperationError, match=isolation.value):
                backend.unit_of_work(acme, isolation=isolation)
            return
        widget = Widget(name="before")
        await store(backend, acme, widget, Widget())

        async with backend.unit_of_work(acme, isolation=isolation, read_only=True) as uow:
            await uow.repository(Widgets).count()
            async with backend.unit_of_work(acme) as other:
                (await other.repository(Widgets).get(widget.id)).name = "after"
                await other.commit()
            seen = await uow.repository(Widgets).get(widget.id)

        assert seen.name == ("after" if isolation is Isolation.READ_COMMITTED else "before")
        assert await stored(backend, acme, widget) is not None

    async def test_a_unit_that_did_not_last_leaves_its_aggregates_their_versions(
        self, backend: Backend, acme: TenantId
    ) -> None:
        widget, new = Widget(), Widget()
        await store(backend, acme, widget)

        async with backend.unit_of_work(acme) as uow:
            found = await uow.repository(Widgets).get(widget.id)
            found.amount += 1
            uow.repository(Widgets).add(new)
            await uow.flush()
            assert (found.version, new.version) == (2, 1)

        assert (found.version, new.version) == (1, 0)


class adding:  # noqa: N801  # called like a function
    """Work that adds a widget and returns how often it was run; its first runs end with the errors given."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def __call__(self, unit: UnitOfWork) -> int:
        self.tries += 1
        unit.repository(Widgets).add(Widget())
        await unit.flush()
        if self._errors:
            raise self._errors.pop(0)
        return self.tries


def lose_answers(
    backend: Backend,
    tenant: TenantId,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lasts: bool,
    then: PrismicxError | None = None,
) -> None:
    """Lose the answer to the first commit of the backend's units, which lasts or does not.

    Args:
        then: what every unit after it meets when it begins.
    """
    kind: Any = type(backend.unit_of_work(tenant))
    commit, begin = kind._commit, kind._begin
    lost: list[object] = []

    async def commit_unheard(unit: Any) -> None:
        if lost:
            await commit(unit)
            return
        lost.append(unit)
        if lasts:
            await commit(unit)
        raise CommitOutcomeUnknownError("the answer was lost")

    async def begin_if_possible(unit: Any) -> None:
        if lost and then is not None:
            raise then
        await begin(unit)

    monkeypatch.setattr(kind, "_commit", commit_unheard)
    monkeypatch.setattr(kind, "_begin", begin_if_possible)
