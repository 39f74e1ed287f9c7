"""Beanie as a careful team writes it: documents of its own, the tenant named in each query, filters as one dict.

Two filters beside each other become an `$and`, for which some planners do not find the index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from beanie import Document, init_beanie
from benchmarks.documents.contender import DATABASE, Contender
from benchmarks.documents.raw import IN_ORDER, MAJORITY, one
from benchmarks.units.customers import Customer, Order, Seen, moment
from pydantic import BaseModel
from pymongo import AsyncMongoClient

from prismicx.domain.identifiers import TenantId


class SharedId(BaseModel):
    """The `_id` of a collection that tenants share."""

    tenant: str
    id: UUID


class CustomerDocument(Document):
    """A customer as Beanie has it."""

    id: SharedId  # type: ignore[assignment]  # Beanie lets documents choose their ids
    tenant_id: str
    version: int = 1
    email: str
    name: str
    status: str
    score: int
    created_at: datetime

    class Settings:
        """Where it is."""

        name = "customers"


class OrderDocument(Document):
    """An order as Beanie has it."""

    id: SharedId  # type: ignore[assignment]  # Beanie lets documents choose their ids
    tenant_id: str
    version: int = 1
    customer_id: UUID
    amount: int

    class Settings:
        """Where it is."""

        name = "orders"


class Beanie(Contender):
    """Its documents, with its own defaults."""

    name = "Beanie"

    async def open(self, uri: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, uuidRepresentation="standard", tz_aware=True
        )
        database = self._client.get_database(DATABASE, write_concern=MAJORITY)
        await init_beanie(database, document_models=[CustomerDocument, OrderDocument], skip_indexes=True)

    async def close(self) -> None:
        await self._client.close()

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        found = await CustomerDocument.find_one(one(tenant, customer))
        return None if found is None else _seen(found)

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        wanted = {"tenant_id": tenant.value, "created_at": {"$gte": moment(number)}}
        found = await CustomerDocument.find(wanted).sort(IN_ORDER).limit(50).to_list()  # type: ignore[arg-type]
        return [_seen(each) for each in found]

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        await CustomerDocument(
            id=SharedId(tenant=tenant.value, id=customer.id),
            tenant_id=tenant.value,
            **customer.model_dump(exclude={"id"}),
        ).insert()

    async def insert_many(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        await OrderDocument.insert_many(
            [
                OrderDocument(
                    id=SharedId(tenant=tenant.value, id=order.id),
                    tenant_id=tenant.value,
                    customer_id=order.customer_id,
                    amount=order.amount,
                )
                for order in orders
            ]
        )

    async def update_three(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        async with self._client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            for customer, score in scores.items():
                await CustomerDocument.find_one(one(tenant, customer), session=session).update(
                    {"$set": {"score": score}, "$inc": {"version": 1}}, session=session
                )

    async def load_and_save(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        found = [await CustomerDocument.find_one(one(tenant, customer)) for customer in scores]
        async with self._client.start_session() as session, await session.start_transaction(write_concern=MAJORITY):
            for document in found:
                assert document is not None
                changes = {"score": scores[document.id.id], "version": document.version + 1}
                wanted = {**one(tenant, document.id.id), "version": document.version}
                written = await CustomerDocument.find_one(wanted, session=session).update(
                    {"$set": changes}, session=session
                )
                assert written.matched_count


def _seen(found: CustomerDocument) -> Seen:
    return found.id.id, found.email, found.name, found.status, found.score, found.created_at
