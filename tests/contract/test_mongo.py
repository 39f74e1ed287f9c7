"""The contracts on MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_mongo, place_maker

from prismicx.adapters.beanie import BeanieBackend
from prismicx.domain.isolation import Isolation
from prismicx.testing.contracts import (
    RegistryFeedContract,
    RepositoryContract,
    SpecificationContract,
    TenancyContract,
    UnitOfWorkContract,
)
from prismicx.testing.contracts.tenants import MakePlace
from prismicx.testing.databases import MongoServer


@pytest.fixture(scope="module")
async def backend(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    async with opened_mongo(prismicx_mongo_server, "contracts") as backend:
        yield backend


class TestMongo(UnitOfWorkContract, RegistryFeedContract, RepositoryContract, TenancyContract, SpecificationContract):
    """MongoDB keeps every promise, and says that it has no savepoints."""

    has_savepoints = False
    has_locks = False
    isolations = frozenset((Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ))

    @pytest.fixture
    def make_place(self, backend: BeanieBackend) -> MakePlace:
        return place_maker(backend)
