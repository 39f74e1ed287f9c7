"""The pytest plugin: real servers and fresh databases as fixtures, for prismicx's own tests and for its users'.

Nothing is started, and no driver is loaded, before a test asks for it. Real servers are used instead of the embedded
ones where `PRISMICX_POSTGRES_DSN` (a superuser's address) and `PRISMICX_MONGO_URI` (one address for each
worker of a parallel run, separated by spaces) name them. `PRISMICX_TEST_POSTGRES15_BINARIES` says where PostgreSQL 15
is, if not where Debian puts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from prismicx.testing.servers import (
    MONGO_VARIABLE,
    POSTGRES15_VARIABLE,
    BorrowedServers,
    OwnServers,
    Servers,
    postgres15_binaries,
)

if TYPE_CHECKING:
    from pymongo import MongoClient

    from prismicx.testing.databases import MongoDatabases, MongoServer, PostgresDatabases, PostgresServer

pytest.register_assert_rewrite("prismicx.testing.contracts")

_SERVERS = pytest.StashKey[Servers]()
_LISTENING_AT = pytest.StashKey[str]()
_REAL_MONGO = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Say where this process gets its servers from."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    address = given.get("prismicx_servers")
    config.stash[_REAL_MONGO] = os.environ.get(MONGO_VARIABLE, "").split()
    config.stash[_SERVERS] = BorrowedServers(given["prismicx_run"], address) if address else OwnServers()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where to ask for servers."""
    servers = node.config.stash[_SERVERS]
    if _LISTENING_AT not in node.config.stash:
        node.config.stash[_LISTENING_AT] = servers.listen()
    node.workerinput["prismicx_servers"] = node.config.stash[_LISTENING_AT]
    node.workerinput["prismicx_run"] = servers.run


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's servers."""
    servers = config.stash.get(_SERVERS, None)
    if isinstance(servers, OwnServers):
        servers.close()


def _worker(config: pytest.Config) -> str:
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return str(given.get("workerid", "gw0"))


@pytest.fixture(scope="session")
def prismicx_postgres_server(pytestconfig: pytest.Config) -> PostgresServer:
    """PostgreSQL 18, or the server that `PRISMICX_POSTGRES_DSN` names: one for the whole run."""
    from prismicx.testing.databases import PostgresServer  # noqa: PLC0415  # loads drivers

    servers = pytestconfig.stash[_SERVERS]
    return PostgresServer(servers.address("postgres"), servers.run)


@pytest.fixture(scope="session")
def prismicx_postgres15_server(pytestconfig: pytest.Config) -> PostgresServer:
    """PostgreSQL 15, one for the whole run; where it is not installed, the test is skipped with that reason."""
    from prismicx.testing.databases import PostgresServer  # noqa: PLC0415  # loads drivers

    binaries = postgres15_binaries()
    if not (binaries / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 in {binaries} ({POSTGRES15_VARIABLE} says where it is)")
    servers = pytestconfig.stash[_SERVERS]
    return PostgresServer(servers.address("postgres15"), servers.run)


@pytest.fixture
def prismicx_postgres_database(prismicx_postgres_server: PostgresServer) -> Iterator[PostgresDatabases]:
    """Makes databases: `await prismicx_postgres_database("orders", create_tables)`; they are dropped with the test."""
    yield from _databases_on(prismicx_postgres_server)


@pytest.fixture
def prismicx_postgres15_database(prismicx_postgres15_server: PostgresServer) -> Iterator[PostgresDatabases]:
    """As `prismicx_postgres_database`, on PostgreSQL 15."""
    yield from _databases_on(prismicx_postgres15_server)


def _databases_on(server: PostgresServer) -> Iterator[PostgresDatabases]:
    from prismicx.testing.databases import PostgresDatabases, finish  # noqa: PLC0415  # loads drivers

    databases = PostgresDatabases(server)
    yield databases
    finish(databases.drop())


@pytest.fixture(scope="session")
def prismicx_mongo_server(pytestconfig: pytest.Config) -> MongoServer:
    """A server that speaks MongoDB's protocol, as a replica set of one member, with fail points: one per worker.

    One each, because databases of tenants have the tenants' names: on one server, tests in parallel would collide.
    """
    from prismicx.testing.databases import MongoServer  # noqa: PLC0415  # loads drivers

    worker, servers = _worker(pytestconfig), pytestconfig.stash[_SERVERS]
    real = pytestconfig.stash[_REAL_MONGO]
    if not real:
        return MongoServer(servers.address("mongo", worker), servers.run)
    number = int(worker.removeprefix("gw"))
    if number >= len(real):
        pytest.fail(
            f"{MONGO_VARIABLE} names {len(real)} server(s), and worker {worker} needs one of its own: databases of "
            "tenants have the tenants' names. Name one for each worker, separated by spaces, or run without -n.",
            pytrace=False,
        )
    return MongoServer(real[number], servers.run)


@pytest.fixture(scope="session")
def prismicx_mongo_standalone_server(pytestconfig: pytest.Config) -> MongoServer:
    """A server that speaks MongoDB's protocol and is no replica set, hence without transactions: one for the run."""
    from prismicx.testing.databases import MongoServer  # noqa: PLC0415  # loads drivers

    servers = pytestconfig.stash[_SERVERS]
    return MongoServer(servers.address("mongo-standalone"), servers.run)


@pytest.fixture(scope="session")
def _prismicx_mongo_client(prismicx_mongo_server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    from pymongo import MongoClient  # noqa: PLC0415  # a driver

    with MongoClient[dict[str, Any]](prismicx_mongo_server.uri) as client:
        yield client


@pytest.fixture
def prismicx_mongo_database(
    prismicx_mongo_server: MongoServer, _prismicx_mongo_client: MongoClient[dict[str, Any]]
) -> Iterator[MongoDatabases]:
    """Hands out databases: `prismicx_mongo_database()`; with the test, every database that it made is dropped."""
    from prismicx.testing.databases import MongoDatabases  # noqa: PLC0415  # loads drivers

    databases = MongoDatabases(prismicx_mongo_server, _prismicx_mongo_client)
    yield databases
    databases.drop()
