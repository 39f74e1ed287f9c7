"""Sound databases: what `db init`, provisioning and a plugin make, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.audit import audit_connection
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.application.plugins import PluginInstallation
from prismicx.application.provisioning import TenantProvisioning
from prismicx.demo.mappings import DOCUMENTS, RELATIONAL
from prismicx.demo.plugins import NAME, crm_plugin
from prismicx.domain.findings import AuditReport, AuditScope
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.registry import PluginRepository
from prismicx.testing.databases import APPLICATION_ROLE, PostgresDatabase, PostgresDatabases, PostgresServer

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
LONG = TenantId("a-tenant-with-a-name-that-is-hashed")
KNOWN = {("public", name) for name in ("users", "accounts", "tasks", "categories", "prismicx_applied_units")}


@dataclass(frozen=True)
class AuditedPostgres:
    """A database, and the backend that made what is in it."""

    database: PostgresDatabase
    backend: SqlAlchemyBackend


@asynccontextmanager
async def sound_postgres(server: PostgresServer) -> AsyncIterator[AuditedPostgres]:
    """Yield a database with three tenants and a plugin with a migration for the first two."""
    databases = PostgresDatabases(server)
    try:
        database = await databases()
        client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=2)
        admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
        backend = SqlAlchemyBackend(client, (*RELATIONAL, *DOCUMENTS), admin=admin)
        await backend.initialise_database()
        async with backend:
            await _fill(backend)
        yield AuditedPostgres(database, backend)
    finally:
        await databases.drop()


async def _fill(backend: SqlAlchemyBackend) -> None:
    tenants = TenantProvisioning(backend, backend.steps())
    plugins = PluginInstallation(backend, backend.plugin_schemas)
    async with backend.registry() as unit:
        unit.repository(PluginRepository).add(crm_plugin())
        await unit.commit()
    for tenant in (ACME, GLOBEX, LONG):
        types = (PluginType("crm"), PluginType("field_service"))
        await tenants.create(
            tenant.value, region=Region("eu"), tier=Tier("standard"), tenant_id=tenant, plugin_types=types
        )
    for tenant in (ACME, GLOBEX):
        await plugins.install(tenant, NAME)


async def audited(connection: Connection) -> AuditReport:
    """Return the audit's report over a connection, within whatever its transaction has done."""
    return await audit_connection(connection, AuditScope(), application=APPLICATION_ROLE, known=KNOWN)
