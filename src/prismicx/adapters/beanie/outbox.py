"""The outbox in MongoDB: how a unit stores events, and how a relay takes them out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from typing import Any, Final
from uuid import UUID

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from prismicx.adapters.beanie.client import Document, MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.errors import DuplicateEntityError, LeaseLostError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.leases import Lease
from prismicx.domain.outbox import (
    Claim,
    EntryStatus,
    Outbox,
    OutboxEntry,
    RecordedEvent,
    StoredEvent,
    key_of,
    tenant_of,
)

EVENTS: Final = f"{REGISTRY_PREFIX}outbox"
"""The collection of undelivered events."""
HEADS: Final = f"{REGISTRY_PREFIX}outbox_heads"
"""The last position that each tenant's events have."""
CLAIMS: Final = f"{REGISTRY_PREFIX}outbox_claims"
"""Which relay has a tenant, under which fencing number, and from when on another may have it."""

OUTBOX_COLLECTIONS: Final = (EVENTS, HEADS, CLAIMS)
"""All that the outbox keeps, in the database that tenants share."""

_NAMESPACE_EXISTS: Final = 48
_OLDEST_FIRST: Final = [("tenant_id", ASCENDING), ("position", ASCENDING)]
_INDEXES: Final = (
    IndexModel(_OLDEST_FIRST, unique=True),
    IndexModel([("status", ASCENDING), *_OLDEST_FIRST]),
)
_MAJORITY: Final = ReadConcern("majority")  # what a failover can take back must not be delivered


async def ensure_outbox(client: MongoDBClient) -> None:
    """Make the outbox's collections and indexes where they are missing: a transaction makes none."""
    with translated(EVENTS, address=client.address):
        for name in OUTBOX_COLLECTIONS:
            try:
                await client.db.create_collection(name, check_exists=False)
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise
        await client.db[EVENTS].create_indexes(list(_INDEXES))


