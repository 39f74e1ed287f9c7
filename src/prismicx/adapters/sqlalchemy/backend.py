"""PostgreSQL, wired up: two clients, the tables of the mappings, and units of work over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.sqlalchemy.audit import audit_connection, registered_places
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import Tables
from prismicx.adapters.sqlalchemy.migrations import SqlAlchemyPluginSchemas, scram_verifier
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.provisioning import (
    PluginSchemasStep,
    Provisioner,
    SharedTablesStep,
    TenantDatabaseStep,
)
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.statements import Statements
from prismicx.adapters.sqlalchemy.tenancy import (
    literal,
    quoted,
    require_safe_role,
    require_tables,
    setup_statements,
)
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import EventHandler, PluginSchemas, ProvisioningStep, TenantAdmission


class SqlAlchemyBackend(TrackedBackend):
    """PostgreSQL by SQLAlchemy's statements on asyncpg's connections.

    Args:
        client: logs in as the application's role, which owns nothing and passes by no policy.
        mappings: of the service's aggregates, parents before children; the registry's are added.
        admin: logs in as the owner: for the registry, for provisioning, and to prepare the database. By default the
            same as `client`, which then opens no units of tenants, for an owner could walk around the policies.
        tables: the team's own declarative classes or tables, by entity.
        repositories: by port, the team's own subclasses of `SqlAlchemyRepository`.

    Raises:
        MappingError: an entity and its table do not fit; every mismatch is listed.
    """

    def __init__(
        self,
        client: DatabaseClient,
        mappings: Sequence[EntityMapping],
        *,
        admin: DatabaseClient | None = None,
        tables: Mapping[type[Any], Any] | None = None,
        admission: TenantAdmission | None = None,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        on_commit: EventHandler | None = None,
    ) -> None:
        super().__init__(
            mappings,
            repository_class=SqlAlchemyRepository,
            repositories=repositories,
            admission=admission,
            on_commit=on_commit,
        )
        self._client = client
        self._admin = admin or client
        self._tables = Tables(self._wiring.mappings, tables or {})
        self._statements = Statements(client.sessions.dialect)
        self._provisioner = Provisioner(self._client, self._admin, self._tables)

    @property
    def setup_sql(self) -> Sequence[str]:
        """The statements of `initialise_database`, in order, for reading or for running by hand."""
        return setup_statements(
            self._tables,
            database=self._admin.database,
            application_role=self._client.user,
            dialect=self._client.sessions.dialect,
        )

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

    async def initialise_database(self) -> None:
        """Prepare the database: schema, function, role, registry, shared tables, policies. Safe to run again.

        It needs no `start`. A role that it makes for the application gets the client's password.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            PermissionDeniedError: the owner's role may not do this.
        """
        connection = await self._admin.connect()
        try:
            with Translation(connection, {}):
                await connection.execute("BEGIN")
                has_role = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1"
                is_new = await connection.fetchval(has_role, self._client.user) is None
                for statement in self.setup_sql:
                    await connection.execute(statement)
                if is_new and self._client.has_password:
                    verifier = literal(self._client.with_password(scram_verifier))
                    await connection.execute(f"ALTER ROLE {quoted(self._client.user)} PASSWORD {verifier}")
                await connection.execute("COMMIT")
        finally:
            connection.terminate()

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        async with self._looking() as connection:
            return await registered_places(connection)

    async def audit(self, scope: AuditScope) -> AuditReport:
        shared = self._tables.placed_as(Shared())
        known = {(placed.schema(None), placed.table.name) for placed in shared} if shared else None
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
                await require_tables(connection, self._tables.placed_as(Shared()))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._client.close()
        await self._admin.close()

    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> SqlAlchemyUnitOfWork:
        return SqlAlchemyUnitOfWork(
            tenant,
            read_only=read_only,
            wiring=self._wiring,
            client=self._admin if tenant is None else self._client,
            tables=self._tables,
            statements=self._statements,
        )
