"""A backend on a real server for each test, with what the tests look at it through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from tests.adapters.beanie.examples import (
    ACME,
    GLOBEX,
    MAPPINGS,
    Commands,
    Faults,
    MongoTasks,
    TaskDocument,
    Tasks,
    tenant,
)

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.testing.databases import MongoDatabase, MongoDatabases, MongoServer


@pytest.fixture
def database(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    return prismicx_mongo_database()


@pytest.fixture
def server(prismicx_mongo_server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    """The server as its administrator sees it: past every guard."""
    with MongoClient[dict[str, Any]](prismicx_mongo_server.uri, uuidRepresentation="standard", tz_aware=True) as client:
        yield client


@pytest.fixture
def stored(server: MongoClient[dict[str, Any]], database: MongoDatabase) -> Any:
    """The shared database as its administrator sees it."""
    return server[database.name]


@pytest.fixture
def faults(server: MongoClient[dict[str, Any]]) -> Faults:
    return Faults(server)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What the backend's client sends, from the first command on."""
    listener = Commands()

    def listened(*arguments: Any, **options: Any) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(*arguments, event_listeners=[listener], **options)

    monkeypatch.setattr("prismicx.adapters.beanie.client.AsyncMongoClient", listened)
    return listener


@pytest.fixture
async def backend(database: MongoDatabase, commands: Commands) -> AsyncIterator[BeanieBackend]:
    """Started and provisioned for `ACME` and `GLOBEX`."""
    backend = BeanieBackend(
        MongoDBClient(database.uri, database.name),
        MAPPINGS,
        documents={MAPPINGS[0].entity: TaskDocument},
        repositories={Tasks: MongoTasks},
    )
    async with backend:
        await backend.initialise_database()
        for step in backend.steps():
            await step.ensure(tenant(ACME))
            await step.ensure(tenant(GLOBEX))
        commands.forget()
        yield backend
