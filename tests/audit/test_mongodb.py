"""Every hole that is planted alone in a sound MongoDB is found, named, and mended by its own fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from bson import json_util
from pymongo import MongoClient
from tests.audit.planted_mongodb import OF_ACME, PLANTED, SHARED, PlantedCommands

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.application.provisioning import TenantProvisioning
from prismicx.demo.mappings import DOCUMENTS, RELATIONAL
from prismicx.domain.errors import DatabaseError
from prismicx.domain.findings import AuditReport, AuditScope, Severity
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.testing.databases import MongoDatabase, MongoDatabases, MongoServer

FIX = re.compile(r'db\.getSiblingDB\(("[^"]+")\)\.runCommand\((?:EJSON\.deserialize\()?(\{.*\})\){1,2}')

Server = MongoClient[dict[str, Any]]


@pytest.fixture
def server(prismicx_mongo_server: MongoServer) -> Any:
    with Server(prismicx_mongo_server.uri) as client:
        yield client


@pytest.fixture
def database(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    return prismicx_mongo_database()


@pytest.fixture
async def backend(database: MongoDatabase) -> BeanieBackend:
    """With two tenants, and closed: an audit connects by itself."""
    backend = BeanieBackend(MongoDBClient(database.uri, database.name), (*RELATIONAL, *DOCUMENTS))
    async with backend:
        await backend.initialise_database()
        tenants = TenantProvisioning(backend, backend.steps())
        for name in ("acme", "globex"):
            await tenants.create(
                name,
                region=Region("eu"),
                tier=Tier("standard"),
                tenant_id=TenantId(name),
                plugin_types=(PluginType("crm"),),
            )
    return backend


async def audited(backend: BeanieBackend, **scope: Any) -> AuditReport:
    return await backend.audit(AuditScope(places=await backend.registered_places(), **scope))


def run(server: Server, database: str, command: Mapping[str, Any]) -> None:
    server[database].command(dict(command))


def run_fix(server: Server, statement: str) -> None:
    found = FIX.fullmatch(statement)
    assert found is not None, statement
    run(server, json_util.loads(found[1]), json_util.loads(found[2]))


def named(command: Any, shared: str) -> Any:
    """Put the shared database's name into a planted command."""
    if isinstance(command, dict):
        return {key: named(value, shared) for key, value in command.items()}
    if isinstance(command, list):
        return [named(value, shared) for value in command]
    return shared if command == SHARED else command


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
async def test_a_planted_hole_is_found_and_its_fix_mends_it(
    planted: PlantedCommands, backend: BeanieBackend, server: Server, database: MongoDatabase
) -> None:
    for place, command in planted.commands:
        run(server, named(place, database.name), named(dict(command), database.name))
    found = (await audited(backend)).findings
    for finding in found:
        for statement in finding.fix:
            run_fix(server, statement)

    assert {finding.code for finding in found} == {planted.code}
    assert all(finding.fix for finding in found)
    assert (await audited(backend)).findings == ()


async def test_nothing_is_found_in_what_prismicx_makes(backend: BeanieBackend) -> None:
    report = await audited(backend)

    assert report.findings == ()
    assert [finding.code for finding in report.residual] == ["NO_ACCESS_CONTROL"]
    assert (await backend.audit(AuditScope())).findings == ()


async def test_a_rebuilt_collection_keeps_its_documents_and_indexes(
    backend: BeanieBackend, server: Server, database: MongoDatabase
) -> None:
    shared = server[database.name]
    shared.create_collection("orders", capped=True, size=4096)
    shared.orders.insert_one({"_id": 1, "tenant_id": "acme"})
    shared.orders.create_index([("tenant_id", 1), ("at", 1)], unique=True, name="by_time")

    (capped,) = [found for found in (await audited(backend)).findings if found.code == "COLLECTION_CAPPED"]
    for statement in capped.fix:
        run_fix(server, statement)

    assert list(shared.orders.find()) == [{"_id": 1, "tenant_id": "acme"}]
    assert shared.orders.index_information()["by_time"]["unique"] is True
    assert (await audited(backend)).findings == ()


async def test_an_index_that_must_stand_alone_and_a_view_of_no_tenants_are_left_alone(
    backend: BeanieBackend, server: Server, database: MongoDatabase
) -> None:
    server[database.name].tasks.create_index([("due", 1)], expireAfterSeconds=3600)
    server[database.name].create_collection("types", viewOn="prismicx_plugins", pipeline=[])

    assert (await audited(backend)).findings == ()


async def test_a_user_of_one_tenant_alone_is_no_finding(
    backend: BeanieBackend, server: Server, database: MongoDatabase
) -> None:
    roles = [{"role": "readWrite", "db": OF_ACME}, {"role": "readWrite", "db": "tenant_acme_crm"}]
    run(server, database.name, {"createUser": "alone", "pwd": "pa55word", "roles": roles})
    run(server, database.name, {"createUser": "nobody", "pwd": "pa55word", "roles": ["read"]})

    assert (await audited(backend)).findings == ()


async def test_the_applications_user_may_work_everywhere_and_administer_nothing(
    backend: BeanieBackend, server: Server, database: MongoDatabase
) -> None:
    roles = [{"role": "readWrite", "db": OF_ACME}, {"role": "root", "db": "admin"}]
    run(server, database.name, {"createUser": "app", "pwd": "pa55word", "roles": roles})
    uri = database.uri.replace("//", "//app:pa55word@")
    logged_in = BeanieBackend(MongoDBClient(uri, database.name), (*RELATIONAL, *DOCUMENTS))

    report = await audited(logged_in)
    for statement in report.findings[0].fix:
        run_fix(server, statement)

    assert [(found.code, found.severity) for found in report.findings] == [("USER_ADMINISTERS", Severity.HIGH)]
    assert report.residual == ()
    assert (await audited(logged_in)).findings == ()
    assert (await audited(backend, application_role="app")).findings == ()


@pytest.mark.parametrize(("code", "is_said"), [(13, True), (8000, False)])
async def test_users_that_may_not_be_seen_are_said_so(
    backend: BeanieBackend, server: Server, database: MongoDatabase, code: int, is_said: bool
) -> None:
    run(server, database.name, {"createUser": "reader", "pwd": "pa55word", "roles": ["read"]})
    data = {"failCommands": ["rolesInfo"], "errorCode": code}
    server.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})

    try:
        if is_said:
            assert "USERS_UNSEEN" in [found.code for found in (await audited(backend)).residual]
        else:
            with pytest.raises(DatabaseError):
                await audited(backend)
    finally:
        server.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def test_a_running_backend_stays_so(backend: BeanieBackend) -> None:
    async with backend:
        await audited(backend)

        assert await backend.registered_places()


async def test_a_server_without_a_registry_says_so(database: MongoDatabase) -> None:
    bare = BeanieBackend(MongoDBClient(database.uri, database.name), ())

    assert await bare.registered_places() is None
    assert (await bare.audit(AuditScope())).findings == ()
