"""What makes and unmakes a tenant's schemas: each in one transaction, fenced, marked as the tenant's, and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from prismicx.adapters.fencing import Fence
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.counting import full_name, of_tenant, outbox_in, rows_of, tables_in
from prismicx.adapters.sqlalchemy.errors import Translation
from prismicx.adapters.sqlalchemy.fences import require_fence
from prismicx.adapters.sqlalchemy.mapping import PlacedTable, Tables
from prismicx.adapters.sqlalchemy.marks import Standing, standings
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.adapters.sqlalchemy.probe import PlacedIn, in_the_name_of, probe_problems
from prismicx.adapters.sqlalchemy.races import despite_races
from prismicx.adapters.sqlalchemy.tenancy import (
    current_tenant,
    protecting_statements,
    qualified,
    quoted,
    table_statements,
)
from prismicx.domain.identifiers import PluginType, TenantId, schema_role_name
from prismicx.domain.placement import Shared, TenantDatabase, TenantSchema
from prismicx.domain.tenancy import DatabaseConfig, Tenant

# A worker that stands still in the middle of its transaction holds the fence, which its successor waits for.
_LIMITS: Final = "SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"


@dataclass(frozen=True, slots=True)
class OwnSchema:
    """A schema that one tenant has to itself, with the tables that belong into it."""

    tenant: TenantId
    name: str
    tables: Sequence[PlacedTable]


@dataclass(frozen=True, slots=True)
class Provisioner:
    """The application's client, the owner's, and the tables of the mappings.

    Attributes:
        elsewhere: returns its like at a connection's own address, or `None` where the connection has none of its own.
        prepare: makes what all tenants of a dedicated database share; a shared one is prepared by `prismicx db init`.
    """

    client: DatabaseClient
    admin: DatabaseClient
    tables: Tables
    elsewhere: Callable[[str], Awaitable[Provisioner | None]] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def reaching(self, tenant: Tenant, *, preparing: bool = True) -> AsyncIterator[Provisioner]:
        """Yield what makes and unmakes this tenant's schemas, at the tenant's own address if it has one.

        Args:
            preparing: prepare a dedicated database first, where that has not been done.

        Raises:
            SecretNotFoundError: the tenant is a dedicated one, and an address is missing.
        """
        there = await self.at(tenant.database_config)
        if preparing and there.prepare is not None and not await there.is_prepared():
            await there.prepare()
        yield there

    async def at(self, place: DatabaseConfig) -> Provisioner:
        """Return this one, or its like at the own address of a tenant whose database this is.

        Raises:
            SecretNotFoundError: it is a dedicated one, and an address is missing.
        """
        if place.type == "shared" or self.elsewhere is None:
            return self
        return await self.elsewhere(place.connection) or self

    async def is_prepared(self) -> bool:
        """Tell whether what all tenants of the database share is there, as far as names say."""
        shared = [qualified(placed.schema(None), placed.table.name) for placed in self.tables.placed_as(Shared())]
        async with self._transaction(None) as connection:
            return bool(await connection.fetchval(_ARE_THERE, ["prismicx.fences", *shared]))

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

    # --- Schemas of one tenant. ---

    async def ensure(self, schema: OwnSchema, *fences: tuple[str, int]) -> None:
        """Make a schema with a role of its own that owns it, and the tables in it, all or none.

        Raises:
            ForeignObjectError: the schema or its role is there, and not this tenant's.
            LeaseLostError: a fence is outdated.
        """
        await despite_races(lambda: self._ensure(schema, fences))

    async def remove(self, schema: OwnSchema, *fences: tuple[str, int]) -> Mapping[str, int]:
        """Drop a schema with all that is in it, and its role; return the rows of each table that it held.

        Raises:
            ForeignObjectError: the schema or its role is there, and not this tenant's.
            LeaseLostError: a fence is outdated.
        """
        return await despite_races(lambda: self._remove(schema, fences))

    async def contents(self, schema: OwnSchema) -> Mapping[str, int]:
        """Return the rows of each table that is in the schema; none of them if the schema is not this tenant's."""
        async with in_the_name_of(self.admin, schema.tenant) as transaction:
            with Translation(transaction.connection, {}):
                standing = await self._standing(transaction.connection, schema)
                if not standing.has_schema or standing.foreignness(schema.tenant) is not None:
                    return {}
                return await rows_of(transaction.connection, await tables_in(transaction.connection, schema.name))

    async def problems(self, schemas: Sequence[OwnSchema]) -> list[str]:
        """Return what is missing, open or not the tenants', as the application's role finds it.

        Args:
            schemas: of one tenant.
        """
        if not schemas:
            return []
        async with self.client.opened(), self.client.connection() as connection:
            found = await standings(connection, [(schema.name, self.role(schema.name)) for schema in schemas])
        problems = [
            problem
            for schema, standing in zip(schemas, found, strict=True)
            for problem in self._flaws(schema, standing)
        ]
        tables = [(schema.name, placed) for schema in schemas for placed in schema.tables]
        return problems or await self.table_problems(schemas[0].tenant, tables)

    async def table_problems(self, tenant: TenantId, tables: Sequence[PlacedIn]) -> list[str]:
        """Return what is missing or open of these tables, as a unit of work of this tenant would find it."""
        return await probe_problems(self.client, tenant, tables) if tables else []

    @asynccontextmanager
    async def locked(self, schema: str, *, tenant: TenantId | None = None) -> AsyncIterator[Connection]:
        """Open a transaction of the owner's that holds off every other that makes or changes this schema.

        Its connection is not the pool's: whoever waits for the lock keeps nobody else from working.

        Args:
            tenant: in whose name, where rows are looked at.
        """
        async with self._transaction(tenant) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"prismicx {schema}")
            yield connection

    async def _ensure(self, schema: OwnSchema, fences: Sequence[tuple[str, int]]) -> None:
        role, application = quoted(self.role(schema.name)), quoted(self.client.user)
        async with self._changing(schema, fences) as connection:
            standing = await self._own_standing(connection, schema)
            if not standing.has_role:
                await connection.execute(
                    f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION"
                )
                await connection.execute(f"GRANT {role} TO CURRENT_USER")
            if not standing.has_schema:
                await connection.execute(f"CREATE SCHEMA {quoted(schema.name)} AUTHORIZATION {role}")
            for statement in standing.marking_statements(schema.tenant):
                await connection.execute(statement)
            await connection.execute(f"SET LOCAL ROLE {role}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {quoted(schema.name)} TO {application}")
            for statement in table_statements(schema.tables, dialect=self.client.sessions.dialect, schema=schema.name):
                await connection.execute(statement)
            for placed in schema.tables:
                assert placed.tenant is not None, "only the registry's tables have no tenant"
                name = qualified(schema.name, placed.table.name)
                for statement in protecting_statements(name, f"{quoted(placed.tenant.name)} = {self.current_tenant}"):
                    await connection.execute(statement)
                await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {application}")

    async def _remove(self, schema: OwnSchema, fences: Sequence[tuple[str, int]]) -> Mapping[str, int]:
        removed: Mapping[str, int] = {}
        async with self._changing(schema, fences) as connection:
            standing = await self._own_standing(connection, schema)
            if standing.has_schema:
                tables = await tables_in(connection, schema.name)
                if tables:
                    await connection.execute(f"LOCK TABLE {', '.join(tables.values())} IN ACCESS EXCLUSIVE MODE")
                removed = await rows_of(connection, tables)
                await connection.execute(f"DROP SCHEMA {quoted(schema.name)} CASCADE")
            if standing.has_role:
                role = quoted(standing.role)
                await connection.execute(f"DROP OWNED BY {role}")
                await connection.execute(f"DROP ROLE {role}")
        return removed

    def _flaws(self, schema: OwnSchema, standing: Standing) -> list[str]:
        foreignness = standing.foreignness(schema.tenant)
        if foreignness is not None:
            return [str(foreignness)]
        if not standing.has_schema:
            return [f"there is no schema {schema.name}"]
        return [] if standing.is_usable else [f"schema {schema.name} is closed to {self.client.user}"]

    async def _own_standing(self, connection: Connection, schema: OwnSchema) -> Standing:
        standing = await self._standing(connection, schema)
        standing.require_own(schema.tenant)
        return standing

    async def _standing(self, connection: Connection, schema: OwnSchema) -> Standing:
        (standing,) = await standings(connection, [(schema.name, self.role(schema.name))])
        return standing

    # --- Rows in shared tables. ---

    async def claim(self, tenant: TenantId, fence: Fence) -> None:
        """Write nothing but the fence, so that from now on nobody with an outdated one writes in this database.

        Raises:
            LeaseLostError: the fence is outdated.
        """
        async with self._transaction(tenant) as connection:
            await _require(connection, [fence])

    async def remove_rows(self, tenant: TenantId, fence: Fence) -> Mapping[str, int]:
        """Delete the tenant's rows from every shared table and its events from the outbox; return how many there were.

        All or none of it happens.

        Raises:
            LeaseLostError: the fence is outdated.
        """
        removed: dict[str, int] = {}
        async with self._transaction(tenant) as connection:
            await _require(connection, [fence])
            for name, rows in reversed((await self._shared(connection)).items()):
                done = await connection.execute(f"DELETE FROM {rows}", tenant.value)  # noqa: S608 -- quoted names of ours
                removed[name] = int(done.removeprefix("DELETE "))
        return removed

    async def count_rows(self, tenant: TenantId) -> Mapping[str, int]:
        """Return how many rows of the tenant are in each shared table, and events of it in the outbox."""
        counted: dict[str, int] = {}
        async with in_the_name_of(self.admin, tenant) as transaction:
            connection = transaction.connection
            with Translation(connection, {}):
                for name, rows in (await self._shared(connection)).items():
                    counted[name] = await connection.fetchval(f"SELECT count(*) FROM {rows}", tenant.value)  # noqa: S608 -- quoted names of ours
        return counted

    async def _shared(self, connection: Connection) -> dict[str, str]:
        """Return what all tenants share: by full name, the rows of one tenant as they stand behind FROM."""
        shared = {full_name(placed): of_tenant(placed) for placed in self.tables.placed_as(Shared())}
        return {**shared, **await outbox_in(connection)}

    # --- Transactions of the owner's. ---

    @asynccontextmanager
    async def _changing(self, schema: OwnSchema, fences: Sequence[tuple[str, int]]) -> AsyncIterator[Connection]:
        async with self.locked(schema.name, tenant=schema.tenant) as connection:
            await _require(connection, fences)
            yield connection

    @asynccontextmanager
    async def _transaction(self, tenant: TenantId | None) -> AsyncIterator[Connection]:
        """Open a transaction that is committed at the end; an error ends its connection, and so the transaction."""
        connection = await self.admin.connect()
        try:
            with Translation(connection, {}):
                begin = "BEGIN" if tenant is None else self.admin.opening("BEGIN", tenant, connection)
                await connection.execute(begin)
                yield connection
                await connection.execute("COMMIT")
        finally:
            connection.terminate()


async def _require(connection: Connection, fences: Sequence[tuple[str, int]]) -> None:
    await connection.execute(_LIMITS)
    for fence in fences:
        await require_fence(connection, *fence)


_ARE_THERE: Final = "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest($1::text[]) AS name"
