"""PostgreSQL, wired up: two clients, the tables of the mappings, and units of work over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.sqlalchemy.audit import audit_connection, registered_places
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import Tables
from prismicx.adapters.sqlalchemy.migrations import SqlAlchemyPluginSchemas, scram_verifier
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.proof import TenantProof
from prismicx.adapters.sqlalchemy.proof_check import (
    REMOVAL_STATEMENTS,
    refuse_pooler,
    require_agreement,
    require_checking,
    require_plain,
    shown_keys,
    write_keys,
)
from prismicx.adapters.sqlalchemy.provisioning import (
    PluginSchemasStep,
    Provisioner,
    SharedTablesStep,
    TenantDatabaseStep,
)
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.adapters.sqlalchemy.system import SqlAlchemySystemRepository, SqlAlchemySystemUnitOfWork, SystemScope
from prismicx.adapters.sqlalchemy.tenancy import (
    literal,
    quoted,
    require_safe_role,
    require_tables,
    setup_statements,
)
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.errors import SettingsError, SystemScopeUnavailableError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import EventHandler, PluginSchemas, ProvisioningStep, TenantAdmission
from prismicx.domain.system import SystemAccess


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
        tenant_proof: proves the tenant of each transaction to the database, which then believes no tenant's name
            without it; on plain PostgreSQL only, and without a transaction pooler.

    Raises:
        MappingError: an entity and its table do not fit; every mismatch is listed.
        SettingsError: a tenant proof was given for a connection through a transaction pooler.
    """

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
    ) -> None:
        super().__init__(
            mappings,
            repository_class=SqlAlchemyRepository,
            system_repository_class=SqlAlchemySystemRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
        )
        self._client = client
        self._admin = admin or client
        self._proof = tenant_proof
        for each in (self._client, self._admin):
            if tenant_proof is not None:
                refuse_pooler(each.pooler)
            each.proof = tenant_proof
        self._tables = Tables(self._wiring.mappings, tables or {})
        self._statements = Statements(client.sessions.dialect)
        self._system = None if system is None else SystemScope(system, self._tables, self._statements)
        self._provisioner = Provisioner(self._client, self._admin, self._tables)

    @property
    def setup_sql(self) -> Sequence[str]:
        """The statements of `initialise_database`, in order, for reading or for running by hand; no key is in them."""
        return [*self._setup, *(shown_keys(self._proof.keys, exactly=False) if self._proof else ())]

    @property
    def proof_removal_sql(self) -> Sequence[str]:
        """The further statements of `initialise_database(without_tenant_proof=True)`."""
        return REMOVAL_STATEMENTS

    @property
    def key_rotation_sql(self) -> Sequence[str]:
        """The statements of `rotate_tenant_proof_keys`, without the keys.

        Raises:
            SettingsError: the backend has no tenant proof.
        """
        return shown_keys(self._required_proof.keys, exactly=True)

    @property
    def plugin_schemas(self) -> PluginSchemas:
        """Where plugin migrations run."""
        return SqlAlchemyPluginSchemas(self._provisioner)

    def steps(self) -> Sequence[ProvisioningStep]:
        """Return what makes a tenant's place on PostgreSQL, in order."""
        return (
            SharedTablesStep(self._provisioner),
            PluginSchemasStep(self._provisioner),
            TenantDatabaseStep(self._provisioner),
        )

    async def initialise_database(self, *, without_tenant_proof: bool = False) -> None:
        """Prepare the database: schema, functions, role, registry, shared tables, policies. Safe to run again.

        It needs no `start`. A role that it makes gets the password of its client. With a tenant proof
        every policy of a prepared database comes to rest on it, those of tenants' own schemas too, and the keys are
        added to those that the database has.

        Args:
            without_tenant_proof: take the proof away from a database that asks for it, its keys too.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            PermissionDeniedError: the owner's role may not do this.
            SettingsError: the proof is to be taken away by a backend that has one.
            TenantProofMismatchError: the database asks for a proof, and this backend has none.
        """
        if without_tenant_proof and self._proof is not None:
            raise SettingsError(["the tenant proof cannot be taken away while this service has keys for it"])
        connection = await self._admin.connect()
        try:
            with Translation(connection, {}):
                await connection.execute("BEGIN")
                if self._proof is None and not without_tenant_proof:
                    await require_plain(connection)
                has_role = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1"
                clients = [self._client, *(() if self._system is None else (self._system.client,))]
                new = [client for client in clients if await connection.fetchval(has_role, client.user) is None]
                for statement in (*self._setup, *(REMOVAL_STATEMENTS if without_tenant_proof else ())):
                    await connection.execute(statement)
                if self._proof is not None:
                    await write_keys(connection, self._proof.keys, exactly=False)
                for client in (client for client in new if client.has_password):
                    verifier = literal(client.with_password(scram_verifier))
                    await connection.execute(f"ALTER ROLE {quoted(client.user)} PASSWORD {verifier}")
                await connection.execute("COMMIT")
        finally:
            connection.terminate()

    async def rotate_tenant_proof_keys(self) -> None:
        """Make the database accept this backend's keys and no others. It needs no `start`.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            PermissionDeniedError: the owner's role may not do this.
            SettingsError: the backend has no tenant proof.
            TenantProofMismatchError: the database does not ask for a proof.
        """
        keys = self._required_proof.keys
        connection = await self._admin.connect()
        try:
            with Translation(connection, {}):
                await require_checking(connection)
                await connection.execute("BEGIN")
                await write_keys(connection, keys, exactly=True)
                await connection.execute("COMMIT")
        finally:
            connection.terminate()

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return self._admin.address

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        async with self._looking() as connection:
            return await registered_places(connection)

    async def audit(self, scope: AuditScope) -> AuditReport:
        shared = self._tables.placed_as(Shared())
        known = {(placed.schema(None), placed.table.name) for placed in shared} if shared else None
        if self._system is not None and scope.system_role is None:
            scope = replace(scope, system_role=self._system.client.user)
        async with self._looking() as connection:
            application = scope.application_role or self._client.user
            return await audit_connection(connection, scope, application=application, known=known)

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Connection]:
        """Lend the owner's connection, in a transaction that reads one snapshot and changes nothing."""
        connection = await self._admin.connect()
        try:
            with Translation(connection, {}):
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection
        finally:
            connection.terminate()

    async def start(self) -> None:
        try:
            await self._client.initialize()
            await self._admin.initialize()
            async with self._client.connection() as connection:
                await require_safe_role(connection)
                await require_agreement(connection, self._client)
                await require_tables(connection, self._tables.placed_as(Shared()))
            if self._system is not None:
                await self._system.start(application=self._client.user)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._client.close()
        await self._admin.close()
        if self._system is not None:
            await self._system.close()

    @property
    def _setup(self) -> Sequence[str]:
        database = self._admin.database
        statements = setup_statements(
            self._tables,
            database=database,
            application_role=self._client.user,
            dialect=self._client.sessions.dialect,
            proven=self._proof is not None,
        )
        return [*statements, *(() if self._system is None else self._system.setup_statements(database))]

    @property
    def _required_proof(self) -> TenantProof:
        if self._proof is None:
            raise SettingsError(["there is no key of a tenant proof: set PRISMICX_TENANT_PROOF_KEYS"])
        return self._proof

    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> SqlAlchemyUnitOfWork:
        return SqlAlchemyUnitOfWork(
            tenant,
            read_only=read_only,
            wiring=self._wiring,
            client=self._admin if tenant is None else self._client,
            tables=self._tables,
            statements=self._statements,
        )

    def _system_unit(self, access: SystemAccess) -> SqlAlchemySystemUnitOfWork:
        if self._system is None:
            advice = "give the backend a client for it (PRISMICX_POSTGRES_SYSTEM_DSN)"
            raise SystemScopeUnavailableError(type(self).__name__, advice)
        return self._system.unit(access, wiring=self._system_wiring, registry=self._wiring)
