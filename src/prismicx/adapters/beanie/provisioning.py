"""Collections, validators and indexes: those that all tenants share, and each tenant's own databases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bson import Binary
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.tenancy import collection_name, own_database
from prismicx.adapters.fields import Kind, fields_of
from prismicx.adapters.tenant_guard import IDENTITY, TENANT
from prismicx.domain.errors import ProvisioningError, UnsupportedOperationError
from prismicx.domain.identifiers import PluginType, TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Reference, Shared
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.ports import PluginSchemas, ProvisioningStep
from prismicx.domain.tenancy import Tenant

Document = dict[str, Any]
Validator = dict[str, Any]

# The smallest value of each kind: "at least this" is true of every value and of no null, and the planner sees that a
# condition on the attribute implies it, so the partial index serves queries too.
_SMALLEST: Final[Mapping[Kind, Any]] = {
    Kind.TEXT: "",
    Kind.DATE: "",
    Kind.INTEGER: float("-inf"),
    Kind.FLOAT: float("-inf"),
    Kind.DECIMAL: float("-inf"),
    Kind.BOOLEAN: False,
    Kind.BYTES: Binary(b""),
    Kind.UUID: Binary(b""),
    Kind.TIMESTAMP: datetime(1, 1, 1),  # noqa: DTZ001  # BSON has no zones, and this one has no earlier hour
}

_NAMESPACE_EXISTS: Final = 48


def indexes_of(mapping: EntityMapping) -> list[IndexModel]:
    """Return the indexes of a mapping's collection.

    In a shared collection each begins with the tenant, and there is one over tenant and identity (by which it can be
    sharded); in a collection of one tenant they are as declared. In a unique one, nulls never collide.
    """
    shared = isinstance(mapping.placement, Shared)
    before = [(TENANT, 1)] if shared else []
    nullable = {field.name: field.kind for field in fields_of(mapping.entity) if field.nullable}
    indexes = [IndexModel([*before, (IDENTITY, 1)])] if shared else []
    for key in mapping.unique:
        present = {
            name: {"$gte": _SMALLEST[nullable[name]]} if nullable[name] in _SMALLEST else {"$exists": True}
            for name in key
            if name in nullable
        }
        options: Document = {"partialFilterExpression": present} if present else {}
        indexes.append(IndexModel([*before, *_ascending(key)], unique=True, **options))
    indexes += [IndexModel([*before, *_ascending(key)]) for key in mapping.indexes]
    return indexes


def _ascending(key: Sequence[str]) -> list[tuple[str, int]]:
    return [(IDENTITY if name == "id" else name, 1) for name in key]


async def ensure_shared_collections(client: MongoDBClient, mappings: Iterable[EntityMapping]) -> None:
    """Make the collections that all tenants share, and the registry's.

    Raises:
        DatabaseError: an index of the same name is defined otherwise.
    """
    of_some_tenant = _validator({"bsonType": "string", "minLength": 1})
    for mapping in mappings:
        if isinstance(mapping.placement, Shared | Reference):
            validator = of_some_tenant if isinstance(mapping.placement, Shared) else None
            with translated(mapping.name, address=client.address):
                await _ensure_collection(client.db, mapping, validator)


def _validator(tenant: Document) -> Validator:
    return {"$jsonSchema": {"bsonType": "object", "required": [TENANT], "properties": {TENANT: tenant}}}


async def _ensure_collection(
    database: AsyncDatabase[Document], mapping: EntityMapping, validator: Validator | None
) -> None:
    name = collection_name(mapping)
    present = await _collections(database)
    options: dict[str, Any] = {} if validator is None else {"validator": validator}
    if name not in present:
        try:
            await database.create_collection(name, check_exists=False, **options)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:  # somebody else was faster, which is as good
                raise
    elif validator is not None and present[name].get("validator") != validator:
        await database.command("collMod", name, validator=validator)
    indexes = indexes_of(mapping)
    if indexes:
        await database[name].create_indexes(indexes)


async def _collections(database: AsyncDatabase[Document]) -> dict[str, Document]:
    found = await (await database.list_collections()).to_list()
    return {collection["name"]: collection.get("options", {}) for collection in found}


class _OwnDatabases(ProvisioningStep):
    """What a tenant has in databases of its own."""

    def __init__(self, client: MongoDBClient, mappings: Iterable[EntityMapping]) -> None:
        self._client = client
        self._mappings = tuple(mappings)

    async def ensure(self, tenant: Tenant) -> None:
        for name, mapping in self._places(tenant):
            database = self._client.database(name)
            with translated(mapping.name, address=self._client.address):
                # Before anything is touched: what is there may be somebody else's.
                await self._require_own(tenant, database, mapping)
                await _ensure_collection(database, mapping, self._validator(tenant))

    async def verify(self, tenant: Tenant) -> None:
        for name, mapping in self._places(tenant):
            database, collection = self._client.database(name), collection_name(mapping)
            with translated(mapping.name, address=self._client.address):
                present = await _collections(database)
                if collection not in present:
                    raise self._wrong(tenant, f"there is no collection {name}.{collection}")
                if present[collection].get("validator") != self._validator(tenant):
                    raise self._wrong(tenant, f"{name}.{collection} does not have its validator")
                indexes = await database[collection].index_information()
                missing = [key for key in _wanted(mapping) if key not in _present(indexes)]
                if missing:
                    raise self._wrong(tenant, f"{name}.{collection} does not have its index {_readable(missing[0])}")
                await self._require_own(tenant, database, mapping)

    async def remove(self, tenant: Tenant) -> None:
        for name in self._names(tenant):
            with translated(name, address=self._client.address):
                await self._client.client.drop_database(name)

    @abstractmethod
    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        """Return the names of the databases that this step looks after."""

    def _places(self, tenant: Tenant) -> Iterator[tuple[str, EntityMapping]]:
        names = self._names(tenant)
        for mapping in self._mappings:
            name = own_database(mapping, tenant.tenant_id)
            if name is not None and name in names:
                yield name, mapping

    def _validator(self, tenant: Tenant) -> Validator:
        return _validator({"enum": [tenant.tenant_id.value]})

    async def _require_own(self, tenant: Tenant, database: AsyncDatabase[Document], mapping: EntityMapping) -> None:
        name = collection_name(mapping)
        foreign = await database[name].find_one({TENANT: {"$ne": tenant.tenant_id.value}}, {TENANT: 1})
        if foreign is not None:
            raise self._wrong(tenant, f"{database.name}.{name} holds documents that are not this tenant's")

    def _wrong(self, tenant: Tenant, reason: str) -> ProvisioningError:
        return ProvisioningError(tenant_id=tenant.tenant_id.value, step=self.name, reason=reason)


class TenantDatabaseStep(_OwnDatabases):
    """The database `tenant_<id>_db`, with the collections of what is placed there."""

    @property
    def name(self) -> str:
        return "mongodb.tenant_database"

    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        return (tenant_database_name(tenant.tenant_id),)


class PluginDatabasesStep(_OwnDatabases):
    """A database `tenant_<id>_<plugin>` for each of the tenant's plugin types of which something is mapped."""

    @property
    def name(self) -> str:
        return "mongodb.plugin_databases"

    def _names(self, tenant: Tenant) -> tuple[str, ...]:
        return tuple(plugin_schema_name(tenant.tenant_id, plugin_type) for plugin_type in tenant.plugin_types)


_Key = tuple[tuple[tuple[str, Any], ...], bool]


def _wanted(mapping: EntityMapping) -> list[_Key]:
    documents = [index.document for index in indexes_of(mapping)]
    return [(tuple(document["key"].items()), bool(document.get("unique"))) for document in documents]


def _present(indexes: Mapping[str, Any]) -> set[_Key]:
    return {(tuple(map(tuple, index["key"])), bool(index.get("unique"))) for index in indexes.values()}


def _readable(key: _Key) -> str:
    attributes, unique = key
    names = ", ".join(name for name, _ in attributes)
    return f"unique ({names})" if unique else f"({names})"


class BeaniePluginSchemas(PluginSchemas):
    """Where MongoDB runs plugin migrations: nowhere, for they are written in SQL. A plugin without any installs."""

    async def migrate(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
        migrations: Sequence[SchemaMigration],
    ) -> None:
        if migrations:
            raise UnsupportedOperationError("plugin migrations, which are SQL,", "MongoDB")

    async def applied(
        self,
        tenant: TenantId,
        plugin_type: PluginType,
        plugin: str,
    ) -> Sequence[str]:
        return ()
