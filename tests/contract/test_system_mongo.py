"""Work over all tenants, on MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_mongo

from prismicx.adapters.beanie import BeanieBackend
from prismicx.testing.contracts import SystemScopeContract
from prismicx.testing.databases import MongoServer


@pytest.fixture(scope="module")
async def backend(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "system_scope") as backend:
        yield backend


class TestMongo(SystemScopeContract):
    """MongoDB opens the door to a connection of its own."""
