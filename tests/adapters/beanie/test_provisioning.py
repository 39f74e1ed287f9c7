"""A tenant's place on MongoDB: made, checked and unmade, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
from tests.adapters.beanie.examples import ACME, CRM, GLOBEX, MAPPINGS, Commands, Faults, tenant

from prismicx.adapters.beanie import BeanieBackend, BeaniePluginSchemas, MongoDBClient
from prismicx.domain.errors import DatabaseError, ForeignObjectError, ProvisioningError, UnsupportedOperationError
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.ports import ProvisioningStep

_NEW = TenantId("initech")


def _step(backend: BeanieBackend, name: str) -> ProvisioningStep:
    return next(step for step in backend.steps() if step.name == name)


def _keys(collection: Any) -> dict[tuple[str, ...], bool]:
    """Return each index's keys, and whether it is unique."""
    found = collection.index_information().values()
    return {tuple(name for name, _ in index["key"]): index.get("unique", False) for index in found}


async def test_a_tenants_database_has_its_collection_and_indexes(backend: BeanieBackend, server: Any) -> None:
    step = _step(backend, "mongodb.tenant_database")
    await step.ensure(tenant(_NEW))
    await step.ensure(tenant(_NEW))
    await step.verify(tenant(_NEW))

    insights = server["tenant_initech_db"].user_insights
    assert _keys(insights) == {("_id",): False, ("user_id",): True, ("topics.name",): False, ("updated_at",): False}
    for wrong in ({}, {"tenant_id": "acme"}, {"tenant_id": ["initech"]}):
        with pytest.raises(WriteError):
            insights.insert_one(wrong)

    await step.remove(tenant(_NEW))
    await step.remove(tenant(_NEW))
    assert "tenant_initech_db" not in server.list_database_names()


async def test_a_tenants_plugin_type_has_a_database(backend: BeanieBackend, server: Any) -> None:
    step = _step(backend, "mongodb.plugin_databases")
    await step.ensure(tenant(_NEW))
    await step.verify(tenant(_NEW))

    assert _keys(server["tenant_initech_crm"].contacts) == {("_id",): False, ("email",): True}
    await step.remove(tenant(_NEW))
    assert not [name for name in server.list_database_names() if "initech" in name]


async def test_what_is_missing_or_wrong_is_told(backend: BeanieBackend, server: Any) -> None:
    step, database = _step(backend, "mongodb.tenant_database"), server["tenant_initech_db"]

    async def told() -> str:
        with pytest.raises(ProvisioningError) as refused:
            await step.verify(tenant(_NEW))
        assert (refused.value.tenant_id, refused.value.step) == ("initech", "mongodb.tenant_database")
        return refused.value.reason

    assert await told() == "there is no database tenant_initech_db"
    await step.ensure(tenant(_NEW))
    database.drop_collection("user_insights")
    assert await told() == "there is no collection tenant_initech_db.user_insights"
    await step.ensure(tenant(_NEW))
    database.command("collMod", "user_insights", validator={})
    assert "does not have its validator" in await told()
    await step.ensure(tenant(_NEW))
    database.user_insights.drop_index("user_id_1")
    assert "does not have its index unique (user_id)" in await told()
    await step.ensure(tenant(_NEW))
    database.user_insights.drop_index("topics.name_1")
    assert "does not have its index (topics.name)" in await told()
    await step.ensure(tenant(_NEW))
    await step.verify(tenant(_NEW))


@pytest.mark.parametrize("document", [{"tenant_id": "acme"}, {"user_id": "nobody's"}])
async def test_a_collection_with_anothers_documents_is_not_adopted(
    backend: BeanieBackend, server: Any, document: dict[str, Any]
) -> None:
    step, database = _step(backend, "mongodb.tenant_database"), server["tenant_initech_db"]
    database.user_insights.insert_one(document)

    with pytest.raises(ForeignObjectError, match="it bears no mark"):
        await step.ensure(tenant(_NEW))

    assert "validator" not in database.user_insights.options()
    assert database.list_collection_names() == ["user_insights"]


async def test_the_database_is_there_even_if_nothing_is_mapped(database: Any, server: Any) -> None:
    async with BeanieBackend(MongoDBClient(database.uri, database.name), []) as backend:
        await backend.initialise_database()
        for step in backend.steps():
            await step.ensure(tenant(_NEW))
            await step.verify(tenant(_NEW))

        assert server["tenant_initech_db"].list_collection_names() == ["prismicx_owner"]
        assert "tenant_initech_crm" not in server.list_database_names()
        for step in backend.steps():
            await step.remove(tenant(_NEW))
    assert not [name for name in server.list_database_names() if "initech" in name]


