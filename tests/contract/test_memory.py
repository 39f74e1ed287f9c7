"""The contracts on memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_memory

from prismicx.domain.ports import Backend
from prismicx.testing.contracts import (
    RegistryFeedContract,
    RepositoryContract,
    SpecificationContract,
    TenancyContract,
    UnitOfWorkContract,
)


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[Backend]:
    async with opened_memory() as backend:
        yield backend


class TestMemory(UnitOfWorkContract, RegistryFeedContract, RepositoryContract, TenancyContract, SpecificationContract):
    """The memory backend keeps every promise, and says that it has no locks."""

    has_locks = False
