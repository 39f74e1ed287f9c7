"""Two worlds in which everything can go wrong, each for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pymongo import common
from tests.faults.mongo import MongoWorld, mongo_world
from tests.faults.postgres import PostgresWorld, postgres_world

from prismicx.testing.databases import MongoDatabase, MongoServer


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[PostgresWorld]:
    async with postgres_world() as world:
        yield world


@pytest.fixture(scope="session")
async def mongo(prismicx_mongo_server: MongoServer) -> AsyncIterator[MongoWorld]:
    name = f"prismicx_{prismicx_mongo_server.run}_faults"
    with pytest.MonkeyPatch.context() as patched:
        # The driver looks for a server that it has lost twice a second: here it is back at once.
        patched.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.01)
        async with mongo_world(MongoDatabase(name, f"{prismicx_mongo_server.uri}/{name}")) as world:
            yield world
