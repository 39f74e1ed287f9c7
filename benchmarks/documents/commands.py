"""Commands of each unit, counted by the driver's own listener."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from benchmarks.documents.contender import Contender
from benchmarks.units.workloads import Workload
from pymongo import monitoring


class Counter(monitoring.CommandListener):
    """Counts the commands that clients made from now on send."""

    def __init__(self) -> None:
        self.sent = 0
        monitoring.register(self)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count one."""
        self.sent += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """It was counted when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It was counted when it started."""


async def count_commands(
    uri: str, contenders: Sequence[Contender], workloads: Sequence[Workload]
) -> dict[tuple[str, str], int]:
    """Return the commands of one unit by workload and contender; it comes last, for a listener costs time.

    Raises:
        AssertionError: two units of one kind did not send the same number.
    """
    counter = Counter()
    counted: dict[tuple[str, str], int] = {}
    for contender in contenders:
        await contender.open(uri)
        for workload in workloads:
            if workload.key not in contender.lacks:
                sent = {await _commands(counter, contender, workload, number) for number in range(2)}
                assert len(sent) == 1, f"{contender.name}, {workload.key}: {sent}"
                counted[workload.key, contender.name] = sent.pop()
        await contender.close()
    return counted


async def _commands(counter: Counter, contender: Contender, workload: Workload, number: int) -> int:
    workload.prepare()
    before = counter.sent
    await workload.run(contender, Random(number))  # type: ignore[arg-type]  # a workload of these contenders
    return counter.sent - before
