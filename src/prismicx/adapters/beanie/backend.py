"""The MongoDB backend, wired up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from beanie import init_beanie

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.beanie.audit import audit_deployment, registered_places
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.document import ENCODERS, TenantDocument, forget_expressions
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.mapping import beanie_documents
from prismicx.adapters.beanie.provisioning import PluginDatabasesStep, TenantDatabaseStep, ensure_shared_collections
from prismicx.adapters.beanie.repository import BeanieRepository
from prismicx.adapters.beanie.system import BeanieSystemRepository, BeanieSystemUnitOfWork, require_own_login
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.domain.errors import BackendNotStartedError, SystemScopeUnavailableError, TransactionsUnavailableError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import EventHandler, ProvisioningStep, TenantAdmission
from prismicx.domain.system import SystemAccess


class BeanieBackend(TrackedBackend):
    """Units of work over MongoDB, by Beanie 2 and PyMongo's asynchronous driver."""

    def __init__(
        self,
        client: MongoDBClient,
        mappings: Sequence[EntityMapping],
        *,
        system: MongoDBClient | None = None,
        documents: Mapping[type[Any], type[TenantDocument]] | None = None,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        admission: TenantAdmission | None = None,
        on_commit: EventHandler | None = None,
    ) -> None:
        """Wire it up; nothing is connected before `start`.

        Args:
            client: the connection; the backend connects and closes it.
            mappings: of the service's aggregates, parents before children; the registry's are added.
            system: the connection of the login for work over all tenants, to the same database; without it there is
                none.
            documents: by entity, the team's own Beanie documents; an entity without one gets a derived one.
            repositories: by port, the team's own classes for this backend.
            admission: who may open a unit of work; without it every tenant id may.
            on_commit: awaited with the tenant and the recorded events after each commit.

        Raises:
            MappingError: an entity or a name is used twice, or a document does not fit its entity.
        """
        super().__init__(
            mappings,
            repository_class=BeanieRepository,
            system_repository_class=BeanieSystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
        )
        self._client = client
        self._system = system
        self._documents = beanie_documents(self._wiring.mappings, documents or {})
        self._running = False

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return self._client.address

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        async with self._connected():
            return await registered_places(self._client)

    async def audit(self, scope: AuditScope) -> AuditReport:
        mappings = self._wiring.mappings.values()
        known = {mapping.name for mapping in mappings if isinstance(mapping.placement, Shared)}
        async with self._connected():
            return await audit_deployment(self._client, scope, known=known)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        """Connect for the length of the block, if the backend is not running."""
        with translated(self._client.address, address=self._client.address):
            await self._client.connect()
            try:
                yield
            finally:
                if not self._running:
                    await self._client.close()

    async def start(self) -> None:
        if self._running:
            return
        await self._client.connect()
        if not self._client.has_transactions:
            await self._client.close()
            raise TransactionsUnavailableError(self._client.address)
        with translated("Beanie", address=self._client.address):
            await init_beanie(self._client.db, document_models=list(self._documents.values()), skip_indexes=True)
        if self._system is not None:
            await self._connect_system(self._system)
        forget_expressions()
        for document in self._documents.values():
            settings = document.get_settings()
            settings.bson_encoders = {**ENCODERS, **settings.bson_encoders}
        self._running = True

    async def close(self) -> None:
        self._running = False
        await self._client.close()
        if self._system is not None:
            await self._system.close()

    async def initialise_database(self) -> None:
        """Make the collections that all tenants share and the registry's, with validators and indexes.

        Safe to run again: what is right is left alone.
        """
        await ensure_shared_collections(self._client, self._wiring.mappings.values())

    def steps(self) -> tuple[ProvisioningStep, ...]:
        """Return the steps that make a tenant's place on this backend, in order."""
        mappings = tuple(self._wiring.mappings.values())
        return (TenantDatabaseStep(self._client, mappings), PluginDatabasesStep(self._client, mappings))

    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> BeanieUnitOfWork:
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        return BeanieUnitOfWork(
            tenant, read_only=read_only, wiring=self._wiring, client=self._client, documents=self._documents
        )

    async def _connect_system(self, system: MongoDBClient) -> None:
        try:
            await system.connect()
            await require_own_login(system, self._client)
        except BaseException:
            await self.close()
            raise

    def _system_unit(self, access: SystemAccess) -> BeanieSystemUnitOfWork:
        if self._system is None:
            advice = "give the backend a client for it (PRISMICX_MONGO_SYSTEM_URI)"
            raise SystemScopeUnavailableError(type(self).__name__, advice)
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        record = BeanieUnitOfWork(
            None, read_only=False, wiring=self._wiring, client=self._system, documents=self._documents
        )
        return BeanieSystemUnitOfWork(
            access, record=record, wiring=self._system_wiring, client=self._system, documents=self._documents
        )
