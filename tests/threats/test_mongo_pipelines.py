"""Aggregations: stages that leave a leading `$match` behind, and what the guard makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.threats.attacking import leaks
from tests.threats.collections import items_of
from tests.threats.service import ACME, MAPPINGS, Contact, Contacts, Insight, Insights

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.adapters.tenant_guard import TenantGuard
from prismicx.adapters.tenant_pipeline import scoped_pipeline
from prismicx.domain.errors import CrossTenantError, UnsupportedOperationError

OWN = {"$match": {"tenant_id": "acme"}}
ALL: list[dict[str, Any]] = []
READS: dict[str, list[dict[str, Any]]] = {
    "$lookup": [{"$lookup": {"from": "{}", "pipeline": ALL, "as": "all"}}],
    "$lookup by field": [{"$lookup": {"from": "{}", "localField": "none", "foreignField": "none", "as": "all"}}],
    "$lookup in $lookup": [
        {"$lookup": {"from": "{}", "pipeline": [{"$lookup": {"from": "{}", "pipeline": ALL, "as": "in"}}], "as": "all"}}
    ],
    "$unionWith": [{"$unionWith": "{}"}],
    "$unionWith with stages": [{"$unionWith": {"coll": "{}", "pipeline": [{"$match": {}}]}}],
    "$unionWith in $lookup": [{"$lookup": {"from": "{}", "pipeline": [{"$unionWith": "{}"}], "as": "all"}}],
    "$graphLookup": [
        {
            "$graphLookup": {
                "from": "{}",
                "startWith": {"$literal": "globex's"},
                "connectFromField": "name",
                "connectToField": "name",
                "as": "all",
            }
        }
    ],
    "$facet": [{"$facet": {"all": [{"$lookup": {"from": "{}", "pipeline": ALL, "as": "in"}}]}}],
}


def over(stages: Any, collection: str) -> Any:
    """Return the stages with the collection in them."""
    match stages:
        case dict():
            return {key: over(value, collection) for key, value in stages.items()}
        case list():
            return [over(stage, collection) for stage in stages]
        case "{}":
            return collection
    return stages


@pytest.mark.parametrize("stages", READS.values(), ids=READS)
def test_a_leading_match_is_left_behind(raw: Any, stages: Any) -> None:
    found = list(raw.bare.aggregate([OWN, *over(stages, "bare")]))
    assert leaks([[found]])


@pytest.mark.parametrize(
    "first", [[], [{"$match": {}}], [{"$match": {"amount": 1}}]], ids=["bare", "match", "own match"]
)
@pytest.mark.parametrize("stages", READS.values(), ids=READS)
async def test_every_collection_of_a_pipeline_is_given_the_tenant(
    mongo: BeanieBackend, stages: Any, first: Any
) -> None:
    async with items_of(mongo) as items:
        # The embedded server fails at $graphLookup over documents whose _id is a document: see the test below.
        for collection in () if "$graphLookup" in stages[0] else ("items", "notes"):
            found = await (await items.aggregate([*first, *over(stages, collection)])).to_list()
            assert found
            assert not leaks([[found]])


async def test_what_a_pipeline_draws_on_is_found(mongo: BeanieBackend) -> None:
    """The tenant's own documents are there, with the ids that the caller knows."""
    async with items_of(mongo) as items:
        own = await items.find_one({})
        assert own is not None
        notes = {"from": "notes", "localField": "_id", "foreignField": "item_id", "as": "notes"}
        (with_notes,) = await (await items.aggregate([{"$lookup": notes}])).to_list()
        assert with_notes["_id"] == own["_id"]
        assert [note["text"] for note in with_notes["notes"]] == ["acme's"]
        back = {"from": "items", "localField": "notes.item_id", "foreignField": "_id", "as": "items"}
        there: list[dict[str, Any]] = [{"$lookup": notes}, {"$unwind": "$notes"}, {"$lookup": back}]
        (there_and_back,) = await (await items.aggregate(there)).to_list()
        assert [item["_id"] for item in there_and_back["items"]] == [own["_id"]]
        both = await (await items.aggregate([{"$unionWith": "notes"}])).to_list()
        assert {document.get("name", document.get("text")) for document in both} == {"acme's"}
        assert len(both) == 2
        assert both[0]["_id"] == own["_id"]
        facets = {"names": [{"$project": {"name": 1}}], "count": [{"$count": "all"}]}
        (parts,) = await (await items.aggregate([{"$facet": facets}])).to_list()
        assert parts == {"names": [{"_id": own["_id"], "name": "acme's"}], "count": [{"all": 1}]}


async def test_collections_of_a_tenants_own_database_are_drawn_on_too(mongo: BeanieBackend) -> None:
    async with mongo.unit_of_work(ACME) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        uow.repository(Insights).add(Insight(user="acme"))
        uow.repository(Contacts).add(Contact(email="acme"))
        insights = uow.collection(MAPPINGS[3])
        every = {"from": "insights", "localField": "_id", "foreignField": "_id", "as": "same"}
        (found,) = await (await insights.aggregate([{"$lookup": every}])).to_list()
        assert [same["_id"] for same in found["same"]] == [found["_id"]]
        graph = {
            "from": "insights",
            "startWith": "$user",
            "connectFromField": "user",
            "connectToField": "user",
            "as": "same",
            "restrictSearchWithMatch": {"user": "acme"},
        }
        (linked,) = await (await insights.aggregate([{"$graphLookup": graph}])).to_list()
        assert linked["same"] == found["same"]
        for elsewhere in ("contacts", "items"):  # those are in other databases
            with pytest.raises(UnsupportedOperationError):
                await insights.aggregate([{"$unionWith": elsewhere}])


