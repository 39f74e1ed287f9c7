"""Which plans may be run in one trip: those alone that set the tenant first, and cannot do otherwise."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from prismicx.adapters.sqlalchemy.one_trip import fenced, is_fenced

SETS = "set_config('app.current_tenant_id'::text, $3, true)"


def plan(**changes: Any) -> dict[str, Any]:
    """Return the plan of a query by id, as PostgreSQL 15 and 18 explain it; changes are to its side with the table."""
    scan = {"Node Type": "Index Scan", "Parent Relationship": "Outer", "Parallel Aware": False}
    first = {"Node Type": "Result", "Parent Relationship": "Outer", "Parallel Aware": False, "Output": [SETS]}
    second = {
        "Node Type": "Result",
        "Parent Relationship": "Inner",
        "Parallel Aware": False,
        "One-Time Filter": f"(({SETS}) = $3)",
        "Plans": [scan],
    }
    return {"Node Type": "Nested Loop", "Parallel Aware": False, "Plans": [first, second | changes]}


def test_a_plan_that_sets_the_tenant_before_its_scan_is_taken() -> None:
    assert is_fenced(plan())


def test_a_plan_that_reads_nothing_is_taken() -> None:
    assert is_fenced({"Node Type": "Result", "One-Time Filter": "false"})


@pytest.mark.parametrize("join", ["Hash Join", "Merge Join", "Gather", "Limit"])
def test_no_other_node_stands_at_the_top(join: str) -> None:
    assert not is_fenced(plan() | {"Node Type": join})


def test_the_sides_are_not_the_other_way_round() -> None:
    swapped = plan()
    first, second = swapped["Plans"]
    swapped["Plans"] = [second | {"Parent Relationship": "Outer"}, first | {"Parent Relationship": "Inner"}]

    assert not is_fenced(swapped)


def test_what_is_told_first_comes_first() -> None:
    reversed_sides = plan()
    reversed_sides["Plans"].reverse()

    assert not is_fenced(reversed_sides)


@pytest.mark.parametrize(
    "output",
    [
        [],
        [SETS, "t.id"],
        ["'acme'::text"],
        [SETS.replace(", true)", ", false)")],
        [SETS.replace("app.current_tenant_id", "app.another")],
        ["public." + SETS],
    ],
)
def test_the_tenant_alone_is_set_and_for_this_statement_only(output: list[str]) -> None:
    other = plan()
    other["Plans"][0]["Output"] = output

    assert not is_fenced(other)


def test_the_tenant_is_set_whatever_is_so() -> None:
    conditional = plan()
    conditional["Plans"][0]["One-Time Filter"] = "($1 = 1)"

    assert not is_fenced(conditional)


@pytest.mark.parametrize(
    "beside",
    ["Append", "Merge Append", "Gather", "Gather Merge", "Foreign Scan", "Custom Scan", "CTE Scan", "ModifyTable"],
)
def test_nothing_that_begins_by_itself_reads_the_table(beside: str) -> None:
    other = plan()
    other["Plans"][1]["Plans"][0]["Node Type"] = beside

    assert not is_fenced(other)


@pytest.mark.parametrize("relationship", ["InitPlan", "SubPlan"])
def test_nothing_is_read_on_the_side(relationship: str) -> None:
    other = plan()
    other["Plans"][1]["Plans"].append({"Node Type": "Seq Scan", "Parent Relationship": relationship})

    assert not is_fenced(other)


def test_a_plan_on_the_side_of_all_is_not_taken() -> None:
    other = plan()
    other["Plans"].insert(0, {"Node Type": "Seq Scan", "Parent Relationship": "InitPlan"})

    assert not is_fenced(other)


def test_no_part_runs_in_another_process() -> None:
    other = copy.deepcopy(plan())
    other["Plans"][1]["Plans"][0]["Parallel Aware"] = True

    assert not is_fenced(other)


@pytest.mark.parametrize("condition", ["", "($1 = 1)", "(current_setting('app.current_tenant_id'::text, true) = $1)"])
def test_a_side_that_could_run_without_the_tenant_is_not_taken(condition: str) -> None:
    assert not is_fenced(plan(**{"One-Time Filter": condition}))


def test_the_tenant_is_the_parameter_after_those_of_the_query() -> None:
    statement = fenced("SELECT id FROM widgets WHERE tenant_id = $1 AND id = $2", parameters=2)

    assert "(SELECT id FROM widgets WHERE tenant_id = $1 AND id = $2)" in statement
    assert "set_config('app.current_tenant_id', $3::text, true)" in statement
