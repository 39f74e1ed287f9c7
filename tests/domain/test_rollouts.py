"""How a rollout counts: its waves, its error budget, and what a resumption makes of what was done."""

from __future__ import annotations

from typing import Any

import pytest

from prismicx.adapters.fields import entity_from, plain_values
from prismicx.domain.errors import IllegalTransitionError, InvalidRolloutError
from prismicx.domain.identifiers import PluginType, TenantId, Version
from prismicx.domain.plugins import Plugin
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, RolloutStatus, Tally


def a_rollout(**plan: Any) -> PluginRollout:
    plugin = Plugin.named("contacts", PluginType("crm"))
    return PluginRollout.begin(plugin, Version("1.1.0"), RolloutPlan(**plan), left=200)


@pytest.mark.parametrize(
    "options",
    [
        {"waves": []},
        {"waves": [50]},
        {"waves": [100, 50]},
        {"waves": [50, 50, 100]},
        {"waves": [0, 100]},
        {"waves": [50, 100, 101]},
        {"concurrency": 0},
        {"concurrency": 101},
        {"error_budget": "-1"},
        {"error_budget": "1.5%"},
        {"error_budget": "101%"},
        {"error_budget": "many"},
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(options: Any) -> None:
    with pytest.raises(InvalidRolloutError, match="does not fit"):
        RolloutPlan(**options)


def test_a_canary_named_twice_is_one() -> None:
    assert RolloutPlan(canaries=[TenantId("acme")] * 2).canaries == (TenantId("acme"),)


def test_waves_end_after_whole_tenants_rounded_up() -> None:
    plan = RolloutPlan(waves=[1, 10, 50, 100])

    assert plan.wave_ends(200) == (2, 20, 100, 200)
    assert plan.wave_ends(3) == (1, 1, 2, 3)
    assert plan.wave_ends(0) == (0, 0, 0, 0)


@pytest.mark.parametrize(("budget", "allowed"), [("0", 0), ("3", 3), ("1%", 2), ("100%", 200)])
def test_a_budget_is_a_number_or_a_percentage_rounded_down(budget: str, allowed: int) -> None:
    rollout = a_rollout(error_budget=budget)
    rollout.note(Tally(failed=allowed))
    assert not rollout.has_used_up_its_budget

    rollout.note(Tally(failed=allowed + 1))

    assert rollout.has_used_up_its_budget


def test_the_wave_is_told_by_how_many_were_come_to() -> None:
    rollout = a_rollout()
    told = []
    for attempted in (0, 1, 2, 20, 199, 200):
        rollout.note(Tally(upgraded=attempted))
        told.append(rollout.wave)

    assert told == [1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("left", "upgraded", "total"),
    [(150, 50, 200), (160, 40, 200), (190, 40, 230), (0, 200, 200)],
    ids=["as recorded or more", "as recorded", "others came in", "nobody"],
)
def test_resumed_it_counts_who_is_left(left: int, upgraded: int, total: int) -> None:
    rollout = a_rollout()
    rollout.note(Tally(upgraded=40, failed=3, skipped=2))
    rollout.pause("3 failed")

    rollout.resume(left=left)

    assert (rollout.status, rollout.reason) == (RolloutStatus.RUNNING, None)
    assert (rollout.tally, rollout.total) == (Tally(upgraded=upgraded), total)


def test_what_is_done_is_not_gone_on_with() -> None:
    rollout = a_rollout()
    rollout.finish()

    for verb in (rollout.finish, rollout.supersede, lambda: rollout.pause("why"), lambda: rollout.resume(left=1)):
        with pytest.raises(IllegalTransitionError, match=r"the rollout of contacts 1\.1\.0 cannot go from done"):
            verb()


def test_a_rollout_is_the_same_after_it_was_stored() -> None:
    rollout = a_rollout(canaries=[TenantId("acme")], waves=[5, 100], concurrency=7, error_budget="2%")
    rollout.note(Tally(upgraded=3, failed=1))

    assert entity_from(PluginRollout, plain_values(rollout), version=1, tenant=None) == rollout
