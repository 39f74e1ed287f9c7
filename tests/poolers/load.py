"""A program: processes that work for several tenants at once through a pooler, and print what came of it as JSON.

Imported once and forked, so that eight processes cost as much start-up as one.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
from typing import cast

from tests.poolers.work import COUNTER, TENANTS, Report, Worker

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.pooler import Pooler
from prismicx.domain.errors import PrismicxError
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

TASKS = 4


def backend(dsn: str, admin_dsn: str, pooler: Pooler) -> SqlAlchemyBackend:
    """Return the backend of one process: three connections to the pooler, fewer than it has tasks."""
    client = DatabaseClient.from_dsn(dsn, min_pool_size=1, max_pool_size=3, pooler=pooler)
    return SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=DatabaseClient.from_dsn(admin_dsn, min_pool_size=1))


async def make_counters(dsn: str, admin_dsn: str, pooler: Pooler) -> None:
    async with backend(dsn, admin_dsn, pooler) as started:
        for tenant in TENANTS:
            async with started.unit_of_work(tenant) as uow:
                uow.repository(Widgets).add(Widget(code=COUNTER, name=str(tenant)))
                await uow.commit()


async def work(dsn: str, admin_dsn: str, pooler: Pooler, process: int, units: int) -> Report:
    report = Report()
    try:
        async with backend(dsn, admin_dsn, pooler) as started:
            workers = [Worker(started, f"{process}.{task}", report) for task in range(TASKS)]
            await asyncio.gather(*(worker.run(units // TASKS) for worker in workers))
    except PrismicxError as error:
        report.errors.append(f"start or close: {type(error).__name__}: {error}")
    return report


def process(arguments: tuple[str, str, Pooler, int, int]) -> Report:
    """Do the work of one process."""
    return asyncio.run(work(*arguments))


def main(dsn: str, admin_dsn: str, pooler: Pooler, processes: str, units: str) -> None:
    """Print the sum of what came of all processes."""
    context = multiprocessing.get_context("fork")
    with context.Pool(int(processes)) as pool:
        reports = pool.map(process, [(dsn, admin_dsn, pooler, number, int(units)) for number in range(int(processes))])
    total = Report()
    for report in reports:
        total.units += report.units
        total.errors += report.errors
        total.wrong += report.wrong
        total.increments += report.increments
    print(json.dumps(vars(total)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], cast("Pooler", sys.argv[3]), sys.argv[4], sys.argv[5])
