"""`python -m benchmarks.documents [--quick] [--runs 3] [--only get,list] [--write PAGE]`, from the project's root."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.documents.commands import count_commands
from benchmarks.documents.contender import Contender
from benchmarks.documents.database import FULL, QUICK, filled_database
from benchmarks.documents.peer import Beanie
from benchmarks.documents.product import Prismicx
from benchmarks.documents.raw import PyMongoInTransactions, RawPyMongo
from benchmarks.documents.report import BEGIN, END, PACKAGES, table, times_the_limit
from benchmarks.documents.workloads import DocumentWork
from benchmarks.units.measuring import Figures, Results, measure, middle
from benchmarks.units.report import conditions, written


async def main(arguments: argparse.Namespace) -> None:
    """Run everything as often as was asked for, and print what counts."""
    runs = [await run(arguments) for _ in range(arguments.runs)]
    options = f" --runs {arguments.runs}" if arguments.runs > 1 else ""
    heading = conditions("documents", PACKAGES, quick=arguments.quick, options=options)
    whole = f"{heading}\n\n{table(middle(runs, times_the_limit))}"
    print(whole)
    if arguments.write:
        page = Path(arguments.write)
        page.write_text(written(page.read_text("utf-8"), whole, begin=BEGIN, end=END), "utf-8")


async def run(arguments: argparse.Namespace) -> Results:
    """Fill, check, measure, count."""
    amounts, rounds, seconds = (QUICK, 9, 0.1) if arguments.quick else (FULL, 25, 0.25)
    work = DocumentWork(amounts)
    wanted = [each for each in work.all() if not arguments.only or each.key in arguments.only.split(",")]
    results: dict[str, dict[str, Figures]] = {}
    async with filled_database(amounts) as uri:
        contenders: list[Contender] = [RawPyMongo(), Prismicx(), Beanie(), PyMongoInTransactions()]
        for contender in contenders:
            await contender.open(uri)
            await work.check(contender)
        for workload in wanted:
            results[workload.title] = await measure(workload, contenders, rounds=rounds, seconds=seconds)
            print(table({workload.title: results[workload.title]}), flush=True)
        for contender in contenders:
            await contender.close()
        counted = await count_commands(uri, contenders, wanted)
    for workload in wanted:
        for name, figures in results[workload.title].items():
            figures.trips = counted[workload.key, name]
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: under a minute")
    parser.add_argument("--runs", type=int, default=1, help="runs of it all; of each unit the middle one counts")
    parser.add_argument("--only", default="", help="keys of workloads, with commas")
    parser.add_argument("--write", default="", help="a page whose table is replaced")
    asyncio.run(main(parser.parse_args()))
