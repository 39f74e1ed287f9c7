"""What changes among the tenants of the registry, on PostgreSQL: a revision that each writer counts up, and NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.lone_statements import lent
from prismicx.domain.errors import ConnectionLostError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.registry_feed import REMEMBERED_CHANGES, RegistryFeed, RegistryReading, Standing

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.client import DatabaseClient

CHANNEL: Final = "prismicx_tenants"
"""What the owner's connections LISTEN to."""

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS prismicx.tenant_changes (place smallint NOT NULL, revision bigint NOT NULL,
    latest text[] NOT NULL, CONSTRAINT pk_tenant_changes PRIMARY KEY (place),
    CONSTRAINT ck_tenant_changes_one CHECK (place = 1))""",
)
"""The registry's revision, in one row, which whoever changes a tenant holds until the end of the transaction."""

ANNOUNCE: Final = f"""
WITH counted AS (
    INSERT INTO prismicx.tenant_changes AS known (place, revision, latest)
    VALUES (1, greatest(cardinality($1::text[]), 1), $1::text[])
    ON CONFLICT (place) DO UPDATE SET revision = known.revision + greatest(cardinality($1::text[]), 1),
        latest = CASE WHEN cardinality($1::text[]) = 0 THEN '{{}}' ELSE (known.latest || $1::text[])
            [greatest(cardinality(known.latest) + cardinality($1::text[]) - {REMEMBERED_CHANGES - 1}, 1):] END
    RETURNING revision
)
SELECT pg_notify('{CHANNEL}', revision::text) FROM counted"""  # noqa: S608 -- numbers and names of ours
"""Count the revision up for these tenants, or for all of them, and tell who listens once that is committed."""

_CHANGES: Final = """
SELECT revision, CASE WHEN revision - $1::bigint BETWEEN 0 AND cardinality(latest)
    THEN latest[cardinality(latest) - (revision - $1::bigint)::int + 1:] END
FROM prismicx.tenant_changes"""

_STANDINGS: Final = """
SELECT tenant_id, status, version, CASE WHEN database_config ->> 'type' = 'dedicated' THEN database_config END
FROM prismicx.tenants WHERE $1::text[] IS NULL OR tenant_id = ANY($1::text[])"""

_PING_AFTER: Final = 30.0  # seconds; a connection that broke without a word is noticed then
_BATCH: Final = 1000


class SqlAlchemyRegistryFeed(RegistryFeed):
    """The tenants' standings on PostgreSQL.

    Args:
        client: of the login that owns the registry.
    """

    def __init__(self, client: DatabaseClient) -> None:
        self._client = client

    async def read(self, since: int | None) -> RegistryReading:
        async with lent(self._client) as connection:
            head = await connection.fetchrow(_CHANGES, since)
            revision, changed = head or (0, [] if since == 0 else None)  # nobody has changed anything yet
            # The records are read after the revision, so nothing that it has counted is missing from them.
            rows = () if changed == [] else await connection.fetch(_STANDINGS, changed)
        standings: dict[TenantId, Standing | None] = {TenantId(name): None for name in changed or ()}
        for number, row in enumerate(rows, start=1):
            standings[TenantId(row[0])] = Standing.of(*row[1:])
            if not number % _BATCH:
                await asyncio.sleep(0)  # units of work go on meanwhile
        return RegistryReading(revision, standings, is_whole=changed is None)

    async def listen(self, wake: Callable[[], None]) -> None:
        if self._client.pooler == "transaction":  # behind it a session is nobody's own
            return
        connection: Any = await self._client.connect()
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            with Translation(connection, {}):
                await connection.add_listener(CHANNEL, lambda *_: wake())
                wake()
                while not await _is_set_within(closed, _PING_AFTER):
                    await connection.execute("SELECT 1", timeout=_PING_AFTER)
            raise ConnectionLostError("the connection that listens for changes of tenants broke")
        finally:
            connection.terminate()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
