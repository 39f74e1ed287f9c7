"""Timing that a busy machine does not bend: contenders take turns, and only ratios of one round are compared."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

from benchmarks.units.contender import Contender
from benchmarks.units.workloads import Workload

SEED = 20261122


@dataclass(slots=True)
class Figures:
    """What one contender needed for one workload.

    Attributes:
        rates: units per second, one figure a round.
        cpu: seconds of this process's time per unit, one figure a round.
        latencies: seconds of each unit, over all rounds.
        trips: round trips of one unit.
        peak: bytes by which one unit raises the peak of a fresh process's memory, where that is of interest.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    trips: int = 0
    peak: int | None = None

    @property
    def rate(self) -> float:
        """The median of units per second."""
        return median(self.rates)

    def ratio_to(self, other: Figures) -> float:
        """Return how many times as fast as the other: the median over the rounds, each compared with itself."""
        return median(mine / its for mine, its in zip(self.rates, other.rates, strict=True))

    def percentile(self, percent: int) -> float:
        """Return the latency that this share of the units did not exceed."""
        return quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


Results = Mapping[str, Mapping[str, Figures]]
"""Figures by the title of the workload, then by contender."""


def middle(runs: Sequence[Results], key: Callable[[Mapping[str, Figures]], float]) -> Results:
    """Return, workload by workload, the figures of the run that is the middle one by this key.

    Of an even number of runs the lower one of the two in the middle counts.
    """
    return {title: sorted((run[title] for run in runs), key=key)[(len(runs) - 1) // 2] for title in runs[0]}


async def measure(
    workload: Workload, contenders: Sequence[Contender], *, rounds: int, seconds: float
) -> dict[str, Figures]:
    """Return the figures of all contenders that have this unit, after a round that warms up.

    Args:
        workload: what to do.
        contenders: who does it.
        rounds: how many turns each contender has, before the workload's own share.
        seconds: how long a turn lasts; at least one unit is done.
    """
    able = [contender for contender in contenders if workload.key not in contender.lacks]
    figures = {contender.name: Figures() for contender in able}
    for number in range(-1, max(3, round(rounds * workload.rounds))):
        for contender in able[number % len(able) :] + able[: number % len(able)]:
            rate, cpu, latencies = await _turn(workload, contender, seconds, Random(SEED + number))
            if number >= 0:
                figures[contender.name].rates.append(rate)
                figures[contender.name].cpu.append(cpu)
                figures[contender.name].latencies += latencies
    return figures


async def _turn(
    workload: Workload, contender: Contender, seconds: float, random: Random
) -> tuple[float, float, list[float]]:
    """Return units per second, seconds of CPU per unit, and the latencies; preparing a unit costs nothing."""
    latencies: list[float] = []
    aside = [0.0, 0.0]

    async def work() -> None:
        while True:
            before, cpu_before = time.perf_counter(), time.process_time()
            workload.prepare()
            begun = time.perf_counter()
            aside[0] += begun - before
            aside[1] += time.process_time() - cpu_before
            await workload.run(contender, random)
            ended = time.perf_counter()
            latencies.append(ended - begun)
            if ended >= end:
                return

    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    end = start + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(workload.tasks):
            group.create_task(work())
    taken, used = time.perf_counter() - start - aside[0], time.process_time() - cpu - aside[1]
    return len(latencies) / taken, used / len(latencies), latencies
