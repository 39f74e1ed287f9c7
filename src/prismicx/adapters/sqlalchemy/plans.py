"""Which queries may be run in one trip on one database, as far as their plans have been seen."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from prismicx.adapters.sqlalchemy.one_trip import Plan, fenced, is_fenced
from prismicx.adapters.sqlalchemy.pool import Connection

_VALID: Final = 600.0
"""Seconds after which a plan is looked at again: the team may have changed its tables."""

_EXPLAIN: Final = "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON)"
_PREPARED: Final = "prismicx_plan"
_HAS_CITUS: Final = "SELECT count(*) FROM pg_catalog.pg_extension WHERE extname = 'citus'"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a query.

    Attributes:
        one_trip: the statement that sets the tenant and does the same; `None` where that is not proven to be safe.
        until: when it is to be looked at again, by the monotonic clock.
    """

    one_trip: str | None
    until: float


class Plans:
    """The verdicts on the queries of one database, by their text, which names the schema.

    Args:
        limit: verdicts kept, the least recently used go first.
    """

    __slots__ = ("_known", "_limit")

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Verdict] = OrderedDict()

    def known(self, sql: str) -> Verdict | None:
        """Return the verdict on a query, or `None` where it has to be looked at."""
        verdict = self._known.get(sql)
        if verdict is None or time.monotonic() >= verdict.until:
            return None
        self._known.move_to_end(sql)
        return verdict

    async def look(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> Verdict:
        """Find out whether the tenant is set before a table is touched, in the plan for these values and for any.

        Nothing of the query is run, and no tenant is set, as when it will be planned.

        Args:
            connection: outside of a transaction.
            sql: one SELECT.
            arguments: those of the query, then the tenant.
        """
        candidate = fenced(sql, parameters=len(arguments) - 1)
        is_safe = await _is_safe(connection, candidate, arguments)
        verdict = self._known[sql] = Verdict(candidate if is_safe else None, time.monotonic() + _VALID)
        self._known.move_to_end(sql)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return verdict


async def _is_safe(connection: Connection, sql: str, arguments: Sequence[Any]) -> bool:
    if await connection.fetchval(_HAS_CITUS):
        return False  # set_config does not reach its workers
    for_values = _plan(await connection.fetchval(f"{_EXPLAIN} {sql}", *arguments))
    return is_fenced(for_values) and is_fenced(await _plan_for_any(connection, sql, parameters=len(arguments)))


async def _plan_for_any(connection: Connection, sql: str, *, parameters: int) -> Plan:
    """Return the plan that the server takes once it has planned a prepared statement for five times' values."""
    settings = "SET LOCAL plan_cache_mode = force_generic_plan"
    await connection.execute(f"BEGIN READ ONLY; {settings}; PREPARE {_PREPARED} AS {sql}")
    values = ", ".join(["NULL"] * parameters)
    found = await connection.fetchval(f"{_EXPLAIN} EXECUTE {_PREPARED} ({values})")
    await connection.execute(f"ROLLBACK; DEALLOCATE {_PREPARED}")
    return _plan(found)


def _plan(explained: Any) -> Plan:
    # The codec of our connections reads JSON; one without it would leave the text.
    found = json.loads(explained) if isinstance(explained, str) else explained
    plan: Plan = found[0]["Plan"]
    return plan
