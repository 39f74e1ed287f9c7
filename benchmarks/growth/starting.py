"""What a service costs before its first unit of work: each figure is a fresh interpreter's, which runs this module."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final

ENTITIES: Final = 50

_IMPORTS: Final = {
    "pydantic": "from pydantic import BaseModel",
    "a first model": "from pydantic import BaseModel\nclass First(BaseModel):\n    number: int",
    "prismicx": "import prismicx",
}
_TIMED: Final = "import time\nbegun = time.perf_counter()\n{0}\nprint(time.perf_counter() - begun)"


def import_seconds(*, times: int) -> Mapping[str, float]:
    """Return the median seconds that each import takes in a fresh interpreter, bytecode at hand, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(folder)
        for turn in range(-1, times):  # the first turn writes the bytecode
            for name, program in _IMPORTS.items():
                command = [sys.executable, "-c", _TIMED.format(program)]
                answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                if turn >= 0:
                    taken[name].append(float(answer.stdout))
    return {name: median(seconds) for name, seconds in taken.items()}


def start_figures(dsn: str, admin_dsn: str, tenant: str, *, times: int) -> Mapping[str, float]:
    """Return the medians of what a fresh service with fifty mapped entities needs, in seconds and bytes."""
    answers: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(-1, times):
            command = [sys.executable, "-m", "benchmarks.growth.starting", dsn, admin_dsn, tenant]
            answer = subprocess.run(command, env=_environment(folder), check=True, stdout=subprocess.PIPE, text=True)
            if turn >= 0:
                answers.append(json.loads(answer.stdout))
    return {name: median(answer[name] for answer in answers) for name in answers[0]}


def _environment(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def fifty_mappings() -> Sequence[Any]:
    """Return the mappings of as many entities, each with eight attributes, a unique key and an index."""
    from pydantic import create_model  # noqa: PLC0415  # the import is timed

    from prismicx import AggregateRoot, EntityMapping  # noqa: PLC0415

    fields: dict[str, Any] = {
        "code": (str, ...),
        "name": (str, ...),
        "status": (str, "new"),
        "score": (int, 0),
        "price": (Decimal, Decimal(0)),
        "active": (bool, True),
        "seen_at": (datetime | None, None),
        "details": (dict[str, str], {}),
    }
    kinds = [create_model(f"Kind{number:02}", __base__=AggregateRoot, **fields) for number in range(ENTITIES)]
    return [
        EntityMapping(kind, f"kind_{number:02}", unique=[["code"]], indexes=[["status", "score"]])
        for number, kind in enumerate(kinds)
    ]


async def prepare(dsn: str, admin_dsn: str) -> None:
    """Make the tables of the fifty entities."""
    from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend  # noqa: PLC0415

    client, admin = DatabaseClient.from_dsn(dsn), DatabaseClient.from_dsn(admin_dsn)
    await SqlAlchemyBackend(client, fifty_mappings(), admin=admin).initialise_database()


async def _start(dsn: str, admin_dsn: str, tenant: str) -> dict[str, float]:
    begun, memory = time.perf_counter(), _resident()
    from prismicx import TenantId  # noqa: PLC0415
    from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend  # noqa: PLC0415
    from prismicx.application.directory import TenantDirectory  # noqa: PLC0415

    imported, memory_imported = time.perf_counter(), _resident()
    mappings = fifty_mappings()
    defined, memory_defined = time.perf_counter(), _resident()
    directory = TenantDirectory(lambda: backend)
    client, admin = (DatabaseClient.from_dsn(address, min_pool_size=1) for address in (dsn, admin_dsn))
    backend = SqlAlchemyBackend(client, mappings, admin=admin, admission=directory)
    async with backend, directory:
        started, memory_started = time.perf_counter(), _resident()
        async with backend.unit_of_work(TenantId(tenant)):
            entered, memory_entered = time.perf_counter(), _resident()
    return {
        "import": imported - begun,
        "entities": defined - imported,
        "start": started - defined,
        "first unit": entered - started,
        "memory, import": memory_imported - memory,
        "memory, entities": memory_defined - memory_imported,
        "memory, start": memory_started - memory_defined,
        "memory, registry": memory_entered - memory_started,
        "memory, all": memory_entered,
    }


def _resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dsn", "admin_dsn", "tenant"):
        parser.add_argument(name)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(_start(given.dsn, given.admin_dsn, given.tenant))))
