"""What the steps on MongoDB have in common: where the tenant is, and the fence before each write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.definitions import BeforeWrite
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.fences import require_fence
from prismicx.adapters.fencing import fence_of
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import DatabaseConfig, Tenant

if TYPE_CHECKING:
    from prismicx.adapters.beanie.deployment import Deployment


class MongoStep(ProvisioningStep):
    """A part of a tenant's place on MongoDB."""

    def __init__(
        self,
        client: MongoDBClient,
        mappings: Iterable[EntityMapping],
        *,
        elsewhere: Callable[[str], Awaitable[Deployment | None]] | None = None,
    ) -> None:
        """Wire it up.

        Args:
            client: of the deployment that tenants share.
            mappings: of the service's aggregates and the registry's.
            elsewhere: returns a connection's own deployment, or `None` where it has none; without it nobody has.
        """
        self.client = client
        self.mappings = tuple(mappings)
        self._elsewhere = elsewhere

    @asynccontextmanager
    async def reaching(self, tenant: Tenant, *, preparing: bool = True) -> AsyncIterator[MongoDBClient]:
        """Yield the client of the deployment that this tenant is on.

        Args:
            preparing: make first what all tenants of a dedicated deployment share.
        """
        own = await self._own_deployment(tenant.database_config)
        client = self.client if own is None else own.client
        with translated(self.name, address=client.address):
            if own is None:
                yield client
                return
            async with client.opened():
                if preparing:
                    await own.initialise()
                yield client

    async def _own_deployment(self, place: DatabaseConfig) -> Deployment | None:
        if place.type == "shared" or self._elsewhere is None:
            return None
        return await self._elsewhere(place.connection)

    def fence(self, client: MongoDBClient, tenant: Tenant) -> BeforeWrite:
        """Return what is awaited before each write, and raises `LeaseLostError` where another worker has taken over."""
        fence = fence_of(tenant)
        return lambda: require_fence(client, *fence)

    def require_none(self, tenant: Tenant, problems: Sequence[str]) -> None:
        """Return if there are none.

        Raises:
            ProvisioningError: there are.
        """
        if problems:
            raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=self.name, reason="; ".join(problems))
