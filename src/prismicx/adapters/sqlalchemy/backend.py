"""PostgreSQL, wired up: the databases and their clients, the tables of the mappings, and units of work over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.dedicated import DEFAULT_LIMIT, DedicatedClients
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.database import Database
from prismicx.adapters.sqlalchemy.dedicated import DedicatedDatabases
from prismicx.adapters.sqlalchemy.health import look_at
from prismicx.adapters.sqlalchemy.mapping import Tables
from prismicx.adapters.sqlalchemy.migrations import SqlAlchemyPluginSchemas
from prismicx.adapters.sqlalchemy.outbox import SqlAlchemyOutbox
from prismicx.adapters.sqlalchemy.outbox_scope import OutboxScope
from prismicx.adapters.sqlalchemy.proof import TenantProof
from prismicx.adapters.sqlalchemy.provisioner import Provisioner
from prismicx.adapters.sqlalchemy.provisioning import PluginSchemasStep, SharedTablesStep, TenantDatabaseStep
from prismicx.adapters.sqlalchemy.read_scope import SqlAlchemyReadScope
from prismicx.adapters.sqlalchemy.registry_feed import SqlAlchemyRegistryFeed
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.adapters.sqlalchemy.system import SqlAlchemySystemRepository, SqlAlchemySystemUnitOfWork, SystemScope
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.adapters.terms import Terms
from prismicx.domain.connections import ConnectionSecrets
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.errors import SystemScopeUnavailableError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.health import DEFAULT_PATIENCE, Health
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import EventHandler, PluginSchemas, ProvisioningStep, TenantAdmission
from prismicx.domain.system import SystemAccess
from prismicx.domain.telemetry import Telemetry


class SqlAlchemyBackend(TrackedBackend):
    """PostgreSQL by SQLAlchemy's statements on asyncpg's connections.

    Args:
        client: logs in as the application's role, which owns nothing and passes by no policy.
        mappings: of the service's aggregates, parents before children; the registry's are added.
        admin: logs in as the owner: for the registry, for provisioning, and to prepare the database. By default the
            same as `client`, which then opens no units of tenants, for an owner could walk around the policies.
        system: logs in as the role for work over all tenants; without it there is none.
        tables: the team's own declarative classes or tables, by entity.
        repositories: by port, the team's own subclasses of `SqlAlchemyRepository`.
        admission: who may open a unit of work, and where; without it every tenant id may, on this database.
        on_commit: awaited with the tenant and the recorded events after each commit.
        tenant_proof: proves the tenant of each transaction to the database, which then believes no tenant's name
            without it; on plain PostgreSQL only, and without a transaction pooler.
        secrets: where the addresses of dedicated tenants are; without it they have none, and open no units.
        max_dedicated: pools of dedicated databases that are kept open; more only while more are in use.
        outbox: whether recorded events are stored in the transaction of their unit, for a relay to deliver.
        relay: logs in as the role that delivers them, and may do nothing else; without it the owner delivers.
        telemetry: hears of every unit of work; without it none is heard of, which costs nothing.
        cursor_keys: sign the cursors of pages; without them a random key does, and a cursor is good only for the
            backend object that made it.

    Raises:
        MappingError: an entity and its table do not fit; every mismatch is listed.
        SettingsError: a tenant proof was given for a connection through a transaction pooler.
        ValueError: `max_dedicated` is less than 1.
    """

    isolations = frozenset(Isolation)

    def __init__(
        self,
        client: DatabaseClient,
        mappings: Sequence[EntityMapping],
        *,
        admin: DatabaseClient | None = None,
        system: DatabaseClient | None = None,
        tables: Mapping[type[Any], Any] | None = None,
        admission: TenantAdmission | None = None,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        on_commit: EventHandler | None = None,
        tenant_proof: TenantProof | None = None,
        secrets: ConnectionSecrets | None = None,
        max_dedicated: int = DEFAULT_LIMIT,
        outbox: bool = False,
        relay: DatabaseClient | None = None,
        telemetry: Telemetry | None = None,
        cursor_keys: CursorKeys | None = None,
    ) -> None:
        clients = DedicatedClients(self._dedicated_client, limit=max_dedicated, name=type(self).__name__)
        super().__init__(
            mappings,
            repository_class=SqlAlchemyRepository,
            system_repository_class=SqlAlchemySystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
            dedicated=clients,
            outbox=outbox,
            telemetry=telemetry,
            cursor_keys=cursor_keys,
        )
        self._client = client
        self._admin = admin or client
        self._tables = Tables(self._wiring.mappings, tables or {})
        self._statements = Statements(client.sessions.dialect)
        self._system = None if system is None else SystemScope(system, self._tables, self._statements)
        self._events = (
            OutboxScope(self._admin, relay=relay, system=None if system is None else system.user) if outbox else None
        )
        self._database = Database(
            self._client,
            admin=self._admin,
            tables=self._tables,
            proof=tenant_proof,
            system=self._system,
            outbox=self._events,
        )
        self._databases = DedicatedDatabases(self._database, secrets)
        self._dedicated = clients
        self._provisioner = Provisioner(self._client, self._admin, self._tables, elsewhere=self._databases.provisioner)

    @property
    def database(self) -> Database:
        """The database that tenants share."""
        return self._database

    @property
    def setup_sql(self) -> Sequence[str]:
        """The statements of `initialise_database`, in order, for reading or for running by hand; no key is in them."""
        return self._database.setup_sql

    @property
    def proof_removal_sql(self) -> Sequence[str]:
        """The further statements of `initialise_database(without_tenant_proof=True)`."""
        return self._database.removal_sql

    @property
    def key_rotation_sql(self) -> Sequence[str]:
        """The statements of `rotate_tenant_proof_keys`, without the keys.

        Raises:
            SettingsError: the backend has no tenant proof.
        """
        return self._database.rotation_sql

    @property
    def plugin_schemas(self) -> PluginSchemas:
        """Where plugin migrations run."""
        return SqlAlchemyPluginSchemas(self._provisioner)

    @property
    def registry_feed(self) -> SqlAlchemyRegistryFeed:
        return SqlAlchemyRegistryFeed(self._admin)

    def steps(self) -> Sequence[ProvisioningStep]:
        """Return what makes a tenant's place on PostgreSQL, in order."""
        return (
            SharedTablesStep(self._provisioner),
            PluginSchemasStep(self._provisioner),
            TenantDatabaseStep(self._provisioner),
        )

    async def initialise_database(self, *, without_tenant_proof: bool = False) -> None:
        """Prepare the database that tenants share, as `Database.initialise` does; it needs no `start`."""
        await self._database.initialise(without_tenant_proof=without_tenant_proof)

    async def rotate_tenant_proof_keys(self) -> None:
        """Make that database accept this backend's keys and no others, as `Database.rotate_keys` does."""
        await self._database.rotate_keys()

    async def database_of(self, connection: str) -> Database | None:
        """Return the database of a connection, to prepare or audit it; `None` if it has none of its own.

        It needs no `start`.

        Raises:
            SecretNotFoundError: the connection has no address, or none with the owner's login.
        """
        return await self._databases.database(connection)

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return self._database.address

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        return await self._database.registered_places()

    async def audit(self, scope: AuditScope) -> AuditReport:
        return await self._database.audit(scope)

    async def start(self) -> None:
        try:
            await self._database.start()
            await self._admin.initialize()
            if self._system is not None:
                await self._system.start(application=self._client.user)
            if self._events is not None:
                await self._events.start(application=self._client.user)
            self._dedicated.start()
        except BaseException:
            await self.close()
            raise

    async def health(self, *, patience: float = DEFAULT_PATIENCE) -> Health:
        return await look_at(
            self._client, self._tables.placed_as(Shared()), backend=type(self).__name__, patience=patience
        )

    async def close(self) -> None:
        await self._dedicated.close()
        await self._client.close()
        await self._admin.close()
        if self._system is not None:
            await self._system.close()
        if self._events is not None:
            await self._events.close()

    def _outbox(self) -> SqlAlchemyOutbox:
        assert self._events is not None, "it was made with an outbox"
        return self._events.outbox

    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> SqlAlchemyUnitOfWork:
        return SqlAlchemyUnitOfWork(
            tenant,
            terms=terms,
            wiring=self._wiring,
            client=self._admin if tenant is None else self._client,
            tables=self._tables,
            statements=self._statements,
        )

    def _read_scope(self, tenant: TenantId) -> SqlAlchemyReadScope:
        return SqlAlchemyReadScope(
            tenant, wiring=self._wiring, client=self._client, tables=self._tables, statements=self._statements
        )

    async def _dedicated_client(self, connection: str) -> DatabaseClient | None:
        return await self._databases.client(connection)

    def _system_unit(self, access: SystemAccess) -> SqlAlchemySystemUnitOfWork:
        if self._system is None:
            advice = "give the backend a client for it (PRISMICX_POSTGRES_SYSTEM_DSN)"
            raise SystemScopeUnavailableError(type(self).__name__, advice)
        return self._system.unit(access, wiring=self._system_wiring, registry=self._wiring)
