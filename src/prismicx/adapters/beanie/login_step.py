"""The MongoDB user of a tenant: made with its role, tried, and removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pymongo.errors import OperationFailure

from prismicx.adapters.beanie.accounts import users
from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.definitions import BeforeWrite, Database, Document
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.logins import (
    SHARED_ROLE,
    Login,
    TenantLogins,
    own_privileges,
    role_name,
    shared_privileges,
    user_prefix,
)
from prismicx.adapters.beanie.races import despite_races
from prismicx.adapters.beanie.step import MongoStep
from prismicx.domain.errors import ForeignObjectError, PermissionDeniedError
from prismicx.domain.identifiers import TenantId, tenant_database_name
from prismicx.domain.placement import EntityMapping
from prismicx.domain.tenancy import Tenant

LOGIN_STEP: Final = "mongodb.tenant_login"
"""The name of the step that makes tenants' users."""

_UNAUTHORIZED: Final = 13


async def ensure_shared_role(client: MongoDBClient, mappings: Iterable[EntityMapping], *, outbox: bool) -> None:
    """Make the role that all tenants' users have, or give it the privileges that it should have."""
    privileges = shared_privileges(client.db.name, mappings, outbox=outbox)

    async def make() -> None:
        await _ensure_role(client.db, SHARED_ROLE, await _role(client.db, SHARED_ROLE), privileges, roles=[])

    with translated(SHARED_ROLE, address=client.address):
        await despite_races(make)


class TenantLoginStep(MongoStep):
    """A role that reaches the tenant's own databases and the shared collections, and a user with it for each key.

    A tenant on a dedicated deployment gets none: its connection has a login of its own.
    """

    def __init__(self, client: MongoDBClient, mappings: Iterable[EntityMapping], logins: TenantLogins, **options: Any):
        """Wire it up; the options are those of every step."""
        super().__init__(client, mappings, **options)
        self._logins = logins

    @property
    def name(self) -> str:
        return LOGIN_STEP

    async def ensure(self, tenant: Tenant) -> None:
        if not await self._is_elsewhere(tenant):
            async with self.reaching(tenant) as client:
                before_write = self.fence(client, tenant)
                await before_write()
                await despite_races(partial(self._make, client.db, tenant, before_write))

    async def verify(self, tenant: Tenant) -> None:
        if not await self._is_elsewhere(tenant):
            async with self.reaching(tenant, preparing=False) as client:
                problems = await self._flaws(client.db, tenant) or await self._try_out(client, tenant)
            self.require_none(tenant, problems)

    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        if await self._is_elsewhere(tenant):
            return {}
        async with self.reaching(tenant, preparing=False) as client:
            return {_receipt(client.db, name): 1 for name in await self._names_of_users(client.db, tenant)}

    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        """Drop the users and the role, so that nobody logs in as the tenant while its databases go."""
        removed: dict[str, int] = {}
        if not await self._is_elsewhere(tenant):
            async with self.reaching(tenant) as client:
                before_write = self.fence(client, tenant)
                await before_write()
                await despite_races(partial(self._unmake, client.db, tenant, before_write, removed))
        return removed

    async def _is_elsewhere(self, tenant: Tenant) -> bool:
        return await self._own_deployment(tenant.database_config) is not None

    async def _make(self, database: Database, tenant: Tenant, before_write: BeforeWrite) -> None:
        present = await self._names_of_users(database, tenant)
        wanted = self._logins.all(tenant.tenant_id, database=database.name)
        await self._ensure_role(database, tenant, before_write)
        for login in wanted:
            await before_write()
            command = "updateUser" if login.user in present else "createUser"
            await database.command(command, login.user, pwd=login.password, roles=[_role_of(database, tenant)])
        for name in set(present) - {login.user for login in wanted}:  # of a key that is no longer given
            await before_write()
            await database.command("dropUser", name)

    async def _ensure_role(self, database: Database, tenant: Tenant, before_write: BeforeWrite) -> None:
        privileges, name = own_privileges(tenant, self.mappings), role_name(tenant.tenant_id, database=database.name)
        await _ensure_role(
            database.client.admin,
            name,
            await self._standing_role(database, tenant),
            privileges,
            roles=[_shared_role(database)],
            before_write=before_write,
        )

    async def _unmake(
        self, database: Database, tenant: Tenant, before_write: BeforeWrite, removed: dict[str, int]
    ) -> None:
        for name in await self._names_of_users(database, tenant):
            await before_write()
            await database.command("dropUser", name)
            removed[_receipt(database, name)] = 1
        if await self._standing_role(database, tenant) is not None:
            await before_write()
            await database.client.admin.command("dropRole", role_name(tenant.tenant_id, database=database.name))

    async def _flaws(self, database: Database, tenant: Tenant) -> list[str]:
        name = role_name(tenant.tenant_id, database=database.name)
        try:
            role = await self._standing_role(database, tenant)
            users = await self._names_of_users(database, tenant)
        except ForeignObjectError as foreign:
            return [str(foreign)]
        if role is None:
            return [f"there is no role {name}"]
        problems = []
        if _reach(role["privileges"]) != _reach(own_privileges(tenant, self.mappings)):
            problems.append(f"role {name} has other privileges than it should have")
        wanted = [login.user for login in self._logins.all(tenant.tenant_id, database=database.name)]
        return problems + [f"there is no user {user}" for user in wanted if user not in users]

    async def _try_out(self, client: MongoDBClient, tenant: Tenant) -> list[str]:
        problems: list[str] = []
        for login in self._logins.all(tenant.tenant_id, database=client.db.name):
            problems += await _tried(client.logged_in_as(login), login, tenant.tenant_id)
        return problems

    async def _standing_role(self, database: Database, tenant: Tenant) -> Document | None:
        """Return the tenant's role.

        Raises:
            ForeignObjectError: another's has its name.
        """
        name = role_name(tenant.tenant_id, database=database.name)
        role = await _role(database.client.admin, name)
        if role is not None and role["roles"] != [_shared_role(database)]:
            raise ForeignObjectError("role", name, f"it does not rest on role {SHARED_ROLE} alone")
        return role

    async def _names_of_users(self, database: Database, tenant: Tenant) -> Sequence[str]:
        """Return the tenant's users.

        Raises:
            ForeignObjectError: another's has such a name.
        """
        prefix = user_prefix(tenant.tenant_id)
        named = {"db": database.name, "user": {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}}
        names = []
        async for user in users(database.client, named):
            if user["roles"] != [_role_of(database, tenant)]:
                raise ForeignObjectError("user", user["user"], "it has other roles than the tenant's own")
            names.append(user["user"])
        return sorted(names)


