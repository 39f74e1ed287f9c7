"""A tenant's place on PostgreSQL: a schema for each plugin type, one for its database, its rows in shared tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from prismicx.adapters.fencing import fence_of
from prismicx.adapters.sqlalchemy.provisioner import OwnSchema, Provisioner
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import plugin_schema_name, tenant_database_name
from prismicx.domain.placement import Shared
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant


class SharedTablesStep(ProvisioningStep):
    """The tenant's part of the shared tables: nothing to make, its rows to delete."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    @property
    def name(self) -> str:
        return "postgresql.shared_tables"

    async def ensure(self, tenant: Tenant) -> None:
        """Make nothing: `prismicx db init` made the tables, for all tenants. Keep out whoever was overtaken."""
        async with self._provisioner.reaching(tenant) as provisioner:
            await provisioner.claim(tenant.tenant_id, fence_of(tenant))

    async def verify(self, tenant: Tenant) -> None:
        async with self._provisioner.reaching(tenant, preparing=False) as provisioner:
            tables = [(placed.schema(None), placed) for placed in provisioner.tables.placed_as(Shared())]
            _require_none(await provisioner.table_problems(tenant.tenant_id, tables), tenant, self.name)

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        async with self._provisioner.reaching(tenant) as provisioner:
            return await provisioner.count_rows(tenant.tenant_id)

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        async with self._provisioner.reaching(tenant) as provisioner:
            return await provisioner.remove_rows(tenant.tenant_id, fence_of(tenant))


class _OwnSchemas(ProvisioningStep):
    """What a tenant has in schemas of its own; each is made and unmade in a transaction of its own."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    async def ensure(self, tenant: Tenant) -> None:
        async with self._provisioner.reaching(tenant) as provisioner:
            for schema in self._schemas(provisioner, tenant):
                await provisioner.ensure(schema, fence_of(tenant))

    async def verify(self, tenant: Tenant) -> None:
        async with self._provisioner.reaching(tenant, preparing=False) as provisioner:
            _require_none(await provisioner.problems(self._schemas(provisioner, tenant)), tenant, self.name)

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        counted: dict[str, int] = {}
        async with self._provisioner.reaching(tenant) as provisioner:
            for schema in self._schemas(provisioner, tenant):
                counted |= await provisioner.contents(schema)
        return counted

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        removed: dict[str, int] = {}
        async with self._provisioner.reaching(tenant) as provisioner:
            for schema in reversed(self._schemas(provisioner, tenant)):
                removed |= await provisioner.remove(schema, fence_of(tenant))
        return removed

    @abstractmethod
    def _schemas(self, provisioner: Provisioner, tenant: Tenant) -> Sequence[OwnSchema]:
        """Return the schemas that this step looks after."""


class PluginSchemasStep(_OwnSchemas):
    """A schema for each of the tenant's plugin types, with the tables of the aggregates that are placed there."""

    @property
    def name(self) -> str:
        return "postgresql.plugin_schemas"

    def _schemas(self, provisioner: Provisioner, tenant: Tenant) -> Sequence[OwnSchema]:
        return [
            OwnSchema(
                tenant.tenant_id,
                plugin_schema_name(tenant.tenant_id, plugin_type),
                provisioner.plugin_tables(plugin_type),
            )
            for plugin_type in tenant.plugin_types
        ]


class TenantDatabaseStep(_OwnSchemas):
    """The tenant's database, which on PostgreSQL is a schema: one transaction spans it and everything else."""

    @property
    def name(self) -> str:
        return "postgresql.tenant_database"

    def _schemas(self, provisioner: Provisioner, tenant: Tenant) -> Sequence[OwnSchema]:
        name = tenant_database_name(tenant.tenant_id)
        return [OwnSchema(tenant.tenant_id, name, provisioner.database_tables)]


def _require_none(problems: Sequence[str], tenant: Tenant, step: str) -> None:
    if problems:
        raise ProvisioningError(tenant_id=tenant.tenant_id.value, step=step, reason="; ".join(problems))
