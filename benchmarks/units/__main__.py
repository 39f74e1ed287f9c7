"""`python -m benchmarks.units [--quick] [--runs 3] [--only get,list] [--write PAGE]`, from the project's root."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.units.customers import FULL, QUICK
from benchmarks.units.database import filled_database
from benchmarks.units.measuring import Figures, Results, measure, middle
from benchmarks.units.memory import all_contenders, peaks
from benchmarks.units.report import conditions, share_of_limit, table, written
from benchmarks.units.trips import count_trips
from benchmarks.units.workloads import Work


async def main(arguments: argparse.Namespace) -> None:
    """Run everything as often as was asked for, and print what counts."""
    runs = [await run(arguments, with_memory=number == 0) for number in range(arguments.runs)]
    results = middle(runs, share_of_limit)
    for title, figures in results.items():
        for name, each in figures.items():
            each.peak = runs[0][title][name].peak
    options = f" --runs {arguments.runs}" if arguments.runs > 1 else ""
    whole = f"{conditions(quick=arguments.quick, options=options)}\n\n{table(results)}"
    if arguments.runs > 1:
        print(whole)
    if arguments.write:
        page = Path(arguments.write)
        page.write_text(written(page.read_text("utf-8"), whole), "utf-8")


async def run(arguments: argparse.Namespace, *, with_memory: bool) -> Results:
    """Fill, check, measure, print."""
    amounts, rounds, seconds = (QUICK, 7, 0.06) if arguments.quick else (FULL, 25, 0.2)
    work = Work(amounts)
    wanted = [each for each in work.all() if not arguments.only or each.key in arguments.only.split(",")]
    results: dict[str, dict[str, Figures]] = {}
    async with filled_database(amounts) as dsn:
        contenders = all_contenders()
        trips = await count_trips(dsn, contenders, work, wanted)
        risen = peaks(dsn, contenders, wanted, quick=arguments.quick) if with_memory else {}
        for contender in contenders:
            await contender.open(dsn)
            await work.check(contender)
        for workload in wanted:
            figures = await measure(workload, contenders, rounds=rounds, seconds=seconds)
            for name, each in figures.items():
                each.trips, each.peak = trips[workload.key, name], risen.get((workload.key, name))
            results[workload.title] = figures
            print(table({workload.title: figures}), flush=True)
        for contender in contenders:
            await contender.close()
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: under two minutes")
    parser.add_argument("--runs", type=int, default=1, help="runs of it all; of each unit the middle one counts")
    parser.add_argument("--only", default="", help="keys of workloads, with commas")
    parser.add_argument("--write", default="", help="a page whose table is replaced")
    asyncio.run(main(parser.parse_args()))
