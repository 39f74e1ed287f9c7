"""A tenant's place on PostgreSQL: a schema for each plugin type, one for its database, its rows in shared tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.mapping import PlacedTable, Tables
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.tenancy import (
    current_tenant,
    protecting_statements,
    qualified,
    quoted,
    table_problems,
    table_statements,
)
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import (
    PluginType,
    TenantId,
    plugin_schema_name,
    schema_role_name,
    tenant_database_name,
)
from prismicx.domain.placement import Shared, TenantDatabase, TenantSchema
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant


@dataclass(frozen=True, slots=True)
class Provisioner:
    """What makes and unmakes schemas: the application's client, the owner's, and the tables of the mappings."""

    client: DatabaseClient
    admin: DatabaseClient
    tables: Tables

    def plugin_tables(self, plugin_type: PluginType) -> Sequence[PlacedTable]:
        """Return the tables that provisioning makes in each tenant's schema of this plugin type."""
        placed_there = self.tables.placed_as(TenantSchema(plugin_type))
        return [placed for placed in placed_there if not placed.mapping.migrated]

    @property
    def database_tables(self) -> Sequence[PlacedTable]:
        """Return the tables that belong into each tenant's database."""
        return self.tables.placed_as(TenantDatabase())

    @property
    def current_tenant(self) -> str:
        """Return the expression by which policies know the tenant."""
        return current_tenant(proven=self.client.proof is not None)

    def role(self, schema: str) -> str:
        """Return the role that owns a schema."""
        return schema_role_name(self.admin.database, schema)

    async def ensure(self, schema: str, tables: Sequence[PlacedTable]) -> None:
        """Make a schema with a role of its own that owns it, and the tables in it, all or none."""
        role, application = quoted(self.role(schema)), quoted(self.client.user)
        async with self.locked(schema) as connection:
            if not await self._has_role(connection, schema):
                await connection.execute(
                    f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION"
                )
                await connection.execute(f"GRANT {role} TO CURRENT_USER")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)} AUTHORIZATION {role}")
            await connection.execute(f"SET LOCAL ROLE {role}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {application}")
            for statement in table_statements(tables, dialect=self.client.sessions.dialect, schema=schema):
                await connection.execute(statement)
            for placed in tables:
                assert placed.tenant is not None, "only the registry's tables have no tenant"
                name = qualified(schema, placed.table.name)
                for statement in protecting_statements(name, f"{quoted(placed.tenant.name)} = {self.current_tenant}"):
                    await connection.execute(statement)
                await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {application}")

    async def problems(self, schema: str, tables: Sequence[PlacedTable]) -> list[str]:
        """Return what the application's role, which asks, finds missing."""
        async with self.client.connection() as connection:
            usable = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = $1"
            found = await connection.fetchval(usable, schema)
            if not found:
                return [
                    f"there is no schema {schema}"
                    if found is None
                    else f"schema {schema} is closed to {self.client.user}"
                ]
            return [problem for placed in tables for problem in await table_problems(connection, placed, schema)]

    async def remove(self, schema: str) -> None:
        """Drop a schema with all that is in it, and its role."""
        async with self.locked(schema) as connection:
            await connection.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")
            if await self._has_role(connection, schema):
                role = quoted(self.role(schema))
                await connection.execute(f"DROP OWNED BY {role}")
                await connection.execute(f"DROP ROLE {role}")

    async def remove_rows(self, tenant: TenantId) -> None:
        """Delete the tenant's rows from every shared table."""
        async with self.admin.connection() as connection:
            await connection.execute(self.admin.opening("BEGIN", tenant, connection))
            for placed in reversed(self.tables.placed_as(Shared())):
                assert placed.tenant is not None, "only the registry's tables have no tenant"
                name = qualified(placed.schema(tenant), placed.table.name)
                await connection.execute(f"DELETE FROM {name} WHERE {quoted(placed.tenant.name)} = $1", tenant.value)  # noqa: S608 -- quoted names of ours
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def locked(self, schema: str) -> AsyncIterator[Connection]:
        """Open a transaction of the owner's that holds off every other that makes or changes this schema.

        Its connection is not the pool's: whoever waits for the lock keeps nobody else from working.
        """
        connection = await self.admin.connect()
        try:
            with Translation(connection, {}):
                async with _transaction(connection):
                    await connection.execute(
                        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"prismicx {schema}"
                    )
                    yield connection
        finally:
            connection.terminate()

    async def _has_role(self, connection: Connection, schema: str) -> bool:
        found = await connection.fetchval("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", self.role(schema))
        return found is not None


class SharedTablesStep(ProvisioningStep):
    """The tenant's part of the shared tables: nothing to make, its rows to delete."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    @property
    def name(self) -> str:
        return "postgresql.shared_tables"

    async def ensure(self, tenant: Tenant) -> None:
        """Make nothing: `prismicx db init` made the tables, for all tenants."""

    async def verify(self, tenant: Tenant) -> None:
        async with self._provisioner.client.connection() as connection:
            problems = [
                problem
                for placed in self._provisioner.tables.placed_as(Shared())
                for problem in await table_problems(connection, placed, placed.schema(tenant.tenant_id))
            ]
        _require_none(problems, tenant, self.name)

    async def remove(self, tenant: Tenant) -> None:
        await self._provisioner.remove_rows(tenant.tenant_id)


class PluginSchemasStep(ProvisioningStep):
    """A schema for each of the tenant's plugin types, with the tables of the aggregates that are placed there."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    @property
    def name(self) -> str:
        return "postgresql.plugin_schemas"

    async def ensure(self, tenant: Tenant) -> None:
        for schema, tables in self._schemas(tenant):
            await self._provisioner.ensure(schema, tables)

    async def verify(self, tenant: Tenant) -> None:
        problems: list[str] = []
        for schema, tables in self._schemas(tenant):
            problems += await self._provisioner.problems(schema, tables)
        _require_none(problems, tenant, self.name)

    async def remove(self, tenant: Tenant) -> None:
        for schema, _ in self._schemas(tenant):
            await self._provisioner.remove(schema)

    def _schemas(self, tenant: Tenant) -> list[tuple[str, Sequence[PlacedTable]]]:
        return [
            (plugin_schema_name(tenant.tenant_id, plugin_type), self._provisioner.plugin_tables(plugin_type))
            for plugin_type in tenant.plugin_types
        ]


class TenantDatabaseStep(ProvisioningStep):
    """The tenant's database, which on PostgreSQL is a schema: one transaction spans it and everything else."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    @property
    def name(self) -> str:
        return "postgresql.tenant_database"

    async def ensure(self, tenant: Tenant) -> None:
        await self._provisioner.ensure(tenant_database_name(tenant.tenant_id), self._provisioner.database_tables)

    async def verify(self, tenant: Tenant) -> None:
        schema = tenant_database_name(tenant.tenant_id)
        _require_none(await self._provisioner.problems(schema, self._provisioner.database_tables), tenant, self.name)

    async def remove(self, tenant: Tenant) -> None:
        await self._provisioner.remove(tenant_database_name(tenant.tenant_id))


def _require_none(problems: Sequence[str], tenant: Tenant, step: str) -> None:
    if problems:
        raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=step, reason="; ".join(problems))


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[Any]:
    """Commit when the block is left; an error leaves the transaction to whoever owns the connection, to be ended."""
    await connection.execute("BEGIN")
    yield
    await connection.execute("COMMIT")
