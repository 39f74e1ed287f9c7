"""The connection to MongoDB: what it takes, what it says when nobody answers, and what it never says."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest
from dns.resolver import NXDOMAIN
from tests.adapters.beanie.examples import MAPPINGS, Commands, Faults

from prismicx.adapters import mongodb_address
from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseUnavailableError,
    InvalidNameError,
    PermissionDeniedError,
    TransactionsUnavailableError,
)
from prismicx.testing.databases import MongoDatabase, MongoServer

_SECRET = "hunter2"
# A socket that is not there refuses at once; a port that nobody listens on makes PyMongo leave a socket open sometimes.
_NOWHERE = "%2Ftmp%2Fprismicx-nobody-listens-here.sock"


async def test_a_client_connects_once_and_closes_once(database: MongoDatabase) -> None:
    client = MongoDBClient(connection_string=database.uri, database_name=database.name)

    await client.connect()
    before = client.client
    await client.connect()

    assert client.client is before
    assert client.db.name == database.name
    assert client.has_transactions
    await client.close()
    await client.close()
    with pytest.raises(BackendNotStartedError):
        _ = client.client


async def test_a_client_that_is_not_connected_says_so(database: MongoDatabase) -> None:
    client = MongoDBClient(database.uri, database.name)

    with pytest.raises(BackendNotStartedError):
        _ = client.client
    with pytest.raises(BackendNotStartedError):
        _ = client.db
    assert not client.has_transactions


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    client = MongoDBClient(f"mongodb://ada:{_SECRET}@{_NOWHERE}/?appname=x", "app", server_selection_seconds=0.1)

    with pytest.raises(DatabaseUnavailableError) as refused:
        await client.connect()

    assert refused.value.address == f"mongodb://{_NOWHERE}"
    assert "check that the server runs" in str(refused.value)
    assert _SECRET not in "".join(traceback.format_exception(refused.value)) + repr(client)


async def test_a_cluster_whose_name_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*arguments: Any, **options: Any) -> None:
        raise NXDOMAIN

    monkeypatch.setattr("dns.asyncresolver.resolve", unknown)
    with pytest.raises(DatabaseUnavailableError, match="check the name") as refused:
        await MongoDBClient(f"mongodb+srv://ada:{_SECRET}@cluster.nowhere.invalid", "app").connect()

    assert refused.value.address == "mongodb+srv://cluster.nowhere.invalid"
    assert _SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "address",
    [
        f"mongodb://ada:{_SECRET}/x@127.0.0.1:1",
        f"mongodb://ada:{_SECRET}@",
        f"ada:{_SECRET}@host",
        f"mysql://a:{_SECRET}@h",
    ],
)
async def test_a_connection_string_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(DatabaseUnavailableError) as refused:
        await MongoDBClient(address, "app").connect()

    assert "not valid" in str(refused.value)
    assert _SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("connection_string", "address"),
    [
        ("mongodb://localhost", "mongodb://localhost"),
        ("mongodb://u:p@a:1,b:2/db?x=y", "mongodb://a:1,b:2"),
        ("mongodb+srv://u:p%40@cluster.test/?w=1", "mongodb+srv://cluster.test"),
        ("mongodb://u:p?q@host/", "mongodb://host"),
        ("", "an address that is not of the form mongodb://host:port"),
    ],
)
def test_an_address_has_no_user_and_no_password(connection_string: str, address: str) -> None:
    assert mongodb_address.address_of(connection_string) == address


@pytest.mark.parametrize(
    "name", ["", " app", "a.b", "a/b", "a$b", "a\x00b", "admin", "LOCAL", "config", "tenant_a_db", "x" * 64, 7]
)
def test_a_name_that_is_no_shared_databases_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        MongoDBClient("mongodb://localhost", name)


async def test_a_server_that_refuses_the_user_is_no_unreachable_one(database: MongoDatabase, faults: Faults) -> None:
    with faults("ping", errorCode=13), pytest.raises(PermissionDeniedError):
        await MongoDBClient(database.uri, database.name).connect()


async def test_a_connection_attempt_can_be_cancelled(
    database: MongoDatabase, commands: Commands, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MongoDBClient(database.uri, database.name)
    monkeypatch.setattr(commands, "quiet", frozenset())
    with faults("ping", blockConnection=True, blockTimeMS=500):
        connecting = asyncio.create_task(client.connect())
        await commands.wait_for("ping")
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    with pytest.raises(BackendNotStartedError):
        _ = client.client


async def test_a_server_without_transactions_is_refused(prismicx_mongo_standalone_server: MongoServer) -> None:
    backend = BeanieBackend(MongoDBClient(prismicx_mongo_standalone_server.uri, "app"), MAPPINGS)

    with pytest.raises(TransactionsUnavailableError) as refused:
        await backend.start()

    assert refused.value.address.startswith("mongodb://")
    with pytest.raises(BackendNotStartedError):
        backend.registry()


async def test_a_backend_starts_once(backend: BeanieBackend) -> None:
    await backend.start()

    assert backend.registry() is not None
