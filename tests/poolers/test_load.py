"""Many clients behind PgBouncer in transaction mode: no error, no wrong answer, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import asyncpg
from tests.poolers.bouncer import SERVER_CONNECTIONS, PgBouncer
from tests.poolers.load import make_counters
from tests.poolers.residue import CLEAN, residues
from tests.poolers.work import COUNTER

import prismicx
from prismicx.testing.databases import PostgresDatabase

PROCESSES = 8
UNITS = int(os.environ.get("PRISMICX_SOAK_POOLER_UNITS", "100"))

ROOTS = (Path(__file__).parents[2], Path(prismicx.__file__).parents[1])


async def load(bouncer: PgBouncer, database: PostgresDatabase, *, pooler: str, processes: int, units: int) -> Any:
    """Run the program of this folder, and return what it reports."""
    await make_counters(database.dsn, database.admin_dsn, "none")
    arguments = (bouncer.before(database.dsn), database.admin_dsn, pooler, str(processes), str(units))
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.poolers.load",
        *arguments,
        cwd=ROOTS[0],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, ROOTS))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, problems = await running.communicate()
    assert running.returncode == 0, problems.decode()
    return json.loads(output)


async def counted(database: PostgresDatabase) -> dict[str, int]:
    """Return what the tenants' counters stand at, as the server's superuser sees them."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        rows = await connection.fetch("SELECT tenant_id, amount FROM public.widgets WHERE code = $1", COUNTER)
    finally:
        await connection.close()
    return {tenant: amount for tenant, amount in rows if amount}


async def test_processes_work_through_it_without_an_error_a_wrong_answer_or_anything_left(
    pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    report = await load(pgbouncer, database, pooler="transaction", processes=PROCESSES, units=UNITS)
    left = await residues(pgbouncer.before(database.dsn))

    assert report["errors"] == []
    assert report["wrong"] == []
    assert report["units"] == PROCESSES * UNITS
    assert await counted(database) == report["increments"]
    assert list(left.values()) == [CLEAN] * SERVER_CONNECTIONS


async def test_the_same_without_the_setting_goes_wrong(
    lenient_pgbouncer: PgBouncer, database: PostgresDatabase
) -> None:
    report = await load(lenient_pgbouncer, database, pooler="none", processes=2, units=40)

    assert report["errors"]
