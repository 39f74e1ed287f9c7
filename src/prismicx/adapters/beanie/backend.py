"""The MongoDB backend, wired up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from beanie import init_beanie

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.dedicated import DedicatedDeployments
from prismicx.adapters.beanie.deployment import Deployment
from prismicx.adapters.beanie.document import ENCODERS, TenantDocument, forget_expressions
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.health import look_at
from prismicx.adapters.beanie.login_step import TenantLoginStep
from prismicx.adapters.beanie.logins import DEFAULT_LIMIT as DEFAULT_MAX_LOGINS
from prismicx.adapters.beanie.logins import TenantLogins, open_login
from prismicx.adapters.beanie.mapping import beanie_documents
from prismicx.adapters.beanie.outbox import BeanieOutbox
from prismicx.adapters.beanie.provisioning import PluginDatabasesStep, SharedCollectionsStep, TenantDatabaseStep
from prismicx.adapters.beanie.registry_feed import BeanieRegistryFeed
from prismicx.adapters.beanie.repository import BeanieRepository
from prismicx.adapters.beanie.system import BeanieSystemRepository, BeanieSystemUnitOfWork, require_own_login
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.adapters.dedicated import DEFAULT_LIMIT, DedicatedClients
from prismicx.adapters.terms import WRITING, Terms
from prismicx.domain.connections import ConnectionSecrets
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.errors import BackendNotStartedError, SystemScopeUnavailableError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.health import DEFAULT_PATIENCE, Health
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import EventHandler, ProvisioningStep, TenantAdmission
from prismicx.domain.system import SystemAccess
from prismicx.domain.telemetry import Telemetry


class BeanieBackend(TrackedBackend):
    """Units of work over MongoDB, by Beanie 2 and PyMongo's asynchronous driver."""

    isolations = frozenset((Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ))

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
        outbox: bool = False,
        secrets: ConnectionSecrets | None = None,
        max_dedicated: int = DEFAULT_LIMIT,
        logins: TenantLogins | None = None,
        max_logins: int = DEFAULT_MAX_LOGINS,
        telemetry: Telemetry | None = None,
        cursor_keys: CursorKeys | None = None,
    ) -> None:
        """Wire it up; nothing is connected before `start`.

        Args:
            client: the connection; the backend connects and closes it.
            mappings: of the service's aggregates, parents before children; the registry's are added.
            system: the connection of the login for work over all tenants, to the same database; without it there is
                none.
            documents: by entity, the team's own Beanie documents; an entity without one gets a derived one.
            repositories: by port, the team's own classes for this backend.
            admission: who may open a unit of work, and where; without it every tenant id may, on this deployment.
            on_commit: awaited with the tenant and the recorded events after each commit.
            outbox: whether recorded events are stored in the transaction of their unit, for a relay to deliver.
            secrets: where the addresses of dedicated tenants are; without it they have none, and open no units.
            max_dedicated: clients of dedicated deployments that are kept open; more only while more are in use.
            logins: each tenant's units log in as a user of its own, which reaches no other tenant's databases; without
                it all log in as `client` does.
            max_logins: tenants' clients that are kept open; more only while more are in use.
            telemetry: hears of every unit of work; without it none is heard of, which costs nothing.
        cursor_keys: sign the cursors of pages; without them a random key does, and a cursor is good only for the
            backend object that made it.

        Raises:
            MappingError: an entity or a name is used twice, or a document does not fit its entity.
            ValueError: `max_dedicated` or `max_logins` is less than 1.
        """
        clients = DedicatedClients(self._dedicated_client, limit=max_dedicated, name=type(self).__name__)
        super().__init__(
            mappings,
            repository_class=BeanieRepository,
            system_repository_class=BeanieSystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
            outbox=outbox,
            dedicated=clients,
            telemetry=telemetry,
            cursor_keys=cursor_keys,
        )
        self._client = client
        self._deployment = Deployment(
            client, tuple(self._wiring.mappings.values()), outbox=outbox, logins=logins is not None
        )
        self._logins = logins
        self._logged_in = (
            None
            if logins is None
            else DedicatedClients(
                partial(open_login, client, logins), limit=max_logins, name=type(self).__name__, kind="tenant_login"
            )
        )
        self._deployments = DedicatedDeployments(self._deployment, secrets)
        self._dedicated = clients
        self._system = system
        self._documents = beanie_documents(self._wiring.mappings, documents or {})
        self._running = False

    @property
    def deployment(self) -> Deployment:
        """The deployment that tenants share."""
        return self._deployment

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return self._client.address

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        return await self._deployment.registered_places()

    async def audit(self, scope: AuditScope) -> AuditReport:
        return await self._deployment.audit(scope)

    async def deployment_of(self, connection: str) -> Deployment | None:
        """Return the deployment of a connection, to prepare or audit it; `None` if it has none of its own.

        It needs no `start`.

        Raises:
            SecretNotFoundError: the connection has no address.
        """
        return await self._deployments.deployment(connection)

    async def start(self) -> None:
        if self._running:
            return
        await self._deployment.start()
        with translated("Beanie", address=self._client.address):
            await init_beanie(self._client.db, document_models=list(self._documents.values()), skip_indexes=True)
        if self._system is not None:
            await self._connect_system(self._system)
        forget_expressions()
        for document in self._documents.values():
            settings = document.get_settings()
            settings.bson_encoders = {**ENCODERS, **settings.bson_encoders}
        self._dedicated.start()
        if self._logged_in is not None:
            self._logged_in.start()
        self._running = True

    async def health(self, *, patience: float = DEFAULT_PATIENCE) -> Health:
        collections = self._deployment.collections
        return await look_at(self._client, collections, backend=type(self).__name__, patience=patience)

    async def close(self) -> None:
        self._running = False
        await self._dedicated.close()
        if self._logged_in is not None:
            await self._logged_in.close()
        await self._client.close()
        if self._system is not None:
            await self._system.close()

    async def initialise_database(self) -> None:
        """Make the collections that all tenants share and the registry's, as `Deployment.initialise` does."""
        await self._deployment.initialise()

    @property
    def registry_feed(self) -> BeanieRegistryFeed:
        return BeanieRegistryFeed(self._client)

    def steps(self) -> tuple[ProvisioningStep, ...]:
        """Return the steps that make a tenant's place on this backend, in order."""
        mappings = tuple(self._wiring.mappings.values())
        kinds = (SharedCollectionsStep, TenantDatabaseStep, PluginDatabasesStep)
        elsewhere = self._deployments.deployment
        steps = tuple(kind(self._client, mappings, elsewhere=elsewhere) for kind in kinds)
        if self._logins is None:
            return steps
        return (*steps, TenantLoginStep(self._client, mappings, self._logins, elsewhere=elsewhere))

    def _outbox(self) -> BeanieOutbox:
        return BeanieOutbox(self._client)

    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> BeanieUnitOfWork:
        if not self._running:
            raise BackendNotStartedError(type(self).__name__)
        return BeanieUnitOfWork(
            tenant,
            terms=terms,
            wiring=self._wiring,
            client=self._client,
            documents=self._documents,
            logins=self._logged_in,
        )

    async def _dedicated_client(self, connection: str) -> MongoDBClient | None:
        return await self._deployments.client(connection)

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
            None, terms=WRITING, wiring=self._wiring, client=self._system, documents=self._documents
        )
        return BeanieSystemUnitOfWork(
            access, record=record, wiring=self._system_wiring, client=self._system, documents=self._documents
        )
