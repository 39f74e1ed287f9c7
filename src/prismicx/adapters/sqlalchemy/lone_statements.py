"""A connection of the pool for statements that are each a transaction by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.pool import Connection, Leftover
from prismicx.adapters.sqlalchemy.pooler import held

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient


@asynccontextmanager
async def lent(client: DatabaseClient) -> AsyncIterator[Connection]:
    """Lend a connection for statements that leave nothing behind but what they write.

    Behind a transaction pooler they are in one transaction, which lasts if the block ends without an error.
    """
    pool, leftover = client.pool, Leftover.TRANSACTION
    connection = await pool.acquire()
    try:
        with Translation(connection, {}):
            async with held(connection, client.pooler):
                yield connection
        leftover = Leftover.NOTHING
    finally:
        pool.give_back(connection, leftover)
