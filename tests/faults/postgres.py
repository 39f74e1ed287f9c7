"""A PostgreSQL server of the tests' own, that may be crashed, behind a line that may be cut."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from tests.faults.history import Fault
from tests.faults.line import Line

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.embedded import EmbeddedPostgres
from prismicx.testing.databases import APPLICATION_ROLE, PostgresDatabase, PostgresDatabases, PostgresServer
from prismicx.testing.examples import EXAMPLE_MAPPINGS


class PostgresWorld:
    """A backend on a database behind a line, and the faults of both."""

    kinds: ClassVar[tuple[str, ...]] = (
        "cut before",
        "cut before",
        "cut after",
        "cut after",
        "terminate",
        "closed door",
        "crash",
    )

    commit: ClassVar[bytes] = b"COMMIT"

    def __init__(self, database: PostgresDatabase, line: Line, backend: SqlAlchemyBackend) -> None:
        self.database = database
        self.line = line
        self.backend = backend

    async def strike(self, fault: Fault) -> None:
        match fault.kind:
            case "cut before" | "cut after":
                self.line.cut_at(fault.at, after=fault.kind == "cut after")
            case "closed door":
                self.line.close_the_door()
            case "terminate":
                await self.terminate()
            case _:
                await self.crash()

    async def terminate(self) -> None:
        """End every connection of the application, as an administrator does, or a failover."""
        async with self.administrator() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", APPLICATION_ROLE
            )

    async def crash(self) -> None:
        """Kill one of the server's processes: it ends all connections, and recovers from its log."""
        async with self.administrator() as connection, self.administrator() as witness:
            os.kill(connection.get_server_pid(), signal.SIGKILL)
            with suppress(asyncpg.PostgresError, OSError):  # all connections end before the server recovers
                await witness.execute("SELECT pg_sleep(60)")

    async def recover(self) -> None:
        self.line.heal()
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self.administrator() as connection:
                        await connection.execute("SELECT 1")
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    continue
                return

    async def stored(self) -> Counter[str]:
        async with self.administrator() as connection:
            rows = await connection.fetch("DELETE FROM public.widgets RETURNING name")
        return Counter(name for (name,) in rows)

    @asynccontextmanager
    async def administrator(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect past the line, as the superuser."""
        connection = await asyncpg.connect(self.database.superuser_dsn)
        try:
            yield connection
        finally:
            connection.terminate()


@asynccontextmanager
async def postgres_world(*, connections: int = 3, patience: float = 30.0) -> AsyncIterator[PostgresWorld]:
    """Start a server, a line before it and a backend behind the line.

    Its commits are flushed, because a crash of the server must lose none that was reported.
    """
    with EmbeddedPostgres(durable=True) as server:
        databases = PostgresDatabases(PostgresServer(server.dsn(), "faults"))
        database = await databases("faults", prepare)
        async with Line("127.0.0.1", server.port) as line:
            client = DatabaseClient.from_dsn(
                through(line, database.dsn), min_pool_size=1, max_pool_size=connections, acquire_timeout=patience
            )
            admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
            async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin) as backend:
                yield PostgresWorld(database, line, backend)


async def prepare(database: PostgresDatabase) -> None:
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    await SqlAlchemyBackend(DatabaseClient.from_dsn(database.dsn), EXAMPLE_MAPPINGS, admin=admin).initialise_database()


def through(line: Line, dsn: str) -> str:
    """Return an address through the line."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{line.port}"))
