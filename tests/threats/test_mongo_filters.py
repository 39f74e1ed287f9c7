"""Filters and options: what gets a query by a naive tenant filter in MongoDB, and not by the guard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from bson import Regex
from bson.raw_bson import RawBSONDocument
from pymongo.errors import WriteError
from tests.threats.attacking import leaks
from tests.threats.collections import items_of

from prismicx.adapters.beanie import BeanieBackend
from prismicx.domain.errors import CrossTenantError, InvalidTenantIdError, PrismicxError, UnsupportedOperationError
from prismicx.domain.identifiers import TenantId

HOSTILE: dict[str, Any] = {
    "another tenant": {"tenant_id": "globex"},
    "not none": {"tenant_id": {"$ne": None}},
    "any of": {"tenant_id": {"$in": ["acme", "globex"]}},
    "a pattern": {"tenant_id": {"$regex": "."}},
    "a pattern as a value": {"tenant_id": re.compile(".")},
    "$or": {"$or": [{"tenant_id": "globex"}, {}]},
    "$nor": {"$nor": [{"tenant_id": "acme"}]},
    "$and": {"$and": [{"tenant_id": "globex"}]},
    "$expr": {"$expr": {"$ne": ["$tenant_id", "acme"]}},
    "a schema": {"$jsonSchema": {"properties": {"tenant_id": {"enum": ["globex"]}}}},
}


def merged(filter_: dict[str, Any]) -> dict[str, Any]:
    """Return a filter as a team adds the tenant to it."""
    return {"tenant_id": "acme", **filter_}


@pytest.mark.parametrize("kind", ["another tenant", "not none", "any of", "a pattern", "a pattern as a value"])
def test_a_merged_filter_is_overridden(raw: Any, kind: str) -> None:
    assert leaks([list(found.values()) for found in raw.bare.find(merged(HOSTILE[kind]))])


def test_an_ored_filter_adds_to_the_tenants_documents(raw: Any) -> None:
    either = {"$or": [{"tenant_id": "acme"}, {"name": {"$ne": None}}]}
    assert leaks([list(found.values()) for found in raw.bare.find(either)])


@pytest.mark.parametrize("filter_", HOSTILE.values(), ids=HOSTILE)
async def test_no_filter_reaches_another_tenant(mongo: BeanieBackend, filter_: dict[str, Any]) -> None:
    async with items_of(mongo) as items:
        try:
            found = await items.find(filter_).to_list()
            assert await items.count_documents(filter_) == len(found)
            assert set(await items.distinct("tenant_id", filter_)) <= {"acme"}
        except (CrossTenantError, UnsupportedOperationError):
            found = []

    assert not leaks([list(document.values()) for document in found])


@pytest.mark.parametrize("tenant", [None, re.compile("."), Regex("."), {"$ne": None}, b"acme", ["acme", "globex"]])
def test_a_tenant_is_an_exact_text(raw: Any, tenant: Any) -> None:
    if not isinstance(tenant, bytes | list | None):
        assert leaks([list(found.values()) for found in raw.bare.find({"$and": [{"tenant_id": tenant}]})])

    given: Any = tenant
    with pytest.raises(InvalidTenantIdError):
        TenantId(given)


def test_none_as_a_tenant_matches_documents_without_one(raw: Any) -> None:
    raw.bare.insert_one({"_id": 3, "name": "globex forgot the tenant"})
    assert leaks([list(found.values()) for found in raw.bare.find({"tenant_id": None})])


def test_a_list_of_tenants_is_seen_by_each(raw: Any) -> None:
    raw.bare.insert_one({"_id": 3, "tenant_id": ["acme", "globex"], "name": "globex shares"})
    assert leaks([list(found.values()) for found in raw.bare.find({"$and": [{"tenant_id": "acme"}]})])


@pytest.mark.parametrize("tenant", [None, ["acme", "globex"], "", 7])
async def test_the_validator_wants_a_tenant_that_is_a_text(mongo: BeanieBackend, raw: Any, tenant: Any) -> None:
    with pytest.raises(WriteError):
        raw.items.insert_one({"_id": {"tenant": "x", "id": 1}, "tenant_id": tenant, "version": 1, "name": "x"})


def test_a_weaker_collation_makes_one_tenant_another(raw: Any) -> None:
    raw.bare.insert_one({"_id": 3, "tenant_id": "ACME", "name": "of globex, by the name of ACME"})
    weak = {"collation": {"locale": "en", "strength": 1}}
    assert leaks([list(found.values()) for found in raw.bare.find({"$and": [{"tenant_id": "acme"}]}, **weak)])

    with pytest.raises(InvalidTenantIdError):
        TenantId("ACME")


async def test_a_collation_is_refused(mongo: BeanieBackend) -> None:
    weak = {"locale": "en", "strength": 1}
    async with items_of(mongo) as items:
        with pytest.raises(UnsupportedOperationError):
            items.find({}, collation=weak)
        assert not hasattr(items.find({}), "collation")
        for attempt in (
            lambda: items.count_documents({}, collation=weak),
            lambda: items.distinct("name", {}, collation=weak),
            lambda: items.update_many({}, {"$set": {"amount": 5}}, collation=weak),
            lambda: items.delete_many({}, collation=weak),
            lambda: items.aggregate([], collation=weak),
        ):
            with pytest.raises(UnsupportedOperationError):
                await attempt()


class Sly(dict[str, Any]):
    """A filter that shows nothing when it is looked through."""

    def items(self) -> Any:
        return {}.items()


async def test_a_filter_is_what_was_checked(mongo: BeanieBackend, raw: Any) -> None:
    later: dict[str, Any] = {"name": {"$ne": None}}
    cursor = raw.bare.find({"$and": [{"tenant_id": "acme"}, later]})
    assert cursor

    async with items_of(mongo) as items:
        found = items.find(later)
        later["$or"] = [{"tenant_id": "globex"}]
        assert [item["name"] for item in await found.to_list()] == ["acme's"]
        for disguised in (Sly(tenant_id="globex"), RawBSONDocument(b"\x05\x00\x00\x00\x00")):
            assert not leaks([list(item.values()) for item in await items.find(disguised).to_list()])


SCRIPTS: dict[str, Any] = {
    "$where": {"$where": "true"},
    "$where inside": {"$or": [{"$where": "this.tenant_id != 'acme'"}]},
    "$function": {"$expr": {"$function": {"body": "function() { return true }", "args": [], "lang": "js"}}},
}


@pytest.mark.parametrize("filter_", SCRIPTS.values(), ids=SCRIPTS)
async def test_scripts_are_refused(mongo: BeanieBackend, filter_: dict[str, Any]) -> None:
    """The embedded server runs none, so that they leak is the MongoDB manual's word."""
    async with items_of(mongo) as items:
        with pytest.raises(UnsupportedOperationError):
            await items.find(filter_).to_list()
        with pytest.raises(UnsupportedOperationError):
            await items.delete_many(filter_)