async def _tried(client: MongoDBClient, login: Login, tenant: TenantId) -> list[str]:
    """Return what is wrong with a login: it is to be let in, but not to other tenants' databases or the server's."""
    try:
        async with client.opened():
            foreign = client.database(tenant_database_name(TenantId.new()))
            attempts: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
                ("another tenant's database", foreign["probe"].find_one),
                ("the server's users", partial(client.client.admin.command, "usersInfo", 1)),
            ]
            return [f"user {login.user} reaches {place}" for place, attempt in attempts if not await _refused(attempt)]
    except PermissionDeniedError:
        return [f"user {login.user} cannot log in with the password of its key"]


async def _refused(attempt: Callable[[], Awaitable[Any]]) -> bool:
    try:
        await attempt()
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return True
    return False


async def _role(database: Database, name: str) -> Document | None:
    answer = await database.command("rolesInfo", {"role": name, "db": database.name}, showPrivileges=True)
    found: Sequence[Document] = answer["roles"]
    return found[0] if found else None


async def _ensure_role(
    database: Database,
    name: str,
    present: Document | None,
    privileges: Sequence[Document],
    *,
    roles: Sequence[Document],
    before_write: BeforeWrite | None = None,
) -> None:
    if present is None or _reach(present["privileges"]) != _reach(privileges):
        if before_write is not None:
            await before_write()
        command = "createRole" if present is None else "updateRole"
        await database.command(command, name, privileges=list(privileges), roles=list(roles))


def _reach(privileges: Iterable[Mapping[str, Any]]) -> set[tuple[str, frozenset[str]]]:
    return {(str(sorted(one["resource"].items())), frozenset(one["actions"])) for one in privileges}


def _shared_role(database: Database) -> Document:
    return {"role": SHARED_ROLE, "db": database.name}


def _role_of(database: Database, tenant: Tenant) -> Document:
    return {"role": role_name(tenant.tenant_id, database=database.name), "db": "admin"}


def _receipt(database: Database, user: str) -> str:
    return f"mongodb:{database.name} user {user}"
