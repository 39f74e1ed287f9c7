"""Twins of what is promised of places on PostgreSQL alone: fences, races and the probe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.adapters.sqlalchemy import test_fences, test_marks, test_probe, test_races
from tests.mutants import report_catch

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, fences, probe, provisioner
from prismicx.adapters.sqlalchemy.provisioning import TenantDatabaseStep
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.domain.errors import PrismicxError
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.databases import PostgresDatabase

Patch = pytest.MonkeyPatch


@pytest.fixture
def step(backend: SqlAlchemyBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, TenantDatabaseStep))
    return found


async def goes_red(test: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Return if the test fails."""
    with pytest.raises((AssertionError, pytest.fail.Exception, PrismicxError)):
        await test(*arguments)
    report_catch(f"{test.__module__.rpartition('.')[2]}.py::{test.__name__}", "SqlAlchemyBackend")


async def test_a_fence_that_lets_everybody_pass(
    backend: SqlAlchemyBackend, database: PostgresDatabase, step: ProvisioningStep, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(fences, "_RAISE", fences._RAISE.replace("WHERE known.fence <= EXCLUDED.fence", ""))

    await goes_red(test_fences.test_a_number_passes_again_and_so_does_a_greater_one, database)
    await goes_red(test_fences.test_a_zombie_waits_for_its_successor_and_is_refused, database)
    await goes_red(test_fences.test_preparing_the_database_again_keeps_the_fences, database)
    await goes_red(test_marks.test_a_worker_that_was_overtaken_neither_makes_nor_removes, step)
    await goes_red(test_marks.test_one_tenants_rows_in_shared_tables_are_counted_and_deleted, backend, database)


async def test_limits_that_are_not_set(
    backend: SqlAlchemyBackend, database: PostgresDatabase, step: ProvisioningStep, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(provisioner, "_LIMITS", "SELECT")

    await goes_red(test_races.test_a_worker_that_stands_still_is_ended_by_the_server, step, backend, database)


async def test_races_that_are_failures(step: ProvisioningStep, database: PostgresDatabase, monkeypatch: Patch) -> None:
    async def once(work: Callable[[], Awaitable[Any]]) -> Any:
        return await work()

    monkeypatch.setattr(provisioner, "despite_races", once)

    await goes_red(test_races.test_a_role_that_somebody_commits_meanwhile_is_used_if_it_is_ours, step, database)
    await goes_red(test_races.test_a_grant_that_somebody_commits_meanwhile_is_no_failure, step, database)


async def test_a_probe_that_tries_nothing(
    backend: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    async def nothing(*_: Any, **__: Any) -> list[str]:
        return []

    monkeypatch.setattr(probe, "_tried", nothing)
    own = f"tenant_id = {test_probe.OWN}"

    for using, check, reason in ((own, "true", "takes a row of another"), (own, "false", "refuses the tenant's own")):
        torn_down = test_probe.policy(test_probe.GADGETS, using, check)
        await goes_red(test_probe.test_a_wall_that_is_torn_down_is_noticed, backend, database, torn_down, reason)


async def test_a_probe_that_believes_every_policy(
    backend: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    policy_problems = probe._policy_problems

    async def none(*arguments: Any) -> tuple[list[str], list[bool]]:
        _, ordinary = await policy_problems(*arguments)
        return [], ordinary

    monkeypatch.setattr(probe, "_policy_problems", none)
    torn_down = f"CREATE POLICY more ON {test_probe.GADGETS} FOR SELECT USING (true)"

    await goes_red(test_probe.test_a_wall_that_is_torn_down_is_noticed, backend, database, torn_down, "more")


async def test_a_probe_that_is_committed(
    backend: SqlAlchemyBackend, database: PostgresDatabase, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Transaction, "rollback", Transaction.commit)

    await goes_red(test_probe.test_nothing_is_left_behind, backend, database)