async def test_a_text_search_stays_with_the_tenant(mongo: BeanieBackend) -> None:
    """The embedded server has no text search: either way, nothing of another tenant comes."""
    async with items_of(mongo) as items:
        try:
            found = await items.find({"$text": {"$search": "globex"}}).to_list()
        except PrismicxError:
            found = []
    assert found == []


async def test_an_estimate_counts_every_tenant(mongo: BeanieBackend, raw: Any) -> None:
    assert raw.bare.estimated_document_count() == 2

    async with items_of(mongo) as items:
        assert await items.count_documents({}) == 1
        with pytest.raises(UnsupportedOperationError):
            items.estimated_document_count()


async def test_the_driver_is_out_of_reach(mongo: BeanieBackend, raw: Any) -> None:
    escaped = raw.bare.database.client[raw.name].bare
    assert leaks([list(found.values()) for found in escaped.find()])

    async with items_of(mongo) as items:
        for name in ("database", "client", "with_options", "rename", "drop", "watch", "options", "index_information"):
            with pytest.raises(UnsupportedOperationError):
                getattr(items, name)
        with pytest.raises(UnsupportedOperationError):
            items["other"]
        with pytest.raises(UnsupportedOperationError):
            await items.find_one({}, session=object())


async def test_a_change_stream_hears_every_tenant(mongo: BeanieBackend, raw: Any) -> None:
    with raw.bare.watch() as stream:
        raw.bare.insert_one({"_id": 3, "tenant_id": "globex", "name": "globex's"})
        assert leaks([list(stream.next()["fullDocument"].values())])

    async with items_of(mongo) as items:
        with pytest.raises(UnsupportedOperationError):
            items.watch()
        with pytest.raises(UnsupportedOperationError):
            await items.aggregate([{"$changeStream": {}}])
