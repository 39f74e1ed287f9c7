"""A tenant's place on MongoDB: its documents in the collections that all tenants share, and databases of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.definitions import (
    SHARED_VALIDATOR,
    BeforeWrite,
    Database,
    ensure_collection,
    flaws,
    indexes_of,
    listed,
    own_validator,
)
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.fences import FENCES
from prismicx.adapters.beanie.marks import OWNER, Standing, ensure_mark, standing_of
from prismicx.adapters.beanie.outbox import EVENTS
from prismicx.adapters.beanie.probe import probe_problems
from prismicx.adapters.beanie.races import despite_races
from prismicx.adapters.beanie.registry_feed import CHANGES
from prismicx.adapters.beanie.step import MongoStep
from prismicx.adapters.beanie.tenancy import collection_name, own_database
from prismicx.adapters.tenant_guard import TENANT
from prismicx.domain.errors import ForeignObjectError, UnsupportedOperationError
from prismicx.domain.identifiers import PluginType, TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Reference, Shared
from prismicx.domain.plugins import AppliedMigration, SchemaMigration
from prismicx.domain.ports import PluginSchemas
from prismicx.domain.tenancy import Tenant

_PREFIX: Final = "mongodb:"


async def ensure_shared_collections(client: MongoDBClient, mappings: Iterable[EntityMapping]) -> None:
    """Make the collections that all tenants share, the registry's, and those of fencing numbers and of changes.

    Raises:
        DatabaseError: an index of the same name is defined otherwise.
    """
    for mapping in mappings:
        if isinstance(mapping.placement, Shared | Reference):
            validator = SHARED_VALIDATOR if isinstance(mapping.placement, Shared) else None
            definition = {"validator": validator, "indexes": indexes_of(mapping)}
            with translated(mapping.name, address=client.address):
                await _ensure_shared(client, collection_name(mapping), **definition)
    for name in (FENCES, CHANGES):
        with translated(name, address=client.address):
            await _ensure_shared(client, name)


async def _ensure_shared(client: MongoDBClient, name: str, **definition: Any) -> None:
    await despite_races(partial(ensure_collection, client.db, name, before_write=_unfenced, **definition))


async def _unfenced() -> None:
    """Let every write happen: what all tenants share is in nobody's hands."""


class SharedCollectionsStep(MongoStep):
    """The tenant's part of the shared collections: nothing to make, its documents to delete."""

    @property
    def name(self) -> str:
        return "mongodb.shared_collections"

    async def ensure(self, tenant: Tenant) -> None:
        """Make nothing: `prismicx db init` made the collections, for all tenants. Keep out whoever was overtaken."""
        async with self.reaching(tenant) as client:
            await self.fence(client, tenant)()

    async def verify(self, tenant: Tenant) -> None:
        async with self.reaching(tenant, preparing=False) as client:
            present = await listed(client.db)
            problems: list[str] = []
            for mapping in self._shared:
                name, indexes = collection_name(mapping), indexes_of(mapping)
                problems += await flaws(client.db, name, present.get(name), validator=SHARED_VALIDATOR, indexes=indexes)
            names = [collection_name(mapping) for mapping in self._shared]
            problems = problems or await probe_problems(client, client.db, names, tenant.tenant_id, shared=True)
        self.require_none(tenant, problems)

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        async with self.reaching(tenant, preparing=False) as client:
            of_tenant = {TENANT: tenant.tenant_id.value}
            names = await self._with_outbox(client)
            return {_full(client.db, name): await client.db[name].count_documents(of_tenant) for name in names}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        """Delete the tenant's documents from each shared collection, and its events from the outbox."""
        removed: dict[str, int] = {}
        async with self.reaching(tenant) as client:
            before_write = self.fence(client, tenant)
            for name in reversed(await self._with_outbox(client)):
                await before_write()
                done = await client.db[name].delete_many({TENANT: tenant.tenant_id.value})
                removed[_full(client.db, name)] = done.deleted_count
        return removed

    async def _with_outbox(self, client: MongoDBClient) -> Sequence[str]:
        outbox = await listed(client.db, [EVENTS])
        return [*(collection_name(mapping) for mapping in self._shared), *outbox]

    @property
    def _shared(self) -> Sequence[EntityMapping]:
        return [mapping for mapping in self.mappings if isinstance(mapping.placement, Shared)]


