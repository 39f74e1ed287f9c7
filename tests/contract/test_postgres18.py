"""The contracts on PostgreSQL 18."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.contract.opened import opened_postgres, place_maker

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.isolation import Isolation
from prismicx.testing.contracts import (
    RegistryFeedContract,
    RepositoryContract,
    SpecificationContract,
    TenancyContract,
    UnitOfWorkContract,
)
from prismicx.testing.contracts.tenants import MakePlace
from prismicx.testing.databases import PostgresServer


@pytest.fixture(scope="module")
async def backend(prismicx_postgres_server: PostgresServer) -> AsyncIterator[SqlAlchemyBackend]:
    async with opened_postgres(prismicx_postgres_server) as backend:
        yield backend


class TestPostgres18(
    UnitOfWorkContract, RegistryFeedContract, RepositoryContract, TenancyContract, SpecificationContract
):
    """PostgreSQL 18 keeps every promise."""

    isolations = frozenset(Isolation)

    @pytest.fixture
    def make_place(self, backend: SqlAlchemyBackend) -> MakePlace:
        return place_maker(backend)
