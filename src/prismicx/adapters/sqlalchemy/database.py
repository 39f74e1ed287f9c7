"""One prepared PostgreSQL database: the application's login, the owner's, and what they find and make there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from prismicx.adapters.sqlalchemy.audit import audit_connection, registered_places
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import Tables
from prismicx.adapters.sqlalchemy.migrations import scram_verifier
from prismicx.adapters.sqlalchemy.outbox_scope import OutboxScope
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
from prismicx.adapters.sqlalchemy.system import SystemScope
from prismicx.adapters.sqlalchemy.tenancy import (
    literal,
    quoted,
    require_safe_role,
    require_tables,
    setup_statements,
)
from prismicx.domain.applied import APPLIED_UNITS
from prismicx.domain.errors import SettingsError
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import Shared


class Database:
    """A database that keeps tenants: the one that most of them share, or a dedicated tenant's own.

    Args:
        client: logs in as the application's role.
        admin: logs in as the owner.
        tables: of the mappings.
        proof: proves the tenant of each transaction; both clients are given it.
        system: the door to all tenants, where there is one.
        outbox: where units store their events, where they do.

    Raises:
        SettingsError: there is a proof, and a client that goes through a transaction pooler.
    """

    def __init__(
        self,
        client: DatabaseClient,
        *,
        admin: DatabaseClient,
        tables: Tables,
        proof: TenantProof | None,
        system: SystemScope | None = None,
        outbox: OutboxScope | None = None,
    ) -> None:
        self.client = client
        self.admin = admin
        self.tables = tables
        self._proof = proof
        self._system = system
        self._outbox = outbox
        for each in (client, admin):
            if proof is not None:
                refuse_pooler(each.pooler)
            each.proof = proof

    def like(self, client: DatabaseClient, *, admin: DatabaseClient) -> Database:
        """Return a database with the same tables and proof, reached by these clients; without outbox or system door.

        Raises:
            SettingsError: there is a proof, and a client that goes through a transaction pooler.
        """
        return Database(client, admin=admin, tables=self.tables, proof=self._proof)

    @property
    def setup_sql(self) -> Sequence[str]:
        """The statements of `initialise`, in order, for reading or for running by hand; no key is in them."""
        return [*self._setup, *(shown_keys(self._proof.keys, exactly=False) if self._proof else ())]

    @property
    def removal_sql(self) -> Sequence[str]:
        """The further statements of `initialise(without_tenant_proof=True)`."""
        return REMOVAL_STATEMENTS

    @property
    def rotation_sql(self) -> Sequence[str]:
        """The statements of `rotate_keys`, without the keys.

        Raises:
            SettingsError: the backend has no tenant proof.
        """
        return shown_keys(self._required_proof.keys, exactly=True)

    async def initialise(self, *, without_tenant_proof: bool = False) -> None:
        """Prepare it: schema, functions, role, registry, shared tables, policies. Safe to run again.

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
        connection = await self.admin.connect()
        try:
            with Translation(connection, {}):
                await connection.execute("BEGIN")
                if self._proof is None and not without_tenant_proof:
                    await require_plain(connection)
                has_role = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1"
                clients = [self.client, *(() if self._system is None else (self._system.client,))]
                if self._outbox is not None and self._outbox.relay is not None:
                    clients.append(self._outbox.relay)
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

    async def rotate_keys(self) -> None:
        """Make the database accept this backend's keys and no others. It needs no `start`.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            PermissionDeniedError: the owner's role may not do this.
            SettingsError: the backend has no tenant proof.
            TenantProofMismatchError: the database does not ask for a proof.
        """
        keys = self._required_proof.keys
        connection = await self.admin.connect()
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
        return self.admin.address

    async def registered_places(self) -> Mapping[str, TenantId] | None:
        async with self._looking() as connection:
            return await registered_places(connection)

    async def audit(self, scope: AuditScope) -> AuditReport:
        shared = self.tables.placed_as(Shared())
        is_configured = any(placed.mapping is not APPLIED_UNITS for placed in shared)  # by the service
        known = {(placed.schema(None), placed.table.name) for placed in shared} if is_configured else None
        if self._system is not None and scope.system_role is None:
            scope = replace(scope, system_role=self._system.client.user)
        async with self._looking() as connection:
            application = scope.application_role or self.client.user
            return await audit_connection(connection, scope, application=application, known=known)

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Connection]:
        """Lend the owner's connection, in a transaction that reads one snapshot and changes nothing."""
        connection = await self.admin.connect()
        try:
            with Translation(connection, {}):
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection
        finally:
            connection.terminate()

    async def start(self) -> None:
        """Open the application's pool; check its role, the proof and the shared tables. If it raises, nothing is open.

        Raises:
            DatabaseError: the database has not been prepared.
            DatabaseUnavailableError: the server cannot be reached, or refuses the login.
            MappingError: shared tables are missing, or do not fit.
            TenantProofMismatchError: service and database do not agree on the proof of tenant.
            UnsafeRoleError: the role could walk around row-level security.
        """
        try:
            await self.client.initialize()
            async with self.client.connection() as connection:
                await require_safe_role(connection)
                await require_agreement(connection, self.client)
                await require_tables(connection, self.tables.placed_as(Shared()))
                if self._outbox is not None:
                    await self._outbox.require_fit(connection)
        except BaseException:
            await self.client.close()
            raise

    @property
    def _setup(self) -> Sequence[str]:
        database = self.admin.database
        statements = setup_statements(
            self.tables,
            database=database,
            application_role=self.client.user,
            dialect=self.client.sessions.dialect,
            proven=self._proof is not None,
        )
        if self._system is not None:
            statements = [*statements, *self._system.setup_statements(database)]
        if self._outbox is not None:
            application, proven = self.client.user, self._proof is not None
            made = self._outbox.setup_statements(database, application=application, proven=proven)
            statements = [*statements, *made]
        return statements

    @property
    def _required_proof(self) -> TenantProof:
        if self._proof is None:
            raise SettingsError(["there is no key of a tenant proof: set PRISMICX_TENANT_PROOF_KEYS"])
        return self._proof
