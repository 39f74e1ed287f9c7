"""Work over all tenants on MongoDB: a login of its own, and documents that keep their tenants."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.repository import BeanieRepository
from prismicx.adapters.beanie.tenancy import collection_name
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.adapters.beanie.wire import uuid_to_wire
from prismicx.adapters.fields import TENANT_FIELD
from prismicx.adapters.system import SystemRepository, TrackedSystemUnit
from prismicx.adapters.tenant_guard import IDENTITY
from prismicx.adapters.tenant_guard import TENANT as TENANT_KEY
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import UnsafeRoleError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference, Shared
from prismicx.domain.ports import RootT
from prismicx.domain.specification import TENANT
from prismicx.domain.system import SystemAccess


class DocumentsOfAll(Documents):
    """The documents of a shared collection, of all tenants: the tenant is one more attribute, and no scope."""

    __slots__ = ()

    def __init__(self, mapping: EntityMapping) -> None:
        super().__init__(mapping, None)
        self.fields = {**self.fields, TENANT: TENANT_FIELD}

    def identity_of(self, entity: AggregateRoot) -> Any:
        return {"tenant": str(entity.tenant), "id": uuid_to_wire(entity.id)}

    def stored(self, name: str, value: Any) -> tuple[str, Any]:
        if name == "id":
            return f"{IDENTITY}.id", None if value is None else uuid_to_wire(value)
        return (TENANT_KEY, value) if name == TENANT else super().stored(name, value)

    def plain(self, document: Mapping[str, Any], name: str) -> Any:
        return document[TENANT_KEY] if name == TENANT else super().plain(document, name)

    def entities(self, kind: type[RootT], documents: Iterable[Mapping[str, Any]]) -> Iterator[RootT]:
        return (self.entity(kind, document) for document in documents)

    def tenant_of(self, document: Mapping[str, Any]) -> TenantId | None:
        return TenantId(document[TENANT_KEY])


class BeanieSystemUnitOfWork(TrackedSystemUnit, BeanieUnitOfWork):
    """A unit of work over the documents of all tenants. It has no guarded collections, and Beanie does not reach it."""

    def documents(self, mapping: EntityMapping) -> Documents:
        return DocumentsOfAll(mapping) if isinstance(mapping.placement, Shared) else super().documents(mapping)

    def collection(self, mapping: EntityMapping) -> NoReturn:
        """Refused: what a team writes itself is for one tenant.

        Raises:
            UnsupportedOperationError: always.
        """
        self.refuse("a collection")


class BeanieSystemRepository(SystemRepository[RootT], BeanieRepository[RootT]):
    """The aggregates of one kind that all tenants have in MongoDB."""

    def _identity(self, row: Any) -> Hashable:
        return self._documents.tenant_of(row), self._documents.bare(row)


async def require_own_login(system: MongoDBClient, application: MongoDBClient) -> None:
    """Return if the two connections have not logged in as the same user.

    Raises:
        UnsafeRoleError: they have.
    """
    users = await _users(system)
    if users and users == await _users(application):
        raise UnsafeRoleError(users[0], ["it is the application's login too; work over all tenants has one of its own"])


async def _users(client: MongoDBClient) -> list[str]:
    with translated("the connection's user", address=client.address):
        status = await client.client.admin.command("connectionStatus")
    return [f"{user['db']}.{user['user']}" for user in status["authInfo"]["authenticatedUsers"]]


def system_privileges(database: str, mappings: Iterable[EntityMapping]) -> list[dict[str, Any]]:
    """Return the privileges of the role for work over all tenants, as `createRole` takes them.

    It reads and changes shared collections, reads the registry, and adds to the record of accesses.
    """
    privileges = []
    for mapping in mappings:
        actions = ["find", "update", "remove"] if isinstance(mapping.placement, Shared) else ["find"]
        if mapping.entity is SystemAccess:
            actions.append("insert")
        if isinstance(mapping.placement, Shared | Reference):
            resource = {"db": database, "collection": collection_name(mapping)}
            privileges.append({"resource": resource, "actions": actions})
    return privileges
