"""A query that names its own tenant: one statement, one trip, and the look at its plan by which it may be run so.

The statement is its own transaction, in which the setting that row-level security reads is made first and after which
it is gone. What comes first is up to PostgreSQL's plan; so nothing is run in this form whose plan has not been seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Plan = Mapping[str, Any]
"""A node of what `EXPLAIN (VERBOSE, FORMAT JSON)` returns."""

_SETTING: Final = (
    "set_config('app.current_tenant_id'::text, ",
    "pg_catalog.set_config('app.current_tenant_id'::text, ",
)
_READS_NOTHING: Final = "Result"
_INSIDE: Final = frozenset(
    (
        "Aggregate",
        "Bitmap Heap Scan",
        "Bitmap Index Scan",
        "BitmapAnd",
        "BitmapOr",
        "Incremental Sort",
        "Index Only Scan",
        "Index Scan",
        "Limit",
        "Result",
        "Seq Scan",
        "Sort",
        "Subquery Scan",
    )
)
"""Nodes that do nothing before they are asked for a row.

Append is none of them: when a statement starts, it drops partitions by what the setting is then. A plan of several
processes, or of another table than PostgreSQL's own, is none either.
"""


def fenced(sql: str, *, parameters: int) -> str:
    """Return a query that sets the tenant, its last parameter, and then does what this one does, in its order.

    Args:
        sql: one SELECT.
        parameters: how many it has; the tenant becomes the next.
    """
    tenant = f"${parameters + 1}::text"
    return (
        "SELECT found.* FROM "  # noqa: S608 -- our own statement, and a number
        f"(SELECT pg_catalog.set_config('app.current_tenant_id', {tenant}, true) AS id) AS tenant "
        # The fence: what stands in here cannot be had before the tenant's name has come out of there.
        f"CROSS JOIN LATERAL (SELECT * FROM ({sql}) AS asked WHERE tenant.id = {tenant} OFFSET 0) AS found"
    )


def is_fenced(plan: Plan) -> bool:
    """Tell whether a plan sets the tenant before it touches a table, and has to: its tables wait behind the fence."""
    if plan["Node Type"] == _READS_NOTHING and not _below(plan):
        return True
    if plan["Node Type"] != "Nested Loop" or len(_below(plan)) != 2:
        return False
    first, second = _below(plan)
    return (
        (first["Parent Relationship"], second["Parent Relationship"]) == ("Outer", "Inner")
        and _sets_tenant(first)
        and all(_waits(node) for node in _nodes(second))
        and _needs_tenant(second)
    )


def _sets_tenant(node: Plan) -> bool:
    output = node.get("Output", ())
    is_alone = node["Node Type"] == "Result" and not _below(node) and "One-Time Filter" not in node
    return is_alone and len(output) == 1 and output[0].startswith(_SETTING) and output[0].endswith(", true)")


def _needs_tenant(node: Plan) -> bool:
    """Tell whether the node asks for what the setting returned, so that no other plan could run it first."""
    return any(f"({setting}" in node.get("One-Time Filter", "") for setting in _SETTING)


def _waits(node: Plan) -> bool:
    is_inline = node.get("Parent Relationship") in ("Outer", "Inner", "Member", "Subquery")
    return node["Node Type"] in _INSIDE and is_inline and not node.get("Parallel Aware", False)


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for node in _below(plan):
        yield from _nodes(node)


def _below(plan: Plan) -> list[Plan]:
    return list(plan.get("Plans", ()))
