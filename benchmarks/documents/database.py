"""The server that all contenders share: prismicx's own collections, validators and indexes, filled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.documents.contender import DATABASE
from benchmarks.documents.raw import identity_of
from benchmarks.units.customers import MAPPINGS, Amounts, customer
from pymongo import AsyncMongoClient

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.embedded import EmbeddedMongo

FULL = Amounts(tenants=50, rows=400, large=0, bulk=5_000)
QUICK = Amounts(tenants=10, rows=200, large=0, bulk=5_000)


@asynccontextmanager
async def filled_database(amounts: Amounts) -> AsyncIterator[str]:
    """Run a server with the customers of all tenants, and give its address."""
    with EmbeddedMongo() as server:
        await BeanieBackend(MongoDBClient(server.uri, DATABASE), MAPPINGS).initialise_database()
        filling: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server.uri, uuidRepresentation="standard")
        for tenant in amounts.names:
            made = [customer(tenant, number) for number in range(amounts.rows)]
            await filling[DATABASE]["customers"].insert_many(
                {
                    "_id": identity_of(tenant, each.id),
                    "tenant_id": tenant.value,
                    "version": 1,
                    **each.model_dump(exclude={"id"}),
                }
                for each in made
            )
        await filling.close()
        yield server.uri
