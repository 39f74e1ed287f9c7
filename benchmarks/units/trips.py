"""Round trips of each unit, counted by a proxy between a contender and the server."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from urllib.parse import urlsplit

from benchmarks.units.contender import Contender
from benchmarks.units.workloads import Work, Workload
from tests.adapters.sqlalchemy.wire import Wire


async def count_trips(
    dsn: str, contenders: Sequence[Contender], work: Work, workloads: Sequence[Workload]
) -> dict[tuple[str, str], int]:
    """Return the trips of one unit by workload and contender, once every connection has prepared its statements."""
    parts = urlsplit(dsn)
    assert parts.hostname
    assert parts.port
    counted: dict[tuple[str, str], int] = {}
    for contender in contenders:
        async with Wire(parts.hostname, parts.port) as wire:
            await contender.open(dsn.replace(f":{parts.port}/", f":{wire.port}/"))
            for workload in workloads:
                if workload.key not in contender.lacks:
                    counted[workload.key, contender.name] = await _fewest(wire, contender, workload)
            await contender.close()
    return counted


async def _fewest(wire: Wire, contender: Contender, workload: Workload) -> int:
    """Return the trips of a unit that need not prepare anything: the fewest of many, over all connections."""
    trips: list[int] = []
    for number in range(2 if workload.rows > 1 else 25):
        workload.prepare()
        before = wire.trips
        await workload.run(contender, Random(number))
        trips.append(wire.trips - before)
    return min(trips)
