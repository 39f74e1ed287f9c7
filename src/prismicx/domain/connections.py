"""Where a dedicated tenant's own databases are: the secrets behind the name of its connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

AMONG_OTHERS: Final = "shared"
"""What a secret says in place of an address where a connection leaves that database among the other tenants'."""


class ConnectionSecret(StrEnum):
    """The secrets of one connection; each is an address with user and password."""

    POSTGRES_DSN = "postgres_dsn"
    """`postgresql://user:password@host:port/database`, with the application's login."""
    POSTGRES_ADMIN_DSN = "postgres_admin_dsn"
    """The same database with the login that owns it: for provisioning, migrations, `db init` and `audit` only."""
    MONGO_URI = "mongo_uri"
    """`mongodb://user:password@host:port/`, a replica set."""


class ConnectionSecrets(ABC):
    """Where the addresses behind the names of connections are kept."""

    @abstractmethod
    async def get(self, connection: str, secret: ConnectionSecret) -> SecretStr:
        """Return a secret of a connection: an address, or the word `shared`.

        It is asked once for each pool that is opened, not for each unit of work.

        Raises:
            SecretNotFoundError: there is none of this kind.
        """


async def dedicated_address(secrets: ConnectionSecrets, connection: str, secret: ConnectionSecret) -> SecretStr | None:
    """Return the address that a connection has of its own, or `None` where it says `shared`.

    Raises:
        SecretNotFoundError: it says neither. That a name is missing never means `shared`.
    """
    found = await secrets.get(connection, secret)
    return None if found.get_secret_value() == AMONG_OTHERS else found
