"""Two relays deliver, one is killed in the middle: nothing is lost, and each tenant's order holds.

`PRISMICX_SOAK_EVENTS` says how many events (50,000 in `nox -s soak`; otherwise 2,000 on PostgreSQL, 1,000 on MongoDB).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.contract.outboxes import initialised_with_outbox, opened_mongo, postgres_with_outbox

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import UnitOfWork
from prismicx.testing.contracts.selling import Sold
from prismicx.testing.databases import MongoServer, PostgresDatabases
from prismicx.testing.examples import Widget, Widgets

SOAK = int(os.environ.get("PRISMICX_SOAK_EVENTS", "0"))  # read before tests/conftest.py takes it away
TENANTS = [TenantId(f"tenant-{number:02}") for number in range(20)]
UNIT, BATCH, PLACES = 5, 20, 4


class Receipt(NamedTuple):
    """One event as a relay handed it on."""

    relay: str
    tenant: str
    position: int
    id: str


def receipts(file: Path) -> list[Receipt]:
    lines = [line.split() for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [Receipt(relay, tenant, int(position), identity) for relay, tenant, position, identity in lines]


@asynccontextmanager
async def relay(name: str, file: Path, settings: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `prismicx outbox run` for the length of the block, and stop it with SIGTERM."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PRISMICX_")}
    command = [sys.executable, "-m", "prismicx", "outbox", "run", "--publisher", "recording:publisher"]
    command += ["--batch", str(BATCH), "--tenants", str(PLACES), "--interval", "0.05", "--lease", "1"]
    with file.with_name(f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=Path(__file__).parent,
            env=ours | {**settings} | {"PRISMICX_OUTBOX": "1", "RELAY": name, "RECEIPTS": str(file)},
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def store_events(backend: TrackedBackend, count: int) -> set[str]:
    """Commit the events of all tenants, five to a unit, a few tenants at once; return their ids."""
    ids: set[str] = set()
    places = asyncio.Semaphore(8)

    async def work(uow: UnitOfWork) -> list[str]:
        uow.repository(Widgets).add(widget := Widget())
        events = [Sold(number=number) for number in range(UNIT)]
        for event in events:
            widget.record(event)
        return [str(event.event_id) for event in events]

    async def store(tenant: TenantId) -> None:
        async with places:
            for _ in range(count // len(TENANTS) // UNIT):
                ids.update(await backend.run(tenant, work))

    await asyncio.gather(*map(store, TENANTS))
    return ids


async def kill_in_the_middle(process: asyncio.subprocess.Process, file: Path, count: int) -> None:
    """Kill the relay once it has handed on a tenth of all events."""
    while sum(receipt.relay == "first" for receipt in receipts(file)) < count // 10:
        assert process.returncode is None, file.with_name("first.log").read_text()
        await asyncio.sleep(0.01 if count < 10_000 else 0.5)
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def deliver_with_a_kill(
    backend: TrackedBackend, settings: Mapping[str, str], folder: Path, *, count: int
) -> None:
    file = folder / "receipts"
    file.touch()
    async with relay("first", file, settings) as first, relay("second", file, settings) as second:
        async with asyncio.timeout(60 + count / 50):
            ready = [file.with_name(f"{name}.ready") for name in ("first", "second")]
            while not all(path.exists() for path in ready):  # noqa: ASYNC110 -- other processes make them
                await asyncio.sleep(0.01)
            started = time.perf_counter()
            stored, _ = await asyncio.gather(store_events(backend, count), kill_in_the_middle(first, file, count))
            while await backend.outbox.entries(limit=1):
                assert second.returncode is None, file.with_name("second.log").read_text()
                await asyncio.sleep(0.05)
    took = time.perf_counter() - started

    delivered = receipts(file)
    firsts = list({receipt.id: receipt for receipt in reversed(delivered)}.values())[::-1]
    again = Counter(receipt.id for receipt in delivered)
    twice = {identity for identity, times in again.items() if times > 1}
    print(f"{len(stored)} events in {took:.1f} s, {len(twice)} of them twice")

    assert second.returncode == 0
    assert {receipt.id for receipt in delivered} == stored
    for tenant in TENANTS:
        positions = [receipt.position for receipt in firsts if receipt.tenant == tenant.value]
        assert positions == list(range(1, count // len(TENANTS) + 1))
    assert len(twice) <= BATCH * PLACES  # what the killed relay had in its hands
    assert max(again.values()) <= 2
    for identity in twice:
        assert [receipt.relay for receipt in delivered if receipt.id == identity] == ["first", "second"]


async def test_on_postgresql(prismicx_postgres_database: PostgresDatabases, tmp_path: Path) -> None:
    database = await prismicx_postgres_database("outbox", initialised_with_outbox)
    settings = {
        "PRISMICX_POSTGRES_DSN": database.dsn,
        "PRISMICX_POSTGRES_ADMIN_DSN": database.admin_dsn,
        "PRISMICX_POSTGRES_OUTBOX_DSN": database.system_dsn,
    }
    async with postgres_with_outbox(database, relay=True) as backend:
        await deliver_with_a_kill(backend, settings, tmp_path, count=SOAK or 2000)


async def test_on_mongodb(prismicx_mongo_server: MongoServer, tmp_path: Path) -> None:
    async with opened_mongo(prismicx_mongo_server, "killed") as backend:
        settings = {"PRISMICX_MONGO_URI": prismicx_mongo_server.uri, "PRISMICX_MONGO_DATABASE": "killed"}
        await deliver_with_a_kill(backend, settings, tmp_path, count=SOAK or 1000)
