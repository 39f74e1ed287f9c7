"""What changes among the tenants of the registry, in MongoDB: a revision that each writer counts up, and its stream."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.errors import ConnectionLostError, DuplicateEntityError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.registry_feed import REMEMBERED_CHANGES, RegistryFeed, RegistryReading, Standing

CHANGES: Final = f"{REGISTRY_PREFIX}tenant_changes"
"""The collection of the registry's revision: one document, which whoever changes a tenant writes first."""

_PATIENCE: Final = 75.0  # seconds; MongoDB ends a transaction whose process has died after 60
_TURN: Final = 0.02  # seconds; about as long as another takes to change a tenant
_TURN_OF_THE_DEAD: Final = 0.25  # seconds; as often as is asked whether the server has noticed by now
_ALIVE: Final = 2.0  # seconds; who holds all others up for longer is not
_TENANTS: Final = f"{REGISTRY_PREFIX}tenants"
_HEAD: Final = {"_id": "tenants"}
_RECORD: Final = {"_id": 0, "tenant_id": 1, "status": 1, "version": 1, "database_config": 1}


async def announce(
    client: MongoDBClient,
    begin: Callable[[], Awaitable[AsyncClientSession]],
    tenants: Sequence[TenantId],
    *,
    start_over: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Count the revision up for these tenants, or for all of them, in a transaction.

    MongoDB does not let writers wait for each other: one of them fails. So they take turns. A process that dies in its
    turn holds up all others until the server has noticed.

    Args:
        client: where the registry is.
        begin: returns the session with its transaction, begun if it was not.
        tenants: whose records the transaction changes; none where nobody knows whose.
        start_over: ends the transaction, in which nothing else has happened; without it there is one try.

    Raises:
        TransactionConflictError: another transaction that began before has counted it up, or is about to.
    """
    begun = time.monotonic()
    while True:
        try:
            await _count_up(client, await begin(), tenants)
        except TransactionConflictError:
            waited = time.monotonic() - begun
            if start_over is None or waited > _PATIENCE:
                raise
            await start_over()
            turn = _TURN if waited < _ALIVE else _TURN_OF_THE_DEAD
            await asyncio.sleep(random.uniform(0.0, turn))  # noqa: S311  # no secret
        else:
            return


async def _count_up(client: MongoDBClient, session: AsyncClientSession, tenants: Sequence[TenantId]) -> None:
    names = [tenant.value for tenant in tenants]
    known: dict[str, Any] = {"$push": {"latest": {"$each": names, "$slice": -REMEMBERED_CHANGES}}}
    counted = {"$inc": {"revision": max(len(names), 1)}, **(known if names else {"$set": {"latest": []}})}
    try:
        with translated(CHANGES, address=client.address):
            await client.collection(None, CHANGES).update_one(_HEAD, counted, upsert=True, session=session)
    except DuplicateEntityError as error:  # two transactions at once made the first one
        raise TransactionConflictError("11000") from error


class BeanieRegistryFeed(RegistryFeed):
    """The tenants' standings in MongoDB."""

    def __init__(self, client: MongoDBClient) -> None:
        self._client = client

    async def read(self, since: int | None) -> RegistryReading:
        with translated(CHANGES, address=self._client.address):
            head: dict[str, Any] = await self._client.collection(None, CHANGES).find_one(_HEAD) or {}
            revision, latest = head.get("revision", 0), head.get("latest", [])
            behind = -1 if since is None else revision - since
            is_whole = not 0 <= behind <= len(latest)
            changed = [] if is_whole else latest[len(latest) - behind :]
            standings: dict[TenantId, Standing | None] = {TenantId(name): None for name in changed}
            # The records are read after the revision, so nothing that it has counted is missing from them.
            if is_whole or changed:
                wanted = {} if is_whole else {"tenant_id": {"$in": changed}}
                async for record in self._client.collection(None, _TENANTS).find(wanted, _RECORD):
                    place = record["database_config"]
                    is_dedicated = place["type"] == "dedicated"
                    standing = Standing.of(record["status"], record["version"], place if is_dedicated else None)
                    standings[TenantId(record["tenant_id"])] = standing
        return RegistryReading(revision, standings, is_whole=is_whole)

    async def listen(self, wake: Callable[[], None]) -> None:
        with translated(CHANGES, address=self._client.address):
            async with await self._client.collection(None, CHANGES).watch() as stream:
                wake()
                async for _ in stream:
                    wake()
        raise ConnectionLostError("the change stream of tenants has ended")
