"""Users: those of a tenant that reach further, and what the application's own may do beyond its work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from pymongo.errors import OperationFailure

from prismicx.adapters.beanie.accounts import Role, users
from prismicx.adapters.beanie.audit.inventory import statement
from prismicx.adapters.beanie.audit.roles import Roles
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole
from prismicx.domain.identifiers import TenantId

_ADMINISTERING: Final = frozenset(
    ("root", "__system", "dbOwner", "userAdmin", "userAdminAnyDatabase", "clusterAdmin", "backup", "restore")
)
_UNAUTHORIZED: Final = 13


async def user_findings(
    client: MongoDBClient, owners: Mapping[str, TenantId | None], *, application: str | None
) -> AsyncIterator[Finding]:
    """Yield what users may do that they should not, and what could not be found out.

    Args:
        owners: the audited databases, and whose they are.
        application: the user that the service logs in as, besides the one of this connection.
    """
    status = (await client.client.admin.command("connectionStatus"))["authInfo"]
    names = {application, *(user["user"] for user in status["authenticatedUsers"])}
    if not status["authenticatedUsers"]:
        yield Finding(Hole.NO_ACCESS_CONTROL, client.address, ())
    for user in status["authenticatedUsers"]:
        roles = [role for role in status["authenticatedUserRoles"] if role["role"] in _ADMINISTERING]
        if roles:
            yield _finding(Hole.USER_ADMINISTERS, user, roles)
    try:
        matching = {"user": {"$nin": sorted(filter(None, names))}}
        audited = {"admin", *owners}
        found = [user async for user in users(client.client, matching) if user["db"] in audited]
        roles_made = await Roles.of(client, (role for user in found for role in user["roles"]))
        for user in found:
            for finding in _of_tenant(user, owners, roles_made):
                yield finding
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        yield Finding(Hole.USERS_UNSEEN, client.address, ())


def _of_tenant(user: Mapping[str, Any], owners: Mapping[str, TenantId | None], made: Roles) -> Iterator[Finding]:
    """Yield a finding if the user is one tenant's, as its database or its first role there says, and reaches on."""
    roles: Sequence[Role] = user["roles"]
    own = owners.get(user["db"]) or next((tenant for role in roles for tenant in made.tenants(role, owners)), None)
    beyond = [] if own is None else [role for role in roles if not made.keeps_to(own, role, owners)]
    if beyond:
        yield _finding(Hole.USER_OF_TENANTS, user, beyond)


def _finding(hole: Hole, user: Mapping[str, Any], roles: Sequence[Role]) -> Finding:
    fix = statement(user["db"], {"revokeRolesFromUser": user["user"], "roles": [dict(role) for role in roles]})
    detail = ", ".join(f"{role['role']} on {role['db']}" for role in roles)
    return Finding(hole, f"{user['db']}.{user['user']}", (fix,), detail)
