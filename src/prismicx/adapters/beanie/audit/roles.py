"""How far roles reach: built-in ones over their database, others as far as their privileges say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prismicx.adapters.beanie.accounts import Role, RoleKey, roles_with_inherited
from prismicx.adapters.beanie.audit.inventory import Document
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.logins import WORK
from prismicx.adapters.beanie.outbox import EVENTS, HEADS
from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.applied import APPLIED_UNITS
from prismicx.domain.identifiers import TenantId

_OF_TENANTS: Final = frozenset((EVENTS, HEADS, APPLIED_UNITS.name))
"""What begins like the registry's collections and is of tenants all the same."""


class Roles:
    """The roles that somebody has defined, as far as users have them or they are inherited."""

    def __init__(self, roles: Mapping[RoleKey, Document]) -> None:
        self._roles = roles

    @classmethod
    async def of(cls, client: MongoDBClient, named: Iterable[Role]) -> Roles:
        """Return these roles of a deployment, and those that they rest on."""
        return cls(await roles_with_inherited(client.client, named))

    def tenants(self, role: Role, owners: Mapping[str, TenantId | None]) -> Iterator[TenantId]:
        """Yield the tenants whose own databases a role reaches."""
        for resource, _ in self._privileges(role):
            owner = owners.get(resource.get("db", ""))
            if owner is not None:
                yield owner

    def keeps_to(self, tenant: TenantId, role: Role, owners: Mapping[str, TenantId | None]) -> bool:
        """Tell whether a role reaches no more than a tenant's own databases and, to work there, shared collections."""
        return all(
            owners.get(resource.get("db", "")) == tenant or _is_work_of_tenants(resource, actions, owners)
            for resource, actions in self._privileges(role)
        )

    def _privileges(self, role: Role) -> Iterator[tuple[Document, frozenset[str]]]:
        known = self._roles.get((role["role"], role["db"]))
        if known is None:
            yield {"db": role["db"], "collection": ""}, frozenset()
            return
        for privilege in known.get("privileges", ()):
            yield privilege["resource"], frozenset(privilege["actions"])
        for inherited in known["roles"]:
            yield from self._privileges(inherited)


def _is_work_of_tenants(resource: Document, actions: frozenset[str], owners: Mapping[str, Any]) -> bool:
    collection = resource.get("collection", "")
    is_shared = resource.get("db") in owners and owners[resource["db"]] is None
    is_registry = collection.startswith(REGISTRY_PREFIX) and collection not in _OF_TENANTS
    return is_shared and bool(collection) and not is_registry and bool(actions) and actions <= WORK
