"""The framework's own backends are isolated: the machine finds nothing, and puts everything to the test."""

from __future__ import annotations

import os

from tests.contract.opened import opened_memory, opened_mongo, opened_postgres
from tests.isolation.catching import EVERY_PLACEMENT

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import MongoServer, PostgresServer
from prismicx.testing.isolation import EXAMPLES, Witness, assert_isolated

# Read while tests are collected: by the time they run, tests/conftest.py has taken every such variable away.
_SOAK = int(os.environ.get("PRISMICX_SOAK_EXAMPLES", "0"))
_EXAMPLES = _SOAK or int(os.environ.get("PRISMICX_ISOLATION_EXAMPLES", EXAMPLES))  # fewer while coverage is measured

_EVERY_OPERATION = {
    *("add", "add_many", "find", "get", "find_one", "list", "list limited", "list untracked", "stream", "page"),
    *("list into", "stream into", "fetch", "list_by"),
    *("count", "exists", "remove", "find and change", "flush", "commit", "rollback", "by_code"),
    *("get EntityNotFoundError", "flush ConcurrencyError", "commit DuplicateEntityError", "page InvalidCursorError"),
    *("add CrossTenantError", "remove CrossTenantError", "add ReadOnlyUnitOfWorkError"),
}
_SAVEPOINTS = {"savepoint", "release of the savepoint", "rollback to the savepoint"}


async def proven(backend: TrackedBackend) -> Witness:
    witness = await assert_isolated(backend, EVERY_PLACEMENT, examples=_EXAMPLES, derandomize=not _SOAK)

    assert witness.histories >= _EXAMPLES
    if _EXAMPLES >= EXAMPLES:  # fewer histories need not meet everything
        assert witness.met.keys() >= _EVERY_OPERATION
    return witness


async def test_memory_is_isolated() -> None:
    async with opened_memory() as backend:
        witness = await proven(backend)

    assert _EXAMPLES < EXAMPLES or witness.met.keys() >= _SAVEPOINTS


async def test_postgres_is_isolated(prismicx_postgres_server: PostgresServer) -> None:
    async with opened_postgres(prismicx_postgres_server) as backend:
        witness = await proven(backend)

    assert _EXAMPLES < EXAMPLES or witness.met.keys() >= _SAVEPOINTS


async def test_mongo_is_isolated(prismicx_mongo_server: MongoServer) -> None:
    async with opened_mongo(prismicx_mongo_server, "isolation") as backend:
        witness = await proven(backend)

    assert not witness.met.keys() & _SAVEPOINTS


async def test_three_tenants_whose_ids_resemble_each_other_are_isolated() -> None:
    tenants = [TenantId("acme"), TenantId("acme-2"), TenantId("acme_2")]

    async with opened_memory() as backend:
        await assert_isolated(backend, EVERY_PLACEMENT, tenants=tenants, examples=40)
