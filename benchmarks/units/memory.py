"""How far a unit raises the peak of a process's memory: each contender's in a fresh process, which runs this module."""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from benchmarks.units.advanced import AdvancedAlchemy
from benchmarks.units.contender import Contender
from benchmarks.units.customers import FULL, QUICK
from benchmarks.units.handwritten import HandwrittenSqlAlchemy
from benchmarks.units.product import Prismicx, PrismicxSession
from benchmarks.units.raw import RawAsyncpg
from benchmarks.units.workloads import Work, Workload

MANY_ROWS = 1000
"""From so many rows a unit on, its memory is reported."""

_PEAK_IS_NOW = "5"  # what /proc/self/clear_refs takes to forget the peak so far (proc(5))


def all_contenders() -> list[Contender]:
    """Return every contender, the limit first."""
    return [RawAsyncpg(), Prismicx(), PrismicxSession(), HandwrittenSqlAlchemy(), AdvancedAlchemy()]


def peaks(
    dsn: str, contenders: Sequence[Contender], workloads: Sequence[Workload], *, quick: bool
) -> dict[tuple[str, str], int]:
    """Return by how many bytes one unit raises the peak, by workload and contender, for units with many rows.

    Linux only: elsewhere there is no such figure.
    """
    found: dict[tuple[str, str], int] = {}
    if not Path("/proc/self/clear_refs").exists():
        return found
    for workload in workloads:
        for contender in contenders:
            if workload.rows >= MANY_ROWS and workload.key not in contender.lacks:
                options = ["--quick"] if quick else []
                command = [sys.executable, "-m", "benchmarks.units.memory", dsn, contender.name, workload.key, *options]
                answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[workload.key, contender.name] = int(answer.stdout)
    return found


async def _peak(arguments: argparse.Namespace) -> int:
    work = Work(QUICK if arguments.quick else FULL)
    workload = next(each for each in work.all() if each.key == arguments.workload)
    contender = next(each for each in all_contenders() if each.name == arguments.contender)
    random = Random(1)
    await contender.open(arguments.dsn)
    for _ in range(20):  # what is loaded, compiled and prepared once is not the unit's
        await work.get_by_id(contender, random)
        await work.list_50(contender, random)
    workload.prepare()
    gc.collect()
    Path("/proc/self/clear_refs").write_text(_PEAK_IS_NOW, "ascii")
    before = _resident("VmRSS")
    await workload.run(contender, random)
    risen = _resident("VmHWM") - before
    await contender.close()
    return risen


def _resident(name: str) -> int:
    """Return a line of this process's status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    assert found is not None, "Linux has it"
    return int(found[1]) * 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dsn", "contender", "workload"):
        parser.add_argument(name)
    parser.add_argument("--quick", action="store_true")
    print(asyncio.run(_peak(parser.parse_args())))
