"""The outbox's contract on every backend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.outboxes import opened_memory, opened_mongo, opened_postgres

from prismicx.adapters.backend import TrackedBackend
from prismicx.testing.contracts import HandlingContract, OutboxContract
from prismicx.testing.databases import MongoServer, PostgresServer


@pytest.fixture(scope="module")
async def memory() -> AsyncIterator[TrackedBackend]:
    async with opened_memory() as backend:
        yield backend


class TestMemory(OutboxContract, HandlingContract):
    """Memory keeps every promise."""

    @pytest.fixture
    def backend(self, memory: TrackedBackend) -> TrackedBackend:
        return memory


@pytest.fixture(scope="module")
async def postgres18(prismicx_postgres_server: PostgresServer) -> AsyncIterator[TrackedBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


class TestPostgres18(OutboxContract, HandlingContract):
    """PostgreSQL 18 keeps every promise, by a relay's own login."""

    @pytest.fixture
    def backend(self, postgres18: TrackedBackend) -> TrackedBackend:
        return postgres18


@pytest.fixture(scope="module")
async def postgres15(prismicx_postgres15_server: PostgresServer) -> AsyncIterator[TrackedBackend]:
    async with opened_postgres(prismicx_postgres15_server) as backend:
        yield backend


class TestPostgres15(OutboxContract, HandlingContract):
    """So does PostgreSQL 15."""

    @pytest.fixture
    def backend(self, postgres15: TrackedBackend) -> TrackedBackend:
        return postgres15


@pytest.fixture(scope="module")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[TrackedBackend]:
    async with opened_mongo(prismicx_mongo_server) as backend:
        yield backend


class TestMongo(OutboxContract, HandlingContract):
    """MongoDB keeps every promise, and says that it has no savepoints."""

    has_savepoints = False

    @pytest.fixture
    def backend(self, mongo: TrackedBackend) -> TrackedBackend:
        return mongo
