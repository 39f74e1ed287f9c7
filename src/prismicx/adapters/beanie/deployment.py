"""One prepared MongoDB deployment: its client, and what is found and made there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prismicx.adapters.beanie.audit import audit_deployment, registered_places
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.login_step import ensure_shared_role
from prismicx.adapters.beanie.outbox import OUTBOX_COLLECTIONS, ensure_outbox
from prismicx.adapters.beanie.provisioning import ensure_shared_collections
from prismicx.adapters.beanie.tenancy import collection_name
from prismicx.domain.errors import MappingError, TransactionsUnavailableError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference, Shared


class Deployment:
    """A deployment that keeps tenants: the one that most of them share, or a dedicated tenant's own.

    Args:
        client: its connection.
        mappings: of the service's aggregates and the registry's.
        outbox: whether units store their events there.
        logins: whether each tenant has a user of its own there.
    """

    def __init__(
        self,
        client: MongoDBClient,
        mappings: Sequence[EntityMapping],
        *,
        outbox: bool = False,
        logins: bool = False,
    ) -> None:
        self.client = client
        self._mappings = mappings
        self._outbox = outbox
        self._logins = logins

    def like(self, client: MongoDBClient) -> Deployment:
        """Return a deployment with the same mappings, reached by this client."""
        return Deployment(client, self._mappings)

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        return self.client.address

    @property
    def collections(self) -> Sequence[str]:
        """The names of the collections that `initialise` makes."""
        shared = [mapping for mapping in self._mappings if isinstance(mapping.placement, Shared | Reference)]
        return [*(collection_name(mapping) for mapping in shared), *(OUTBOX_COLLECTIONS if self._outbox else ())]

    async def start(self) -> None:
        """Connect; if it raises, nothing is connected.

        Raises:
            DatabaseUnavailableError: nothing answers there.
            TransactionsUnavailableError: it is not a replica set.
        """
        await self.client.connect()
        try:
            self._require_transactions()
        except TransactionsUnavailableError:
            await self.client.close()
            raise

    async def require_collections(self) -> None:
        """Return if it has been prepared: a wrong address is noticed before anything is written there.

        Raises:
            MappingError: collections that all tenants share are missing.
        """
        with translated(self.client.address, address=self.client.address):
            present = await self.client.db.list_collection_names()
        missing = [name for name in self.collections if name not in present]
        if missing:
            raise MappingError([f"there is no collection {name} (`prismicx db init` makes it)" for name in missing])

    async def initialise(self) -> None:
        """Make the collections that all tenants share and the registry's, with validators and indexes, and their role.

        Safe to run again: what is right is left alone. It needs no `start`.

        Raises:
            DatabaseError: an index of the same name is defined otherwise.
            DatabaseUnavailableError: nothing answers there.
            TransactionsUnavailableError: it is not a replica set.
        """
        async with self.client.opened():
            self._require_transactions()
            await ensure_shared_collections(self.client, self._mappings)
            if self._outbox:
                await ensure_outbox(self.client)
            if self._logins:
                await ensure_shared_role(self.client, self._mappings, outbox=self._outbox)

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        async with self.client.opened():
            with translated(self.client.address, address=self.client.address):
                return await registered_places(self.client)

    async def audit(self, scope: AuditScope) -> AuditReport:
        known = {mapping.name for mapping in self._mappings if isinstance(mapping.placement, Shared)}
        async with self.client.opened():
            with translated(self.client.address, address=self.client.address):
                return await audit_deployment(self.client, scope, known=known)

    def _require_transactions(self) -> None:
        if not self.client.has_transactions:
            raise TransactionsUnavailableError(self.client.address)
