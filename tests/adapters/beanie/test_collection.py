"""The guarded collection on a real server: what passes stays with the tenant, everything else is refused."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest
from bson import SON, Code, encode
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from tests.adapters.beanie.examples import ACME, GLOBEX, MAPPINGS, Commands, Insights, Task, Tasks, UserInsight

from prismicx.adapters.beanie import BeanieBackend, BeanieCollection, BeanieUnitOfWork
from prismicx.domain.errors import (
    CrossTenantError,
    DuplicateEntityError,
    ReadOnlyUnitOfWorkError,
    UnitOfWorkClosedError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId

_MINE, _THEIRS = uuid4(), uuid4()


@pytest.fixture(autouse=True)
async def tasks(backend: BeanieBackend) -> None:
    """One task of each tenant, and a second one of ours."""
    for tenant, tasks in (
        (ACME, [Task(id=_MINE, title="one", owner="ada"), Task(title="two")]),
        (GLOBEX, [Task(id=_THEIRS, title="theirs", owner="ada")]),
    ):
        async with backend.unit_of_work(tenant) as uow:
            uow.repository(Tasks).add_many(tasks)
            await uow.commit()


@contextlib.asynccontextmanager
async def _collection(
    backend: BeanieBackend, tenant: TenantId = ACME, *, read_only: bool = False, commit: bool = False
) -> AsyncIterator[BeanieCollection]:
    async with backend.unit_of_work(tenant, read_only=read_only) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        yield uow.collection(MAPPINGS[0])
        if commit:
            await uow.commit()


async def _untouched(backend: BeanieBackend) -> bool:
    async with _collection(backend, GLOBEX) as theirs:
        found = await theirs.find().to_list()
        return [(task["title"], task["owner"], task["version"]) for task in found] == [("theirs", "ada", 1)]


class _Choice(Enum):
    ONE = "one"


_EVERYTHING: list[Any] = [
    None,
    {},
    {"owner": {"$ne": "nobody"}},
    {"$or": [{"tenant_id": "globex"}, {"title": {"$exists": True}}]},
    {"$or": [{}, {"tenant_id": {"$ne": None}}]},
    {"$nor": [{"tenant_id": "acme", "title": "nothing"}]},
    {"$expr": {"$ne": ["$tenant_id", None]}},
    {"tenant_id": "acme"},
    {"_id": {"$ne": _THEIRS}},
    {"_id": {"$exists": True}},
    SON([("title", {"$regex": "."})]),
]


@pytest.mark.parametrize("filter_", _EVERYTHING)
async def test_no_filter_finds_another_tenants_documents(backend: BeanieBackend, filter_: Any) -> None:
    async with _collection(backend) as mine:
        assert {task["title"] for task in await mine.find(filter_).to_list()} == {"one", "two"}
        assert await mine.count_documents(filter_ or {}) == 2
        assert set(await mine.distinct("title", filter_)) == {"one", "two"}


@pytest.mark.parametrize(
    "filter_",
    [
        {"tenant_id": "globex"},
        {"tenant_id": {"$ne": None}},
        {"tenant_id": ["acme"]},
        {"_id": {"tenant": "globex", "id": _THEIRS}},
        {"_id": {"$in": [{"tenant": "globex", "id": _THEIRS}]}},
        {"$or": [{"_id": {"$eq": {"tenant": "globex", "id": _THEIRS}}}]},
    ],
)
async def test_a_filter_that_names_another_tenant_is_refused(backend: BeanieBackend, filter_: Any) -> None:
    async with _collection(backend) as mine:
        for attempt in (mine.find_one, mine.delete_many, mine.count_documents):
            with pytest.raises(CrossTenantError):
                await attempt(filter_)


@pytest.mark.parametrize(
    "filter_",
    [
        {"$where": "true"},
        {"$or": [{"$where": "true"}]},
        {"$expr": {"$function": {"body": "function() { return true }", "args": [], "lang": "js"}}},
        {"title": Code("return true")},
        {"title": object()},
        {7: "seven"},
        {"_id": {"tenant": "acme"}},
        {"_id": {"$not": {"$eq": _MINE}}},
        "title",
        [("title", "one")],
    ],
)
async def test_a_filter_that_runs_or_hides_something_is_refused(backend: BeanieBackend, filter_: Any) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(UnsupportedOperationError):
            await mine.find_one(filter_)


async def test_a_filter_cannot_change_or_hide_a_key_after_it_was_checked(backend: BeanieBackend) -> None:
    class Hiding(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return False

        def get(self, key: str, default: Any = None) -> Any:
            return default

    raw = RawBSONDocument(encode({"tenant_id": "globex"}))
    changing: dict[str, Any] = {"title": "one"}
    async with _collection(backend) as mine:
        with pytest.raises(CrossTenantError):
            mine.find(Hiding(tenant_id="globex"))
        with pytest.raises(CrossTenantError):
            mine.find(raw)
        cursor = mine.find(changing)
        changing["title"] = "two"

        assert [task["title"] for task in await cursor.to_list()] == ["one"]


async def test_values_are_taken_as_documents_have_them(backend: BeanieBackend) -> None:
    class Text(str):
        __slots__ = ()

    async with _collection(backend) as mine:
        assert await mine.count_documents({"title": _Choice.ONE}) == 1
        assert await mine.count_documents({Text("title"): Text("one")}) == 1
        assert await mine.count_documents({"budget": Decimal("0.00"), "due": {"$ne": date(2026, 1, 1)}}) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("database", "client", "codec_options", "drop", "rename", "watch", "estimated_document_count", "options"),
        *("create_index", "with_options", "aggregate_raw_batches", "find_raw_batches", "map_reduce", "anything"),
    ],
)
async def test_what_is_not_on_the_list_is_refused(backend: BeanieBackend, name: str) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(UnsupportedOperationError):
            getattr(mine, name)
        with pytest.raises(UnsupportedOperationError):
            mine[name]
        with pytest.raises(AttributeError):
            mine.__html__  # noqa: B018  # what templates ask of anything


async def test_options_that_weaken_the_filter_are_refused(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        for option in ({"collation": {"locale": "en", "strength": 1}}, {"let": {"x": 1}}, {"max": {"a": 1}}):
            with pytest.raises(UnsupportedOperationError):
                mine.find({}, **option)
            with pytest.raises(UnsupportedOperationError):
                await mine.aggregate([], **option)
            with pytest.raises(UnsupportedOperationError):
                await mine.delete_many({}, **option)
        with pytest.raises(UnsupportedOperationError):
            await mine.insert_one({"title": "x"}, bypass_document_validation=True)
        with pytest.raises(UnsupportedOperationError):
            await mine.find_one({}, session=object())


async def test_a_projection_runs_no_script(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(UnsupportedOperationError):
            mine.find({}, {"x": {"$function": {"body": "", "args": [], "lang": "js"}}})

        assert await mine.find_one({"title": "one"}, {"title": 1}) == {"_id": _MINE, "title": "one"}


# --- Aggregation. ---


async def test_an_aggregation_sees_the_tenant_only(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        counted = await (await mine.aggregate([{"$count": "all"}])).to_list()
        matched = await (await mine.aggregate([{"$match": {"$or": [{}, {"tenant_id": "globex"}]}}])).to_list()
        titles = [
            row["_id"] async for row in await mine.aggregate([{"$group": {"_id": "$title"}}, {"$sort": {"_id": 1}}])
        ]

    assert counted == [{"all": 2}]
    assert {task["title"] for task in matched} == {"one", "two"}
    assert titles == ["one", "two"]


@pytest.mark.parametrize(("method", "argument"), [("sort", "title"), ("skip", 1), ("limit", 1)])
async def test_an_aggregation_is_sorted_and_cut_by_its_stages(
    backend: BeanieBackend, method: str, argument: object
) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(UnsupportedOperationError, match=rf"the stage \${method}"):
            getattr(await mine.aggregate([]), method)(argument)

        assert len(await (await mine.aggregate([])).batch_size(1).to_list()) == 2


@pytest.mark.parametrize(
    "stage",
    [
        {"$lookup": {"from": "prismicx_tenants", "pipeline": [], "as": "all"}},
        {"$unionWith": "user_insights"},
        {"$graphLookup": {"from": "tasks"}},
        {"$facet": {"all": "tasks"}},
        {"$out": "elsewhere"},
        {"$merge": "elsewhere"},
        {"$collStats": {"count": {}}},
        {"$indexStats": {}},
        {"$geoNear": {}},
        {"$changeStream": {}},
        {"$documents": []},
        {"$match": {}, "$out": "elsewhere"},
        {"$set": {"x": {"$function": {}}}},
        {"$group": {"_id": None, "x": {"$accumulator": {}}}},
        {},
        "text",
    ],
)
async def test_a_stage_that_leaves_the_collection_is_refused(backend: BeanieBackend, stage: Any) -> None:
    async with _collection(backend) as mine:
        for stages in ([stage], [{"$match": {}}, stage]):
            with pytest.raises(UnsupportedOperationError):
                await mine.aggregate(stages)
        with pytest.raises(UnsupportedOperationError):
            await mine.aggregate(stage)
    assert await _untouched(backend)


# --- Writing. ---


async def test_new_documents_are_stamped(backend: BeanieBackend, stored: Any) -> None:
    identity = uuid4()
    async with _collection(backend, commit=True) as mine:
        first = await mine.insert_one({"_id": identity, "title": "new", "version": 77})
        many = await mine.insert_many(
            [{"title": "a", "tenant_id": None}, {"title": "b", "tenant_id": "acme"}], ordered=False
        )

    assert first.inserted_id == identity
    assert all(isinstance(each, UUID) for each in many.inserted_ids)
    assert stored.tasks.find_one({"title": "new"}) == {
        "_id": {"tenant": "acme", "id": identity},
        "tenant_id": "acme",
        "title": "new",
        "version": 1,
    }
    assert stored.tasks.count_documents({"tenant_id": "acme"}) == 5


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"tenant_id": "globex"}, CrossTenantError),
        ({"tenant_id": ["acme", "globex"]}, CrossTenantError),
        ({"_id": {"tenant": "globex", "id": _THEIRS}}, CrossTenantError),
        ({"_id": {"a": 1}}, UnsupportedOperationError),
        ({"$set": {"title": "x"}}, UnsupportedOperationError),
        (["title"], UnsupportedOperationError),
    ],
)
async def test_a_document_of_another_tenant_is_refused(
    backend: BeanieBackend, document: Any, error: type[Exception]
) -> None:
    async with _collection(backend) as mine:
        for attempt in (
            mine.insert_one(document),
            mine.insert_many([document]),
            mine.bulk_write([InsertOne(document)]),
        ):
            with pytest.raises(error):
                await attempt


async def test_writes_without_a_filter_stay_with_the_tenant(backend: BeanieBackend) -> None:
    async with _collection(backend, commit=True) as mine:
        assert (await mine.update_many({}, {"$set": {"owner": "eve"}})).modified_count == 2
        assert (await mine.update_one({"_id": _THEIRS}, {"$set": {"owner": "eve"}})).matched_count == 0
        assert (await mine.delete_one({"_id": _THEIRS})).deleted_count == 0
        assert await mine.find_one_and_update({"_id": _THEIRS}, {"$set": {"owner": "eve"}}) is None
        assert await mine.find_one_and_delete({"_id": _THEIRS}) is None
        assert (await mine.delete_many({})).deleted_count == 2

    assert await _untouched(backend)


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"tenant_id": "globex"}},
        {"$set": {"tenant_id.x": 1}},
        {"$unset": {"tenant_id": ""}},
        {"$rename": {"tenant_id": "t"}},
        {"$rename": {"title": "tenant_id"}},
        {"$min": {"tenant_id": "a"}},
        {"$currentDate": {"tenant_id": True}},
        {"$setOnInsert": {"tenant_id": "globex"}},
        {"$set": {"_id": 1}},
        {"$inc": {"version": 5}},
        {"$set": {"version": 1}},
        [{"$set": {"tenant_id": "globex"}}],
        {"title": "a replacement"},
        {"$set": "title"},
        {"$unknown": {}},
    ],
)
async def test_an_update_of_what_is_the_frameworks_is_refused(backend: BeanieBackend, update: Any) -> None:
    async with _collection(backend) as mine:
        for attempt in (
            mine.update_one({}, update),
            mine.update_many({}, update),
            mine.find_one_and_update({}, update),
            mine.bulk_write([UpdateOne({}, update if isinstance(update, list) else {"$set": {"version": 1}})]),
        ):
            with pytest.raises(UnsupportedOperationError):
                await attempt


async def test_a_raw_write_raises_the_version_that_a_unit_has_read(backend: BeanieBackend) -> None:
    async with _collection(backend, commit=True) as mine:
        changed = await mine.find_one_and_update(
            {"_id": _MINE}, {"$set": {"owner": "eve"}, "$inc": {"count": 1}}, return_document=ReturnDocument.AFTER
        )

    assert changed is not None
    assert (changed["_id"], changed["version"], changed["count"]) == (_MINE, 2, 1)


async def test_an_upsert_is_complete(backend: BeanieBackend, stored: Any) -> None:
    identity = uuid4()
    async with _collection(backend, commit=True) as mine:
        await mine.update_one({"title": "new"}, {"$set": {"owner": "ada"}}, upsert=True)
        await mine.update_one({"_id": identity}, {"$set": {"title": "named"}}, upsert=True)
        await mine.update_one({"_id": _THEIRS}, {"$set": {"title": "mine too"}}, upsert=True)

    new, named = stored.tasks.find_one({"title": "new"}), stored.tasks.find_one({"title": "named"})
    assert (new["tenant_id"], new["_id"]["tenant"], new["version"]) == ("acme", "acme", 1)
    assert named["_id"] == {"tenant": "acme", "id": identity}
    assert await _untouched(backend)


async def test_a_replacement_names_the_version_it_replaces(backend: BeanieBackend, stored: Any) -> None:
    async with _collection(backend, commit=True) as mine:
        with pytest.raises(UnsupportedOperationError):
            await mine.replace_one({"_id": _MINE}, {"title": "blind"})
        stale = await mine.replace_one({"_id": _MINE}, {"title": "stale", "version": 9})
        done = await mine.replace_one({"_id": _MINE}, {"_id": _MINE, "title": "replaced", "version": 1})
        before = await mine.find_one_and_replace(
            {"_id": _MINE, "$and": [{"title": "replaced"}]}, {"title": "again", "version": 2}
        )

    assert (stale.matched_count, done.matched_count) == (0, 1)
    assert before is not None
    assert before["title"] == "replaced"
    found = stored.tasks.find_one({"_id": {"tenant": "acme", "id": _MINE}})
    assert (found["title"], found["tenant_id"], found["version"]) == ("again", "acme", 3)


async def test_several_writes_in_one_command(backend: BeanieBackend, commands: Commands, stored: Any) -> None:
    commands.forget()
    async with _collection(backend, commit=True) as mine:
        result = await mine.bulk_write(
            [
                InsertOne({"title": "bulk"}),
                UpdateOne({"title": "one"}, {"$set": {"owner": "eve"}}),
                UpdateMany({}, {"$set": {"done_at": None}}),
                ReplaceOne({"title": "bulk"}, {"title": "bulk", "owner": "bob", "version": 2}),
                DeleteOne({"title": "two"}),
                DeleteMany({"_id": _THEIRS}),
            ]
        )

    assert (result.inserted_count, result.deleted_count) == (1, 1)
    assert await _untouched(backend)
    assert {task["title"]: task["owner"] for task in stored.tasks.find({"tenant_id": "acme"})} == {
        "one": "eve",
        "bulk": "bob",
    }


@pytest.mark.parametrize(
    "request_",
    [
        UpdateOne({}, {"$set": {"a": 1}}, collation={"locale": "en"}),
        DeleteMany({}, collation={"locale": "en"}),
        ReplaceOne({}, {"title": "x", "version": 1}, upsert=True),
        InsertOne({"title": "x"}, namespace="other.tasks"),
        "delete everything",
    ],
)
async def test_a_write_in_disguise_is_refused(backend: BeanieBackend, request_: Any) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(UnsupportedOperationError):
            await mine.bulk_write([request_])


# --- The unit that it belongs to. ---


async def test_raw_writes_are_discarded_without_commit(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        await mine.delete_many({})
        assert await mine.count_documents({}) == 0

    async with _collection(backend) as again:
        assert await again.count_documents({}) == 2


async def test_a_raw_query_sees_what_the_unit_has_not_written_yet(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        (await uow.repository(Tasks).get(_MINE)).title = "changed"

        assert await uow.collection(MAPPINGS[0]).count_documents({"title": "changed"}, session=uow.session) == 1


async def test_a_collection_ends_with_its_unit(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        cursor = mine.find(batch_size=1).sort("title", 1)
        await anext(cursor)

    for attempt in (mine.find_one({}), mine.insert_one({"title": "x"}), anext(cursor), cursor.to_list()):
        with pytest.raises(UnitOfWorkClosedError):
            await attempt


async def test_a_read_only_unit_writes_nothing(backend: BeanieBackend) -> None:
    async with _collection(backend, read_only=True) as mine:
        assert await mine.count_documents({}) == 2
        with pytest.raises(ReadOnlyUnitOfWorkError):
            await mine.delete_many({})


async def test_a_raw_duplicate_is_the_domains(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        with pytest.raises(DuplicateEntityError) as refused:
            await mine.insert_one({"title": "one"})

    assert refused.value.key == ("title",)


async def test_a_cursor_is_shaped_before_it_is_sent(backend: BeanieBackend) -> None:
    async with _collection(backend) as mine:
        async with mine.find().sort([("title", -1)]).skip(1).limit(1).batch_size(10) as cursor:
            assert [task["title"] async for task in cursor] == ["one"]
            with pytest.raises(UnsupportedOperationError):
                cursor.limit(5)
        async with mine.find() as never_sent:
            pass

        assert len(await never_sent.to_list(1)) == 1


async def test_a_teams_own_repository_speaks_mongodbs_language(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        repository: Any = uow.repository(Tasks)
        titled = await repository.titled("one", "two", "theirs")
        titled[0].owner = "bob"
        assert titled[1] is await repository.get(_MINE)
        assert await repository.owners() == [{"_id": "ada", "tasks": 1}, {"_id": "bob", "tasks": 1}]
        assert await repository.hand_over("eve") == 0
        await uow.commit()

    assert [task.title for task in titled] == ["two", "one"]


async def test_a_collection_of_a_tenants_own_database_is_guarded_too(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        insight = UserInsight(user_id="u1")
        uow.repository(Insights).add(insight)
        insights = uow.collection(MAPPINGS[2])

        assert (await insights.find({"_id": insight.id}).to_list())[0]["user_id"] == "u1"
        with pytest.raises(CrossTenantError):
            await insights.find_one({"tenant_id": "globex"})


async def test_a_guarded_filter_uses_the_index(backend: BeanieBackend, stored: Any, commands: Commands) -> None:
    async with _collection(backend) as mine:
        commands.forget()
        await mine.find_one({"title": "one"})

    plan = stored.command("explain", {"find": "tasks", "filter": commands.bodies[0]["filter"]})["queryPlanner"][
        "winningPlan"
    ]
    assert plan["inputStage"]["keyPattern"] == {"tenant_id": 1, "title": 1}
