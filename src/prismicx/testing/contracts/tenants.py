"""What every contract is told about tenants: two that no other test knows, and how their places are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from prismicx.domain.identifiers import TenantId

MakePlace: TypeAlias = Callable[[TenantId], Awaitable[None]]
"""Makes the place of a tenant: the schema, the database, whatever the placements of `EXAMPLE_MAPPINGS` need."""


async def nothing_to_make(tenant: TenantId) -> None:
    """Make the place of a tenant where a backend needs none."""


class TwoTenants:
    """Two tenants of each test's own, so that many tests share one database.

    A backend whose tenants need a place of their own overrides `make_place`.
    """

    @pytest.fixture
    def acme(self) -> TenantId:
        """Return the tenant whose data it is about."""
        return TenantId.new()

    @pytest.fixture
    def globex(self) -> TenantId:
        """Return the other tenant, who is to see nothing of it."""
        return TenantId.new()

    @pytest.fixture
    def make_place(self) -> MakePlace:
        """Return what makes the place of a tenant."""
        return nothing_to_make