def test_a_search_through_a_shared_collection_is_kept_to_the_tenant() -> None:
    guard = TenantGuard(ACME, shared=True, versioned=True)
    graph = {"from": "items", "startWith": "$_id", "connectFromField": "_id", "connectToField": "item_id", "as": "all"}

    built = scoped_pipeline([{"$graphLookup": graph}], guard=guard, reach=lambda name: guard)

    assert built[0] == {"$match": {"tenant_id": "acme"}}
    assert built[1]["$graphLookup"] == {
        **graph,
        "connectFromField": "_id.id",
        "restrictSearchWithMatch": {"tenant_id": "acme"},
    }
    assert list(built[2]["$set"]) == ["all"]


REFUSED: dict[str, Any] = {
    "$out": {"$out": "bare"},
    "$out elsewhere": {"$out": {"db": "tenant_globex_db", "coll": "insights"}},
    "$merge": {"$merge": {"into": "bare", "on": "_id"}},
    "$collStats": {"$collStats": {"count": {}}},
    "$indexStats": {"$indexStats": {}},
    "$geoNear": {"$geoNear": {"near": [0, 0], "distanceField": "x"}},
    "$search": {"$search": {"text": {"query": "globex", "path": "name"}}},
    "$documents": {"$documents": [{"x": 1}]},
    "$currentOp": {"$currentOp": {}},
    "$listSessions": {"$listSessions": {}},
    "a collection without a mapping": {"$lookup": {"from": "bare", "pipeline": [], "as": "all"}},
    "the registry": {"$unionWith": "prismicx_tenants"},
    "another database": {"$lookup": {"from": {"db": "tenant_globex_db", "coll": "insights"}, "as": "all"}},
    "no collection": {"$unionWith": {"pipeline": []}},
    "an option that is not known": {"$unionWith": {"coll": "notes", "let": {}}},
    "$merge in $lookup": {"$lookup": {"from": "notes", "pipeline": [{"$merge": "bare"}], "as": "all"}},
    "$out in $facet": {"$facet": {"all": [{"$out": "bare"}]}},
    "$lookup among values": {"$set": {"x": {"$lookup": {"from": "notes"}}}},
    "a script": {"$set": {"x": {"$function": {"body": "f", "args": [], "lang": "js"}}}},
    "a script in $lookup": {"$lookup": {"from": "notes", "pipeline": [{"$match": {"$where": "1"}}], "as": "all"}},
    "$facet of no stages": {"$facet": {"all": "items"}},
    "$facet of no parts": {"$facet": "items"},
    "$lookup of nothing": {"$lookup": "notes"},
    "a path that is none": {"$lookup": {"from": "notes", "localField": ["_id"], "foreignField": "_id", "as": "all"}},
    "$graphLookup of no path": {"$graphLookup": {"from": "notes", "startWith": "$_id", "as": "all"}},
    "two operators": {"$match": {}, "$out": "bare"},
    "a key that is no text": {1: 2},
    "no stage": "items",
}


@pytest.mark.parametrize("stage", REFUSED.values(), ids=REFUSED)
async def test_a_stage_that_cannot_be_kept_to_the_tenant_is_refused(mongo: BeanieBackend, stage: Any) -> None:
    async with items_of(mongo) as items:
        for stages in ([stage], [{"$match": {}}, stage]):
            with pytest.raises(UnsupportedOperationError):
                await items.aggregate(stages)


@pytest.mark.parametrize("stage", [{"$out": "given"}, {"$merge": "given"}], ids=["$out", "$merge"])
def test_a_stage_that_writes_gives_documents_away(raw: Any, stage: Any) -> None:
    raw.bare.aggregate([OWN, {"$set": {"tenant_id": "globex"}}, stage])
    assert raw.given.count_documents({"tenant_id": "globex"}) == 1
    raw.given.drop()


def test_a_stage_that_must_come_first_counts_every_tenant(raw: Any) -> None:
    """That nothing may come before it is the MongoDB manual's word; the embedded server takes it in any place."""
    (found,) = raw.bare.aggregate([{"$collStats": {"count": {}}}])
    assert found["count"] == 2


async def test_another_tenant_named_in_a_match_is_refused(mongo: BeanieBackend) -> None:
    theirs = {"$match": {"tenant_id": "globex"}}
    async with items_of(mongo) as items:
        for stages in ([theirs], [{"$unionWith": {"coll": "notes", "pipeline": [theirs]}}]):
            with pytest.raises(CrossTenantError):
                await items.aggregate(stages)
        late = await (await items.aggregate([{"$match": {}}, theirs])).to_list()
        assert late == []
