"""Source document, "Accessing MongoDB Data": what its calls really do, and what ours do."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pymongo.errors import WriteError

from prismicx import BackendNotStartedError, TenantId
from prismicx.adapters.beanie import MongoDBClient
from prismicx.demo.domain import Task, Topic
from prismicx.demo.service import ReferenceService
from prismicx.testing.databases import MongoDatabase

ACME, GLOBEX = TenantId("tenant-ab12cd34"), TenantId("tenant-ef56ab78")


async def test_the_client_takes_the_documents_arguments_and_is_connected_and_closed(mongo: MongoDatabase) -> None:
    client = MongoDBClient(connection_string=mongo.uri, database_name=mongo.name)
    await client.connect()
    await client.db["things"].insert_one({"_id": 1})
    assert await client.client[mongo.name]["things"].count_documents({}) == 1
    await client.close()

    with pytest.raises(BackendNotStartedError):
        _ = client.client


async def test_insights_are_kept_in_the_database_of_their_tenant(
    service: ReferenceService, documents: MongoDBClient
) -> None:
    user_id = uuid4()
    await service.learn(ACME, user_id, Topic(name="pricing", score=0.8))

    insights = await service.user_insights(ACME, user_id)
    assert insights is not None
    assert [topic.name for topic in insights.topics] == ["pricing"]
    assert await service.user_insights(GLOBEX, user_id) is None
    stored = await documents.client["tenant_tenant-ab12cd34_db"]["user_insights"].find_one({"user_id": user_id})
    assert stored is not None
    assert stored["topics"] == [{"name": "pricing", "score": 0.8}]


async def test_the_documents_to_list_stops_at_a_hundred_and_says_nothing(
    service: ReferenceService, documents: MongoDBClient
) -> None:
    await service.add_tasks(ACME, [Task(title=f"task {number}") for number in range(250)])

    assert len(await documents.db["tasks"].find({"tenant_id": ACME.value}).to_list(length=100)) == 100


async def test_every_task_of_the_tenant_is_listed_and_none_of_another(service: ReferenceService) -> None:
    await service.add_tasks(ACME, [Task(title=f"task {number}") for number in range(250)])
    await service.add_tasks(GLOBEX, [Task(title="somebody else's")])

    tasks = await service.tenant_tasks(ACME)

    assert len(tasks) == 250
    assert {task.tenant for task in tasks} == {ACME}


async def test_a_shared_collection_refuses_a_document_without_a_tenant(
    service: ReferenceService, documents: MongoDBClient
) -> None:
    with pytest.raises(WriteError, match="validation"):
        await documents.db["tasks"].insert_one({"_id": "nobody's", "title": "nobody's"})
