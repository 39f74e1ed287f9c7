"""`python -m benchmarks.units [--quick] [--only get,list] [--write PAGE]`, from the project's root."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.units.advanced import AdvancedAlchemy
from benchmarks.units.contender import Contender
from benchmarks.units.customers import FULL, QUICK
from benchmarks.units.database import filled_database
from benchmarks.units.handwritten import HandwrittenSqlAlchemy
from benchmarks.units.measuring import Figures, measure
from benchmarks.units.product import Prismicx, PrismicxSession
from benchmarks.units.raw import RawAsyncpg
from benchmarks.units.report import conditions, table, written
from benchmarks.units.trips import count_trips
from benchmarks.units.workloads import Work


async def main(arguments: argparse.Namespace) -> None:
    """Fill, check, measure, print."""
    amounts, rounds, seconds = (QUICK, 7, 0.06) if arguments.quick else (FULL, 25, 0.2)
    work = Work(amounts)
    wanted = [each for each in work.all() if not arguments.only or each.key in arguments.only.split(",")]
    results: dict[str, dict[str, Figures]] = {}
    async with filled_database(amounts) as dsn:
        contenders: list[Contender] = [
            RawAsyncpg(),
            Prismicx(),
            PrismicxSession(),
            HandwrittenSqlAlchemy(),
            AdvancedAlchemy(),
        ]
        trips = await count_trips(dsn, contenders, work, wanted)
        for contender in contenders:
            await contender.open(dsn)
            await work.check(contender)
        for workload in wanted:
            figures = await measure(workload, contenders, rounds=rounds, seconds=seconds)
            for name, each in figures.items():
                each.trips = trips[workload.key, name]
            results[workload.title] = figures
            print(table({workload.title: figures}), flush=True)
        for contender in contenders:
            await contender.close()
    whole = f"{conditions(quick=arguments.quick)}\n\n{table(results)}"
    if arguments.write:
        page = Path(arguments.write)
        page.write_text(written(page.read_text("utf-8"), whole), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: under two minutes")
    parser.add_argument("--only", default="", help="keys of workloads, with commas")
    parser.add_argument("--write", default="", help="a page whose table is replaced")
    asyncio.run(main(parser.parse_args()))
