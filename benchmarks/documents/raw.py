"""The limit: PyMongo's asynchronous driver by hand, which knows no entities; a document is read by its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from benchmarks.documents.contender import DATABASE, Contender
from benchmarks.units.customers import Customer, Order, Seen, moment
from pymongo import AsyncMongoClient, WriteConcern

from prismicx.domain.identifiers import TenantId

IN_ORDER = [("created_at", 1), ("_id", 1)]
MAJORITY = WriteConcern("majority")


class RawPyMongo(Contender):
    """What anybody could do who has the time; many documents are inserted without a transaction."""

    name = "raw PyMongo Async"

    async def open(self, uri: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, uuidRepresentation="standard", tz_aware=True
        )
        database = self._client.get_database(DATABASE, write_concern=MAJORITY)
        self._customers, self._orders = database["customers"], database["orders"]

    async def close(self) -> None:
        await self._client.close()

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        found = await self._customers.find_one(one(tenant, customer))
        return None if found is None else _seen(found)

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        wanted = {"tenant_id": tenant.value, "created_at": {"$gte": moment(number)}}
        return [_seen(each) for each in await self._customers.find(wanted, sort=IN_ORDER, limit=50).to_list()]

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        await self._customers.insert_one(
            {
                "_id": identity_of(tenant, customer.id),
                "tenant_id": tenant.value,
                "version": 1,
                "email": customer.email,
                "name": customer.name,
                "status": customer.status,
                "score": customer.score,
                "created_at": customer.created_at,
            }
        )

    async def insert_many(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        await self._orders.insert_many(documents_of(tenant, orders))

    async def update_three(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        async with self._client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            for customer, score in scores.items():
                await self._customers.update_one(
                    one(tenant, customer),
                    {"$set": {"score": score}, "$inc": {"version": 1}},
                    session=session,
                )

    async def load_and_save(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        found = [await self._customers.find_one(one(tenant, customer)) for customer in scores]
        async with self._client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            for customer, document in zip(scores, found, strict=True):
                assert document is not None
                written = await self._customers.update_one(
                    {**one(tenant, customer), "version": document["version"]},
                    {"$set": {"score": scores[customer], "version": document["version"] + 1}},
                    session=session,
                )
                assert written.matched_count


class PyMongoInTransactions(RawPyMongo):
    """The same, with many documents inserted all or none, as every other unit here."""

    name = "raw PyMongo Async, all or none"
    lacks = frozenset({"get", "list", "insert", "three", "save"})

    async def insert_many(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self._client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            await self._orders.insert_many(documents_of(tenant, orders), session=session)


def identity_of(tenant: TenantId, identity: UUID) -> dict[str, Any]:
    """Return a document's `_id` in a collection that tenants share."""
    return {"tenant": tenant.value, "id": identity}


def one(tenant: TenantId, identity: UUID) -> dict[str, Any]:
    """Return the filter for one document; without the `$eq` this server does not find the index."""
    return {"tenant_id": tenant.value, "_id": {"$eq": identity_of(tenant, identity)}}


def documents_of(tenant: TenantId, orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Return the documents of new orders."""
    return [
        {
            "_id": {"tenant": tenant.value, "id": order.id},
            "tenant_id": tenant.value,
            "version": 1,
            "customer_id": order.customer_id,
            "amount": order.amount,
        }
        for order in orders
    ]


def _seen(found: dict[str, Any]) -> Seen:
    return (
        found["_id"]["id"],
        found["email"],
        found["name"],
        found["status"],
        found["score"],
        found["created_at"],
    )
