"""Updates, replacements, upserts and bulk writes: what moves a document to another tenant, and not by the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import WriteError
from tests.threats.collections import items_of
from tests.threats.service import GLOBEX, MAPPINGS

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.domain.errors import CrossTenantError, UnsupportedOperationError

MOVES: dict[str, Any] = {
    "$set": {"$set": {"tenant_id": "globex"}},
    "$unset": {"$unset": {"tenant_id": ""}},
    "$rename away": {"$rename": {"tenant_id": "old"}},
    "$rename onto": {"$rename": {"name": "tenant_id"}},
    "$min": {"$min": {"tenant_id": "aaaa"}},
    "$max": {"$max": {"tenant_id": "globex"}},
    "$currentDate": {"$currentDate": {"tenant_id": True}},
    "a pipeline of $set": [{"$set": {"tenant_id": "globex"}}],
    "a pipeline of $unset": [{"$unset": "tenant_id"}],
    "a pipeline of $project": [{"$project": {"name": 1}}],
    "a pipeline of $replaceWith": [{"$replaceWith": {"_id": "$_id", "tenant_id": "globex"}}],
    "a pipeline of $setField": [
        {"$replaceWith": {"$setField": {"field": "tenant_id", "input": "$$ROOT", "value": "globex"}}}
    ],
}
OWN = {"$and": [{"tenant_id": "acme"}]}


@pytest.mark.parametrize("update", MOVES.values(), ids=MOVES)
def test_an_update_moves_documents_out_of_their_tenant(raw: Any, update: Any) -> None:
    raw.bare.update_many(OWN, update)
    assert raw.bare.count_documents(OWN) == 0


@pytest.mark.parametrize(
    "update",
    [*MOVES.values(), {"$push": {"tenant_id": "globex"}}, {"$set": {"tenant_id.x": 1}}, {"$set": {"_id": 1}}],
    ids=[*MOVES, "$push", "a path into it", "the identity"],
)
async def test_an_update_of_the_tenant_is_refused(mongo: BeanieBackend, raw: Any, update: Any) -> None:
    async with items_of(mongo, commit=True) as items:
        for attempt in (items.update_one, items.update_many, items.find_one_and_update):
            with pytest.raises(UnsupportedOperationError):
                await attempt({}, update)
        with pytest.raises(UnsupportedOperationError):
            await items.bulk_write([UpdateMany({}, update)])

    assert raw.items.count_documents({"tenant_id": "acme"}) == raw.items.count_documents({"tenant_id": "globex"}) == 1


async def test_a_replacement_loses_the_tenant(mongo: BeanieBackend, raw: Any) -> None:
    raw.bare.replace_one(OWN, {"name": "of nobody"})
    assert raw.bare.count_documents(OWN) == 0

    async with items_of(mongo, commit=True) as items:
        await items.replace_one({}, {"name": "replaced", "amount": 1, "version": 1})
        await items.find_one_and_replace({}, {"name": "again", "amount": 1, "version": 2})
        with pytest.raises(CrossTenantError):
            await items.replace_one({}, {"name": "x", "tenant_id": "globex", "version": 3})
    found = raw.items.find_one({"tenant_id": "acme"})
    assert (found["name"], found["version"]) == ("again", 3)


def test_an_upsert_makes_a_document_of_another_tenant(raw: Any) -> None:
    missing = {"tenant_id": "acme", "name": "missing"}
    raw.bare.update_one({"$or": [missing]}, {"$set": {"name": "of nobody"}}, upsert=True)
    raw.bare.update_one({**missing, "amount": 1}, [{"$set": {"tenant_id": "globex"}}], upsert=True)
    assert raw.bare.count_documents({"tenant_id": "acme"}) < raw.bare.count_documents({}) - 1


@pytest.mark.parametrize(
    "filter_", [{"name": "missing"}, {"$or": [{"name": "missing"}]}, {"name": {"$in": ["missing"]}}]
)
async def test_an_upsert_is_the_tenants(mongo: BeanieBackend, raw: Any, filter_: dict[str, Any]) -> None:
    async with items_of(mongo, commit=True) as items:
        await items.update_one(filter_, {"$set": {"amount": 5}}, upsert=True)
        with pytest.raises(UnsupportedOperationError):
            await items.update_one(filter_, {"$setOnInsert": {"tenant_id": "globex"}}, upsert=True)

    made = raw.items.find_one({"amount": 5})
    assert (made["tenant_id"], made["_id"]["tenant"]) == ("acme", "acme")


async def test_new_documents_are_stamped(mongo: BeanieBackend, raw: Any) -> None:
    raw.bare.insert_one({"_id": 3, "tenant_id": "globex", "name": "put there by acme"})
    assert raw.bare.count_documents({"tenant_id": "globex"}) == 2

    async with items_of(mongo, commit=True) as items:
        await items.insert_one({"name": "one", "amount": 1})
        await items.insert_many([{"name": "two", "amount": 2}])
        await items.bulk_write([InsertOne({"name": "three", "amount": 3})])
        for hostile in (
            {"name": "x", "tenant_id": "globex"},
            {"name": "x", "tenant_id": ["acme", "globex"]},
            {"name": "x", "_id": {"tenant": "globex", "id": 1}},
        ):
            with pytest.raises(CrossTenantError):
                await items.insert_one(hostile)
    assert raw.items.count_documents({"tenant_id": "acme", "_id.tenant": "acme", "version": 1}) == 4


class Sly(dict[str, Any]):
    """A document that shows nothing when it is looked through."""

    def __iter__(self) -> Any:
        return iter(())

    def items(self) -> Any:
        return {}.items()

    def keys(self) -> Any:
        return {}.keys()


TWICE = encode({"tenant_id": "acme"})[4:-1]
DOUBLE = RawBSONDocument(
    (len(encode({"tenant_id": "globex"})) + len(TWICE)).to_bytes(4, "little")
    + TWICE
    + encode({"tenant_id": "globex"})[4:]
)
DISGUISED: dict[str, Callable[[], Any]] = {
    "a dictionary that hides": lambda: InsertOne(Sly(tenant_id="globex", name="x")),
    "a field twice": lambda: InsertOne(DOUBLE),
    "an update in a bulk write": lambda: UpdateOne({}, {"$set": {"tenant_id": "globex"}}),
    "an upsert by replacement": lambda: ReplaceOne({"name": "missing"}, {"tenant_id": "globex"}, upsert=True),
    "a filter in a bulk write": lambda: DeleteMany({"tenant_id": "globex"}),
}


@pytest.mark.parametrize("request_", DISGUISED.values(), ids=DISGUISED)
async def test_a_bulk_write_hides_nothing(mongo: BeanieBackend, raw: Any, request_: Callable[[], Any]) -> None:
    before = raw.bare.count_documents({"tenant_id": "globex"})
    raw.bare.bulk_write([request_()])
    changed = raw.bare.count_documents({"tenant_id": "globex"}) != before or raw.bare.count_documents({}) != 2
    assert changed

    async with items_of(mongo, commit=True) as items:
        try:
            await items.bulk_write([request_()])
        except (CrossTenantError, UnsupportedOperationError):
            """Refused, which is as good as stamped."""
    assert raw.items.count_documents({"tenant_id": "globex"}) == 1
    assert raw.items.count_documents({"tenant_id": "globex", "name": "globex's"}) == 1


async def test_a_write_without_a_filter_stays_with_the_tenant(mongo: BeanieBackend, raw: Any) -> None:
    raw.bare.update_many({}, {"$set": {"name": "x"}})
    assert raw.bare.count_documents({"tenant_id": "globex", "name": "x"}) == 1
    assert raw.bare.delete_many({}).deleted_count == 2

    async with items_of(mongo, commit=True) as items:
        await items.update_many({}, {"$set": {"name": "x"}})
        assert (await items.delete_many({})).deleted_count == 1
    assert [item["name"] for item in raw.items.find()] == ["globex's"]


async def test_the_validator_can_be_bypassed_by_whoever_may_ask(mongo: BeanieBackend, raw: Any) -> None:
    stray = {"_id": {"tenant": "x", "id": 1}, "name": "of nobody"}
    with pytest.raises(WriteError):
        raw.items.insert_one(stray)
    raw.items.insert_one(stray, bypass_document_validation=True)
    raw.items.delete_one({"_id": stray["_id"]})

    async with items_of(mongo) as items:
        for attempt in (
            items.insert_one({"name": "x"}, bypass_document_validation=True),
            items.update_many({}, {"$set": {"name": "x"}}, bypass_document_validation=True),
            items.replace_one({}, {"name": "x", "version": 1}, bypass_document_validation=True),
            items.bulk_write([], bypass_document_validation=True),
        ):
            with pytest.raises(UnsupportedOperationError):
                await attempt


async def test_one_transaction_writes_no_other_tenants_database(mongo: BeanieBackend, raw: Any) -> None:
    client = raw.client
    with client.start_session() as session, session.start_transaction():
        for tenant in ("acme", "globex"):
            document = {"_id": 1, "tenant_id": tenant, "version": 1, "user": "x"}
            client[f"tenant_{tenant}_db"].insights.insert_one(document, session=session)
            assert client[f"tenant_{tenant}_db"].insights.count_documents({}, session=session) == 1
        session.abort_transaction()

    async with mongo.unit_of_work(GLOBEX) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        names = {uow.raw_collection(mapping).database.name for mapping in MAPPINGS}
        assert names == {raw.name, "tenant_globex_crm", "tenant_globex_db"}
        with pytest.raises(CrossTenantError):
            await uow.collection(MAPPINGS[3]).insert_one({"tenant_id": "acme", "user": "x"})
