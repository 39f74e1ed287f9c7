"""A MongoDB user for each tenant: what it is called, how it logs in, and what it may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.definitions import Document
from prismicx.adapters.beanie.outbox import EVENTS, HEADS
from prismicx.adapters.beanie.tenancy import collection_name, own_database
from prismicx.domain.errors import PermissionDeniedError
from prismicx.domain.identifiers import TenantId, places_of
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.secret_keys import checked_keys, listed_keys
from prismicx.domain.tenancy import Tenant

SHARED_ROLE: Final = "prismicx_tenant"
"""The role, in the database that tenants share, by which each tenant's user works in the shared collections."""

WORK: Final = frozenset(("find", "insert", "update", "remove"))
"""All that a tenant's user may do, and with collections of tenants' documents only."""

DEFAULT_LIMIT: Final = 100
"""How many tenants' pools are kept open."""

_MOST_KEYS: Final = 2
_ID_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Login:
    """A user and its password, which no representation shows."""

    user: str
    password: str = field(repr=False)
    database: str
    """Where the user is defined: `authSource`."""


class TenantLogins:
    """Makes the password of each tenant's user out of a key, so that none is stored and every process knows it.

    Args:
        keys: the current one, with which services log in, and while keys change the one before it, whose users stay.
            Each is at least 32 printable ASCII characters without comma or space, made at random
            (`openssl rand -hex 32`), and for one deployment only. Whoever has it can log in as any tenant.

    Raises:
        SettingsError: a key does not fit, there is none, or there are more than two; no message shows a key.
    """

    __slots__ = ("_keys",)

    def __init__(self, *keys: SecretStr | str) -> None:
        plain = checked_keys(keys, of="MongoDB users of tenants", most=_MOST_KEYS)
        self._keys = [key.encode("ascii") for key in plain]

    @classmethod
    def parse(cls, keys: SecretStr) -> TenantLogins:
        """Return the logins of keys in one text, with a comma between them, the current one first.

        Raises:
            SettingsError: as the constructor.
        """
        return cls(*listed_keys(keys))

    def current(self, tenant: TenantId, *, database: str) -> Login:
        """Return the login of a tenant at the deployment with this shared database."""
        return self.all(tenant, database=database)[0]

    def all(self, tenant: TenantId, *, database: str) -> tuple[Login, ...]:
        """Return the logins that the tenant is to have there, one for each key, the current one first."""
        return tuple(
            Login(
                f"{user_prefix(tenant)}{_mac(key, 'name')[:_ID_LENGTH]}",
                _mac(key, f"user/{database}/{tenant}"),
                database,
            )
            for key in self._keys
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_mac(key, 'name')[:_ID_LENGTH] for key in self._keys)})"


async def open_login(shared: MongoDBClient, logins: TenantLogins, tenant: str) -> MongoDBClient:
    """Return a connected client that has logged in as this tenant's user.

    Raises:
        DatabaseUnavailableError: nothing answers there.
        PermissionDeniedError: the tenant has no user with the current key's password.
    """
    client = shared.logged_in_as(logins.current(TenantId(tenant), database=shared.db.name))
    try:
        await client.connect()
    except PermissionDeniedError as error:
        advice = "`prismicx tenant renew-logins` makes the users of PRISMICX_MONGO_USER_KEYS"
        raise PermissionDeniedError(f"tenant {tenant} cannot log in as its own user ({advice})") from error
    return client


def user_prefix(tenant: TenantId) -> str:
    """Return what the name of each user of a tenant begins with; the id of its key follows. No tenant id has a dot."""
    return f"tenant_{tenant}."


def role_name(tenant: TenantId, *, database: str) -> str:
    """Return the name of the tenant's role. It is in `admin`, where alone roles may span databases."""
    return f"{database}.tenant_{tenant}"


def shared_privileges(database: str, mappings: Iterable[EntityMapping], *, outbox: bool) -> list[Document]:
    """Return what every tenant's user may do in the database that tenants share; the registry is not in it."""
    privileges = [
        _privilege(database, collection_name(mapping), WORK)
        for mapping in mappings
        if isinstance(mapping.placement, Shared)
    ]
    if outbox:
        privileges += [_privilege(database, HEADS, WORK - {"remove"}), _privilege(database, EVENTS, {"insert"})]
    return privileges


def own_privileges(tenant: Tenant, mappings: Iterable[EntityMapping]) -> list[Document]:
    """Return what a tenant's user may do in the tenant's own databases: work in what is mapped there."""
    places = places_of(tenant.tenant_id, tenant.plugin_types)
    found = [(own_database(mapping, tenant.tenant_id), collection_name(mapping)) for mapping in mappings]
    return [_privilege(database, name, WORK) for database, name in found if database in places]


def _privilege(database: str, collection: str, actions: Iterable[str]) -> Document:
    return {"resource": {"db": database, "collection": collection}, "actions": sorted(actions)}


def _mac(key: bytes, message: str) -> str:
    return hmac.digest(key, message.encode(), "sha256").hex()