async def test_a_document_that_slipped_in_is_found_by_verify(backend: BeanieBackend, server: Any) -> None:
    insights = server["tenant_acme_db"].get_collection("user_insights")
    insights.insert_one({"tenant_id": "globex"}, bypass_document_validation=True)

    with pytest.raises(ProvisioningError, match="not this tenant's"):
        await _step(backend, "mongodb.tenant_database").verify(tenant(ACME))


async def test_shared_collections_begin_every_index_with_the_tenant(backend: BeanieBackend, stored: Any) -> None:
    assert _keys(stored.tasks) == {
        ("_id",): False,
        ("tenant_id", "_id"): False,
        ("tenant_id", "title"): True,
        ("tenant_id", "owner", "due"): True,
        ("tenant_id", "done_at"): False,
    }
    assert _keys(stored.prismicx_tenants)["tenant_id",] is True
    for wrong in ({}, {"tenant_id": ""}, {"tenant_id": 7}, {"tenant_id": ["acme", "globex"]}):
        with pytest.raises(WriteError):
            stored.tasks.insert_one(wrong)


async def test_a_unique_key_with_a_null_in_it_is_nobodys(backend: BeanieBackend, stored: Any) -> None:
    for identity in range(2):
        stored.tasks.insert_one(
            {"_id": identity, "tenant_id": "acme", "title": f"{identity}", "owner": "ada", "due": None}
        )
        stored.tasks.insert_one({"_id": -1 - identity, "tenant_id": "acme", "title": f"-{identity}", "owner": "ada"})
    stored.tasks.insert_one({"_id": 3, "tenant_id": "acme", "title": "3", "owner": "ada", "due": "2026-01-01"})

    with pytest.raises(DuplicateKeyError):
        stored.tasks.insert_one({"_id": 4, "tenant_id": "acme", "title": "4", "owner": "ada", "due": "2026-01-01"})
    stored.tasks.insert_one({"_id": 5, "tenant_id": "globex", "title": "4", "owner": "ada", "due": "2026-01-01"})


async def test_initialising_again_touches_nothing_that_is_right(
    backend: BeanieBackend, stored: Any, commands: Commands
) -> None:
    stored.command("collMod", "tasks", validator={})
    commands.forget()

    await backend.initialise_database()

    assert "create" not in commands.sent
    assert [body["collMod"] for body in commands.bodies if "collMod" in body] == ["tasks"]
    with pytest.raises(WriteError):
        stored.tasks.insert_one({})


async def test_two_processes_may_initialise_at_once(database: Any, prismicx_mongo_server: Any) -> None:
    backends = [BeanieBackend(MongoDBClient(database.uri, database.name), MAPPINGS) for _ in range(2)]
    await asyncio.gather(*(backend.start() for backend in backends))

    await asyncio.gather(*(backend.initialise_database() for backend in backends))

    await asyncio.gather(*(backend.close() for backend in backends))


async def test_somebody_elses_collection_made_meanwhile_is_as_good(
    backend: BeanieBackend, faults: Faults, server: Any
) -> None:
    with faults("create", errorCode=48):
        await _step(backend, "mongodb.tenant_database").ensure(tenant(_NEW))

    assert ("user_id",) in _keys(server["tenant_initech_db"].user_insights)


async def test_a_collection_that_cannot_be_made_is_an_error(backend: BeanieBackend, faults: Faults) -> None:
    with faults("create", errorCode=2), pytest.raises(DatabaseError) as refused:
        await _step(backend, "mongodb.tenant_database").ensure(tenant(_NEW))

    assert refused.value.code == "2"
    assert isinstance(refused.value.__cause__, OperationFailure)


async def test_mongodb_runs_no_sql(backend: BeanieBackend) -> None:
    schemas = BeaniePluginSchemas()

    await schemas.migrate(GLOBEX, CRM, "customers", [], fence=1)

    assert await schemas.applied(GLOBEX, PluginType("crm"), "customers") == []
    with pytest.raises(UnsupportedOperationError):
        await schemas.migrate(GLOBEX, CRM, "customers", [object()], fence=1)  # type: ignore[list-item]  # whatever it is
