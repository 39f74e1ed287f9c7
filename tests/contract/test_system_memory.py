"""Work over all tenants, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_memory

from prismicx.domain.ports import Backend
from prismicx.testing.contracts import SystemScopeContract


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[Backend]:
    async with opened_memory() as backend:
        yield backend


class TestMemory(SystemScopeContract):
    """The memory backend opens the door as the databases do."""