async def store_events(
    client: MongoDBClient, session: AsyncClientSession, tenant: TenantId | None, events: Sequence[RecordedEvent]
) -> None:
    """Add events to a tenant's outbox, in the session's transaction.

    Raises:
        TransactionConflictError: another unit of the tenant has stored events since this transaction began.
        DuplicateEntityError: one of the events is there.
    """
    key, heads = key_of(tenant), client.collection(None, HEADS)
    try:
        with translated("outbox", address=client.address, tenant_key="tenant_id"):
            head = await heads.find_one_and_update(
                {"_id": key},
                {"$inc": {"last": len(events)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
    except DuplicateEntityError as error:  # two units at once made the tenant's first head
        raise TransactionConflictError("11000") from error
    assert head is not None, "it is made where it is missing"
    first = head["last"] - len(events) + 1
    documents = [_document(key, place, event) for place, event in enumerate(events, start=first)]
    with translated("outbox", address=client.address, tenant_key="tenant_id"):
        await client.collection(None, EVENTS).insert_many(documents, session=session)


class BeanieOutbox(Outbox):
    """The undelivered events of all tenants of a MongoDB."""

    def __init__(self, client: MongoDBClient) -> None:
        self._client = client

    async def waiting(self, *, now: datetime, past_dead: bool, limit: int) -> Sequence[TenantId | None]:
        with self._translated():
            keys = set(await self._events.distinct("tenant_id", {"status": EntryStatus.PENDING.value}))
            if not past_dead:
                for key in await self._events.distinct("tenant_id", {"status": EntryStatus.DEAD.value}):
                    oldest = await self._events.find_one({"tenant_id": key}, {"status": 1}, sort=_OLDEST_FIRST)
                    if oldest is not None and oldest["status"] == EntryStatus.DEAD.value:
                        keys.discard(key)
            known = await self._claims.find({"_id": {"$in": sorted(keys)}}, {"free_at": 1}).to_list()
        claims = {claim["_id"]: claim["free_at"] for claim in known}
        free = [(key in claims, claims.get(key, now), key) for key in keys if claims.get(key, now) <= now]
        return [tenant_of(key) for *_, key in sorted(free)[:limit]]

    async def claim(self, tenant: TenantId | None, *, holder: str, now: datetime, until: datetime) -> Claim | None:
        try:
            with self._translated():
                taken = await self._claims.find_one_and_update(
                    {"_id": key_of(tenant), "free_at": {"$lte": now}},
                    {"$set": {"holder": holder, "free_at": until}, "$inc": {"fence": 1}},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
        except DuplicateEntityError:  # it is there, and not free
            return None
        assert taken is not None, "it is made where it is missing"
        return Claim(tenant, Lease(holder=holder, fence=taken["fence"], expires_at=until))

    async def oldest(self, claim: Claim, *, past_dead: bool, limit: int) -> Sequence[OutboxEntry]:
        wanted: Document = {"tenant_id": key_of(claim.tenant)}
        if past_dead:
            wanted["status"] = EntryStatus.PENDING.value
        entries = await self._found(wanted, limit)
        return list(takewhile(lambda entry: entry.status is EntryStatus.PENDING, entries))

    async def delivered(self, claim: Claim, entries: Sequence[OutboxEntry], *, until: datetime) -> None:
        # Not one transaction, and it need not be: what was published may go, whoever has the claim by then.
        await self._require_held(claim, until)
        with self._translated():
            await self._events.delete_many(_these(claim, entries))

    async def failed(
        self, claim: Claim, entries: Sequence[OutboxEntry], *, reason: str, dead: bool, until: datetime
    ) -> None:
        noted = {"status": (EntryStatus.DEAD if dead else EntryStatus.PENDING).value, "reason": reason}
        await self._require_held(claim, claim.lease.expires_at)
        with self._translated():
            await self._events.update_many(_these(claim, entries), {"$set": noted, "$inc": {"attempts": 1}})
        await self.release(claim, until=until)

    async def release(self, claim: Claim, *, until: datetime) -> None:
        with self._translated():
            await self._claims.update_one(_held(claim), {"$set": {"free_at": until}})

    async def entries(
        self, *, status: EntryStatus | None = None, tenant: TenantId | None = None, limit: int = 100
    ) -> Sequence[OutboxEntry]:
        wanted: Document = {}
        if status is not None:
            wanted["status"] = status.value
        if tenant is not None:
            wanted["tenant_id"] = tenant.value
        return await self._found(wanted, limit)

    async def retry(self, *, event: UUID | None = None, tenant: TenantId | None = None) -> int:
        wanted: Document = {"status": EntryStatus.DEAD.value}
        if event is not None:
            wanted["_id.id"] = event
        if tenant is not None:
            wanted["tenant_id"] = tenant.value
        anew = {"status": EntryStatus.PENDING.value, "attempts": 0, "reason": None}
        with self._translated():
            return (await self._events.update_many(wanted, {"$set": anew})).matched_count

    async def _found(self, wanted: Document, limit: int) -> list[OutboxEntry]:
        with self._translated():
            documents = await self._events.find(wanted, sort=_OLDEST_FIRST, limit=limit).to_list()
        return [_entry(document) for document in documents]

    async def _require_held(self, claim: Claim, until: datetime) -> None:
        with self._translated():
            held = await self._claims.update_one(_held(claim), {"$set": {"free_at": until}})
        if not held.matched_count:
            raise LeaseLostError(f"the outbox of {key_of(claim.tenant)}", fence=claim.lease.fence)

    @property
    def _events(self) -> AsyncCollection[Document]:
        return self._client.collection(None, EVENTS).with_options(read_concern=_MAJORITY)

    @property
    def _claims(self) -> AsyncCollection[Document]:
        return self._client.collection(None, CLAIMS)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated("outbox", address=self._client.address):
            yield


def _held(claim: Claim) -> Document:
    return {"_id": key_of(claim.tenant), "fence": claim.lease.fence}


def _these(claim: Claim, entries: Sequence[OutboxEntry]) -> Document:
    return {"tenant_id": key_of(claim.tenant), "position": {"$in": [entry.event.position for entry in entries]}}


def _document(key: str, position: int, event: RecordedEvent) -> Document:
    return {
        "_id": {"tenant": key, "id": event.id},
        "tenant_id": key,
        "position": position,
        "name": event.name,
        "occurred_at": event.occurred_at,
        "payload": event.payload,  # as text: documents cannot hold every number and key that JSON can
        "status": EntryStatus.PENDING.value,
        "attempts": 0,
        "reason": None,
    }


def _entry(document: Any) -> OutboxEntry:
    event = StoredEvent(
        id=document["_id"]["id"],
        name=document["name"],
        tenant=tenant_of(document["tenant_id"]),
        position=document["position"],
        occurred_at=document["occurred_at"],
        payload=json.loads(document["payload"]),
    )
    return OutboxEntry(event, EntryStatus(document["status"]), document["attempts"], document["reason"])
