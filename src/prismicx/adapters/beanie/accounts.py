"""The users and roles of a deployment, read so that it does not matter how many there are.

A server answers `usersInfo` and `rolesInfo` in one document: the users of some ten thousand tenants do not fit, and
SecantusDB ends at a hundred. So users are read through a cursor, and roles are asked for by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from pymongo import AsyncMongoClient

from prismicx.adapters.beanie.definitions import Document

Role = Mapping[str, str]
"""A role by its name and the database that it is defined in: `role`, `db`."""

Client = AsyncMongoClient[Document]
RoleKey = tuple[str, str]

_AT_ONCE: Final = 100


async def users(driver: Client, matching: Mapping[str, Any]) -> AsyncIterator[Document]:
    """Yield the users that match: `user`, `db` and `roles`, and nothing by which one logs in.

    Raises:
        OperationFailure: Unauthorized; `userAdminAnyDatabase` is what it takes.
    """
    shown = {"_id": False, "user": True, "db": True, "roles": True}
    async with driver.admin["system.users"].find(matching, shown) as found:
        async for user in found:
            yield user


async def roles_with_inherited(driver: Client, named: Iterable[Role]) -> Mapping[RoleKey, Document]:
    """Return what somebody has defined of these roles, and of the roles that they rest on; built-in ones are left out.

    Raises:
        OperationFailure: Unauthorized.
    """
    found: dict[RoleKey, Document] = {}
    asked: set[RoleKey] = set()
    wanted = {_key(role) for role in named}
    while wanted:
        asked |= wanted
        made = await _defined(driver, sorted(wanted))
        found |= made
        wanted = {_key(role) for definition in made.values() for role in definition["roles"]} - asked
    return found


async def _defined(driver: Client, keys: list[RoleKey]) -> dict[RoleKey, Document]:
    found: dict[RoleKey, Document] = {}
    for start in range(0, len(keys), _AT_ONCE):
        named = [{"role": role, "db": database} for role, database in keys[start : start + _AT_ONCE]]
        answer = await driver.admin.command("rolesInfo", named, showPrivileges=True)
        found |= {_key(definition): definition for definition in answer["roles"] if not definition["isBuiltin"]}
    return found


def _key(role: Mapping[str, Any]) -> RoleKey:
    return role["role"], role["db"]
