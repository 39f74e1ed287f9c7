"""What is left on the connections between a pooler and the server, once the clients have gone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
from tests.poolers.bouncer import SERVER_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Residue:
    """What one server connection has in its session."""

    prepared: int
    tenant: str
    setting: str
    temporary_tables: int
    locks: int
    listening: int
    user_is_own: bool


CLEAN = Residue(0, "", "", 0, 0, 0, True)

_FOUND = """
SELECT pg_backend_pid(),
    (SELECT count(*) FROM pg_prepared_statements),
    coalesce(current_setting('app.current_tenant_id', true), ''),
    coalesce(current_setting('prismicx.left_behind', true), ''),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_listening_channels()),
    current_user = session_user"""


async def residues(dsn: str) -> dict[int, Residue]:
    """Return what each of the pooler's server connections has in its session, by the server's process.

    As many transactions are opened at once as the pooler has connections, so that each is looked at.
    """
    async with AsyncExitStack() as stack:
        found = {}
        for _ in range(SERVER_CONNECTIONS):
            connection = await asyncpg.connect(dsn, statement_cache_size=0)
            stack.callback(connection.terminate)
            await connection.execute("BEGIN")
            row = await connection.fetchrow(_FOUND)
            found[row[0]] = Residue(*row[1:])
            stack.push_async_callback(connection.execute, "ROLLBACK")
        return found
