"""One look at PostgreSQL: whether it answers, as whom, and whether everything that tenants share is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import PlacedTable
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.pooler import held
from prismicx.adapters.sqlalchemy.tenancy import require_safe_role, require_tables
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseError,
    MappingError,
    PrismicxError,
    UnsafeRoleError,
)
from prismicx.domain.health import Health, PoolUse

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient


async def look_at(client: DatabaseClient, tables: Sequence[PlacedTable], *, backend: str, patience: float) -> Health:
    """Return how the database is for this client; it never raises for a database that does not answer.

    Args:
        tables: those that all tenants share.
        backend: the backend's name.
        patience: seconds to wait for everything.
    """
    nothing = Health(backend, client.address, reachable=False, pool=_pool_use(client))
    found, began = nothing, time.perf_counter()
    try:
        async with asyncio.timeout(patience), _connected(client) as connection:
            await connection.fetchval("SELECT 1")
            latency = time.perf_counter() - began
            found = replace(found, reachable=True, latency=latency, transactions=True)
            return await _looked_closer(found, connection, tables)
    except TimeoutError:
        return replace(nothing, problems=(f"no answer within {patience:g} s",))
    except DatabaseError as error:  # above all, that nobody has prepared it
        return replace(found, prepared=False, problems=(str(error),))
    except PrismicxError as error:
        return replace(nothing, problems=(str(error),))


async def _looked_closer(found: Health, connection: Connection, tables: Sequence[PlacedTable]) -> Health:
    role = await _problem_of_role(connection)
    missing = await _problem_of_tables(connection, tables)
    problems = tuple(problem for problem in (role, missing) if problem is not None)
    return replace(found, role_safe=role is None, prepared=missing is None, problems=problems)


@asynccontextmanager
async def _connected(client: DatabaseClient) -> AsyncIterator[Connection]:
    """Lend a connection of the pool, or, where the client is not running, one that is closed afterwards."""
    try:
        _ = client.pool
    except BackendNotStartedError:
        connection = await client.connect()
        try:
            with Translation(connection, {}):
                async with held(connection, client.pooler):
                    yield connection
        finally:
            connection.terminate()
    else:
        async with client.connection() as connection:
            yield connection


def _pool_use(client: DatabaseClient) -> PoolUse | None:
    try:
        pool = client.pool
    except BackendNotStartedError:
        return None
    return PoolUse(in_use=pool.size - pool.idle, free=pool.idle, limit=pool.limit, waiting=pool.waiting)


async def _problem_of_role(connection: Connection) -> str | None:
    try:
        await require_safe_role(connection)
    except UnsafeRoleError as error:
        return str(error)
    return None


async def _problem_of_tables(connection: Connection, tables: Sequence[PlacedTable]) -> str | None:
    try:
        await require_tables(connection, tables)
    except MappingError as error:
        return str(error)
    return None
