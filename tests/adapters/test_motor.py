"""Services still written for Motor: the source document's own snippets, unchanged, and the guard around them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from tests.adapters.beanie.examples import MAPPINGS

from prismicx.adapters import motor
from prismicx.adapters.motor import MotorClient, TenantMotorClient
from prismicx.domain.errors import (
    BackendNotStartedError,
    CrossTenantError,
    DatabaseUnavailableError,
    InvalidTenantIdError,
    TenantContextMissingError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import MongoDatabase, MongoDatabases, MongoServer

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


# --- The source document's snippets, word for word but for annotations. ---


async def get_user_insights(mongo_client: Any, tenant_id: Any, user_id: Any) -> Any:
    # Switch to tenant-specific database
    tenant_db = mongo_client.client[f"tenant_{tenant_id}_db"]

    # Access collection
    insights_collection = tenant_db["user_insights"]

    # Query data
    user_insight = await insights_collection.find_one({"user_id": user_id})

    return user_insight  # noqa: RET504  # as the document has it


async def get_tenant_tasks(mongo_client: Any, tenant_id: Any) -> Any:
    # Use shared database
    tasks_collection = mongo_client.db["tasks"]

    # Query with tenant filter
    cursor = tasks_collection.find({"tenant_id": tenant_id})

    # Convert cursor to list
    tasks = await cursor.to_list(length=100)

    return tasks  # noqa: RET504  # as the document has it


async def update_categories_with_transaction(mongo_client: Any, tenant_id: Any, updates: Any) -> None:
    # Get session
    async with await mongo_client.client.start_session() as session:  # noqa: SIM117  # as the document has it
        # Start transaction
        async with session.start_transaction():
            collection = mongo_client.db.categories

            # Perform multiple operations
            for update in updates:
                await collection.update_one(
                    {"category_id": update["id"], "tenant_id": tenant_id},
                    {"$set": update["data"]},
                    session=session,
                )

            # Transaction automatically commits or aborts


@pytest.fixture
def database(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    return prismicx_mongo_database()


@pytest.fixture
async def mongo_client(database: MongoDatabase) -> AsyncIterator[MotorClient]:
    client = MotorClient(connection_string=database.uri, database_name=database.name, mappings=MAPPINGS)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
def server(prismicx_mongo_server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](prismicx_mongo_server.uri, uuidRepresentation="standard", tz_aware=True) as client:
        yield client


@pytest.fixture(params=["Motor's own client", "one tenant's part of it"])
def given(request: pytest.FixtureRequest, mongo_client: MotorClient) -> MotorClient | TenantMotorClient:
    """The snippets run on both: what a service has now, and what it is handed instead."""
    return mongo_client if request.param == "Motor's own client" else mongo_client.of(ACME)


async def test_user_insights(given: Any, server: Any) -> None:
    insight = {"user_id": "u1", "tenant_id": "acme", "updated_at": datetime(2026, 1, 1, tzinfo=UTC)}
    server["tenant_acme_db"].user_insights.insert_one({"_id": uuid4(), **insight})

    found = await get_user_insights(given, "acme", "u1")

    assert {key: found[key] for key in insight} == insight
    assert await get_user_insights(given, "acme", "u2") is None


async def test_tenant_tasks(given: Any, server: Any, database: MongoDatabase) -> None:
    for tenant in ("acme", "globex"):
        server[database.name].tasks.insert_one({"tenant_id": tenant, "title": f"of {tenant}"})

    assert [task["title"] for task in await get_tenant_tasks(given, "acme")] == ["of acme"]


async def test_categories_change_in_one_transaction(given: Any, server: Any, database: MongoDatabase) -> None:
    categories = server[database.name].categories
    for tenant in ("acme", "globex"):
        categories.insert_many([{"category_id": each, "tenant_id": tenant, "name": "before"} for each in (1, 2)])

    await update_categories_with_transaction(
        given, "acme", [{"id": each, "data": {"name": "after"}} for each in (1, 2)]
    )

    assert [each["name"] for each in categories.find({"tenant_id": "acme"})] == ["after", "after"]
    assert [each["name"] for each in categories.find({"tenant_id": "globex"})] == ["before", "before"]


async def test_a_failed_update_takes_the_others_with_it(given: Any, server: Any, database: MongoDatabase) -> None:
    categories = server[database.name].categories
    categories.insert_one({"category_id": 1, "tenant_id": "acme", "name": "before"})

    with pytest.raises(KeyError):
        await update_categories_with_transaction(given, "acme", [{"id": 1, "data": {"name": "after"}}, {}])

    assert [each["name"] for each in categories.find()] == ["before"]


# --- The guard. ---


async def test_another_tenants_data_is_out_of_reach(
    mongo_client: MotorClient, server: Any, database: MongoDatabase
) -> None:
    server[database.name].tasks.insert_one({"tenant_id": "globex", "title": "theirs"})
    mine = mongo_client.of(ACME)

    with pytest.raises(CrossTenantError):
        await get_user_insights(mine, "globex", "u1")
    with pytest.raises(CrossTenantError):
        await get_tenant_tasks(mine, "globex")
    for name in ("admin", "tenant_acme", "tenant_globex_crm"):
        with pytest.raises(CrossTenantError):
            mine[name]
    assert await mine.db.tasks.find({}).to_list() == []
    assert [row async for row in mine.db.tasks.aggregate([{"$match": {"title": "theirs"}}])] == []
    assert [row async for row in mine.db.others.aggregate([{"$unionWith": "tasks"}])] == []


async def test_an_aggregation_is_sorted_and_cut_by_its_stages(mongo_client: MotorClient) -> None:
    tasks = mongo_client.of(ACME).db.tasks
    await tasks.insert_many([{"title": "one"}, {"title": "two"}])

    for method, argument in (("sort", "title"), ("skip", 1), ("limit", 1)):
        with pytest.raises(UnsupportedOperationError, match=rf"the stage \${method}"):
            getattr(tasks.aggregate([]), method)(argument)
    assert len(await tasks.aggregate([]).batch_size(1).to_list()) == 2


async def test_there_is_no_way_back_to_the_client(mongo_client: MotorClient) -> None:
    mine = mongo_client.of(ACME)

    for name in ("client", "command", "drop_collection", "_anything"):
        with pytest.raises(UnsupportedOperationError):
            getattr(mine.db, name)
    with pytest.raises(UnsupportedOperationError):
        _ = mine.db.tasks.database
    async with await mongo_client.client.start_session() as foreign:
        with pytest.raises(UnsupportedOperationError):
            await mine.db.tasks.find_one({}, session=foreign)


async def test_collections_of_the_backend_keep_its_identities_and_versions(
    mongo_client: MotorClient, server: Any, database: MongoDatabase
) -> None:
    mine, identity = mongo_client.of(ACME), uuid4()

    await mine.db.tasks.insert_one({"_id": identity, "title": "one"})
    await mine.db.tasks.update_one({"_id": identity}, {"$set": {"title": "two"}})
    await mine.db.own.insert_one({"_id": 1, "version": "mine"})
    await mine.client["tenant_acme_db"].user_insights.insert_one({"_id": identity, "user_id": "u1"})
    await mine.client["tenant_acme_crm"]["contacts"].insert_one({"email": "ada@acme.test"})
    await mine.db.own.replace_one({"_id": 1}, {"_id": 1, "name": "replaced"})

    assert server[database.name].tasks.find_one() == {
        "_id": {"tenant": "acme", "id": identity},
        "tenant_id": "acme",
        "title": "two",
        "version": 2,
    }
    assert server[database.name].own.find_one() == {"_id": 1, "tenant_id": "acme", "name": "replaced"}
    assert server["tenant_acme_db"].user_insights.find_one()["version"] == 1
    assert server["tenant_acme_crm"].contacts.find_one()["tenant_id"] == "acme"


async def test_a_transaction_can_be_ended_by_hand(mongo_client: MotorClient) -> None:
    mine = mongo_client.of(ACME)
    session = await mine.client.start_session()

    session.start_transaction()
    await mine.db.tasks.insert_one({"title": "kept"}, session=session)
    await session.commit_transaction()
    session.start_transaction()
    await mine.db.tasks.insert_one({"title": "never"}, session=session)
    await session.abort_transaction()
    await session.end_session()

    assert await mine.db.tasks.distinct("title") == ["kept"]


@pytest.mark.parametrize(("tenant", "error"), [(None, TenantContextMissingError), ("acme", InvalidTenantIdError)])
async def test_a_tenant_is_a_tenant_id(mongo_client: MotorClient, tenant: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        mongo_client.of(tenant)


# --- The connection. ---


async def test_a_client_connects_once_and_closes_once(database: MongoDatabase) -> None:
    client = MotorClient(database.uri, database.name)
    with pytest.raises(BackendNotStartedError):
        _ = client.client

    await client.connect()
    before = client.client
    await client.connect()

    assert client.client is before
    assert client.db.name == database.name
    await client.close()
    await client.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    nowhere = "%2Ftmp%2Fprismicx-nobody-listens-here.sock"
    client = MotorClient(f"mongodb://ada:hunter2@{nowhere}", "app", server_selection_seconds=0.1)

    with pytest.raises(DatabaseUnavailableError) as refused:
        await client.connect()

    assert refused.value.address == f"mongodb://{nowhere}"
    assert "hunter2" not in repr(client) + str(refused.value)


async def test_a_connection_string_that_is_none_is_refused() -> None:
    with pytest.raises(DatabaseUnavailableError, match="not valid"):
        await MotorClient("nonsense://", "app").connect()


async def test_a_refusal_of_the_server_is_the_drivers_own(
    database: MongoDatabase, server: MongoClient[dict[str, Any]]
) -> None:
    from pymongo.errors import OperationFailure

    admin = server.admin
    admin.command(
        {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": {"failCommands": ["ping"], "errorCode": 13}}
    )
    with pytest.raises(OperationFailure):
        await MotorClient(database.uri, database.name).connect()


def test_without_motor_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "motor.motor_asyncio", None)
    monkeypatch.delitem(sys.modules, motor.__name__)

    with pytest.raises(ImportError, match=r"pip install 'prismicx\[motor\]'"):
        importlib.import_module(motor.__name__)
