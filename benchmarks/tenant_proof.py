"""What the proof of tenant costs: the same units of work with and without it, taken in turns on one embedded server.

Run it with `python benchmarks/tenant_proof.py [rounds]`; it needs Linux and the extra `embedded`. For a unit of work
(begin with the tenant, one query, commit) it prints the median time and the ratio of the two, and the processor time
that the service and the server took, for a get by id and a list of fifty.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple
from uuid import UUID

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, TenantProof
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository
from prismicx.embedded import EmbeddedPostgres

TENANTS: Final = tuple(TenantId(f"tenant-{number}") for number in range(20))
ROWS: Final = 500
"""Rows of each tenant."""
CONNECTIONS: Final = 6
"""Of each kind; where the operating system puts a server process must not decide."""
PASSES: Final = 3
"""How often everything is measured; a busy machine shows in passes that differ."""
TURN: Final = 20
"""Units of one kind before the other kind has its turn."""


class Parcel(AggregateRoot):
    """What is stored."""

    recipient: str
    weight: int


class Parcels(Repository[Parcel]):
    """Where it is stored."""


Ids = dict[TenantId, list[UUID]]
Work = Callable[[SqlAlchemyBackend, TenantId, UUID], Awaitable[None]]


async def get_by_id(backend: SqlAlchemyBackend, tenant: TenantId, identity: UUID) -> None:
    """Read one row."""
    async with backend.unit_of_work(tenant, read_only=True) as unit:
        await unit.repository(Parcels).get(identity)
        await unit.commit()


async def list_of_fifty(backend: SqlAlchemyBackend, tenant: TenantId, identity: UUID) -> None:
    """Read fifty rows by a range of ids."""
    async with backend.unit_of_work(tenant, read_only=True) as unit:
        found = await unit.repository(Parcels).list(Parcel.id >= identity, limit=50)
        assert found
        await unit.commit()


Kind = tuple[list[SqlAlchemyBackend], Ids]


async def prepared(server: EmbeddedPostgres, name: str, proof: TenantProof | None) -> Kind:
    """Return running backends, of one connection each, on a database of its own with its rows."""
    owner = DatabaseClient.from_dsn(server.dsn(), min_pool_size=1, max_pool_size=1)
    connection = await owner.connect()
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    backends = [
        SqlAlchemyBackend(
            DatabaseClient.from_dsn(server.dsn(name, f"{name}_app"), min_pool_size=1, max_pool_size=1),
            [EntityMapping(Parcel, "parcels")],
            admin=DatabaseClient.from_dsn(server.dsn(name), min_pool_size=1, max_pool_size=1),
            tenant_proof=proof,
        )
        for _ in range(CONNECTIONS)
    ]
    backend = backends[0]
    await backend.initialise_database()
    for each in backends:
        await each.start()
    ids: Ids = {}
    for tenant in TENANTS:
        parcels = [Parcel(recipient=f"recipient {number}", weight=number) for number in range(ROWS)]
        async with backend.unit_of_work(tenant) as unit:
            unit.repository(Parcels).add_many(parcels)
            await unit.commit()
        ids[tenant] = sorted(parcel.id for parcel in parcels)[: ROWS - 50]
    connection = await DatabaseClient.from_dsn(server.dsn(name)).connect()
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return backends, ids


class Taken(NamedTuple):
    """What units took, in seconds each: by the clock, and of processors, for turns of units."""

    clock: list[float]
    service: list[float]
    server: list[float]


async def measure(kinds: dict[str, Kind], work: Work, rounds: int) -> dict[str, Taken]:
    """Return what units took by kind; the kinds take turns, so that what disturbs one disturbs all."""
    taken = {kind: Taken([], [], []) for kind in kinds}
    processes = {kind: [await process_of(backend) for backend in backends] for kind, (backends, _) in kinds.items()}
    for turn in range(rounds + CONNECTIONS):
        for kind, (backends, ids) in kinds.items():
            backend, process = backends[turn % CONNECTIONS], processes[kind][turn % CONNECTIONS]
            service, server = time.process_time(), processor_time(process)
            for _ in range(TURN):
                tenant = secrets.choice(TENANTS)
                identity = secrets.choice(ids[tenant])
                before = time.perf_counter()
                await work(backend, tenant, identity)
                if turn >= CONNECTIONS:  # the first round of each connection warms up
                    taken[kind].clock.append(time.perf_counter() - before)
            if turn >= CONNECTIONS:
                taken[kind].service.append((time.process_time() - service) / TURN)
                taken[kind].server.append((processor_time(process) - server) / TURN)
    return taken


async def process_of(backend: SqlAlchemyBackend) -> int:
    """Return the server's process that serves the backend's one connection."""
    async with backend._client.connection() as connection:
        return connection.get_server_pid()


def processor_time(process: int) -> float:
    """Return the seconds for which a process has run, to the nanosecond, as Linux counts them."""
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


async def main(server: EmbeddedPostgres, rounds: int) -> None:
    """Measure and print."""
    kinds = {
        "setting": await prepared(server, "plain", None),
        "proof": await prepared(server, "proven", TenantProof(secrets.token_hex(32))),
    }
    print(f"{rounds * TURN} units of each kind, taken in turns of {TURN}; medians in microseconds")
    for work in (get_by_id, list_of_fifty) * PASSES:
        taken = await measure(kinds, work, rounds)
        for measured in Taken._fields:
            plain, proven = (median(getattr(taken[kind], measured)) for kind in kinds)
            shown = f"setting {1e6 * plain:6.0f}  proof {1e6 * proven:6.0f}  ratio {proven / plain:.3f}"
            print(f"{work.__name__:15}{measured:9}{shown}")
    for backends, _ in kinds.values():
        for backend in backends:
            await backend.close()


if __name__ == "__main__":
    with EmbeddedPostgres() as running:
        asyncio.run(main(running, int(sys.argv[1]) if len(sys.argv) > 1 else 200))