class _OwnDatabases(MongoStep):
    """What a tenant has in databases of its own."""

    _even_if_empty: ClassVar[bool]
    """Whether a database is made where nothing is mapped that would be in it."""

    async def ensure(self, tenant: Tenant) -> None:
        async with self.reaching(tenant) as client:
            before_write = self.fence(client, tenant)
            await before_write()
            for name, mappings in self._places(tenant).items():
                database = client.database(name)
                await despite_races(partial(self._make, database, tenant, mappings, before_write))

    async def verify(self, tenant: Tenant) -> None:
        async with self.reaching(tenant, preparing=False) as client:
            for name, mappings in self._places(tenant).items():
                self.require_none(tenant, await self._problems(client, client.database(name), tenant, mappings))

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        counted: dict[str, int] = {}
        async with self.reaching(tenant, preparing=False) as client:
            for name in self._names(tenant):
                database = client.database(name)
                with suppress(ForeignObjectError):  # nothing in it is this tenant's
                    await self._standing(database, tenant)
                    for collection in await _collections(database):
                        counted[_full(database, collection)] = await database[collection].count_documents({})
        return counted

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        removed: dict[str, int] = {}
        async with self.reaching(tenant) as client:
            before_write = self.fence(client, tenant)
            await before_write()
            for name in reversed(self._names(tenant)):
                database = client.database(name)
                await despite_races(partial(self._unmake, database, tenant, before_write, removed))
        return removed

    @abstractmethod
    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        """Return the names of the databases that this step looks after."""

    async def _make(
        self, database: Database, tenant: Tenant, mappings: Sequence[EntityMapping], before_write: BeforeWrite
    ) -> None:
        await self._mark(database, tenant, await self._standing(database, tenant), before_write)
        for mapping in mappings:
            name, indexes = collection_name(mapping), indexes_of(mapping)
            validator = own_validator(tenant.tenant_id)
            await ensure_collection(database, name, validator=validator, indexes=indexes, before_write=before_write)

    async def _unmake(
        self, database: Database, tenant: Tenant, before_write: BeforeWrite, removed: dict[str, int]
    ) -> None:
        """Drop a database, its mark last; what is in it is counted before it goes."""
        standing = await self._standing(database, tenant)
        if standing is Standing.NOTHING:
            return
        await self._mark(database, tenant, standing, before_write)
        for name in await _collections(database):
            await before_write()
            removed[_full(database, name)] = await database[name].count_documents({})
            await database.drop_collection(name)
        await before_write()
        await database.client.drop_database(database.name)

    async def _problems(
        self, client: MongoDBClient, database: Database, tenant: Tenant, mappings: Sequence[EntityMapping]
    ) -> list[str]:
        try:
            standing = await self._standing(database, tenant)
        except ForeignObjectError as foreign:
            return [str(foreign)]
        if standing is Standing.NOTHING:
            return [f"there is no database {database.name}"]
        present, problems = await listed(database), list[str]()
        for mapping in mappings:
            name, validator = collection_name(mapping), own_validator(tenant.tenant_id)
            problems += await flaws(database, name, present.get(name), validator=validator, indexes=indexes_of(mapping))
            if not problems:
                problems += await _strays(database, name, tenant)
        names = [collection_name(mapping) for mapping in mappings]
        return problems or await probe_problems(client, database, names, tenant.tenant_id, shared=False)

    async def _mark(self, database: Database, tenant: Tenant, standing: Standing, before_write: BeforeWrite) -> None:
        deployment = self.client.db.name
        await ensure_mark(
            database, tenant.tenant_id, standing=standing, deployment=deployment, before_write=before_write
        )

    async def _standing(self, database: Database, tenant: Tenant) -> Standing:
        return await standing_of(database, tenant.tenant_id, deployment=self.client.db.name)

    def _places(self, tenant: Tenant) -> Mapping[str, Sequence[EntityMapping]]:
        """Return the mappings of each database that is to be there, by its name."""
        names = self._names(tenant)
        places: dict[str, list[EntityMapping]] = {name: [] for name in names if self._even_if_empty}
        for mapping in self.mappings:
            name = own_database(mapping, tenant.tenant_id)
            if name is not None and name in names:
                places.setdefault(name, []).append(mapping)
        return places


class TenantDatabaseStep(_OwnDatabases):
    """The database `tenant_<id>_db`, with the collections of what is placed there, or with nothing but its mark."""

    _even_if_empty = True

    @property
    def name(self) -> str:
        return "mongodb.tenant_database"

    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        return (tenant_database_name(tenant.tenant_id),)


class PluginDatabasesStep(_OwnDatabases):
    """A database `tenant_<id>_<plugin>` for each of the tenant's plugin types of which something is mapped."""

    _even_if_empty = False

    @property
    def name(self) -> str:
        return "mongodb.plugin_databases"

    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        return tuple(plugin_schema_name(tenant.tenant_id, plugin_type) for plugin_type in tenant.plugin_types)


async def _collections(database: Database) -> list[str]:
    """Return the names of the collections that keep documents, the mark's apart."""
    return sorted(
        name
        for name, options in (await listed(database)).items()
        if name != OWNER and not name.startswith("system.") and "viewOn" not in options
    )


async def _strays(database: Database, name: str, tenant: Tenant) -> list[str]:
    foreign = await database[name].find_one({TENANT: {"$ne": tenant.tenant_id.value}}, {TENANT: 1})
    return [] if foreign is None else [f"{database.name}.{name} holds documents that are not this tenant's"]


def _full(database: Database, name: str) -> str:
    return f"{_PREFIX}{database.name}.{name}"


class BeaniePluginSchemas(PluginSchemas):
    """Where MongoDB runs plugin migrations: nowhere, for they are written in SQL. A plugin without any installs."""

    async def migrate(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
        migrations: Sequence[SchemaMigration],
        *,
        fence: int,
        back: Sequence[SchemaMigration] = (),
    ) -> None:
        if migrations:
            raise UnsupportedOperationError("plugin migrations, which are SQL,", "MongoDB")

    async def ledger(self, tenant: TenantId, plugin_type: PluginType, plugin: str) -> Sequence[AppliedMigration]:
        return ()
