"""The databases of dedicated tenants: found by their connections' names, and wired like the one that others share."""

from __future__ import annotations

from prismicx.adapters.connection_secrets import MappingSecrets
from prismicx.adapters.sqlalchemy.client import DatabaseClient
from prismicx.adapters.sqlalchemy.database import Database
from prismicx.adapters.sqlalchemy.provisioner import Provisioner
from prismicx.domain.connections import ConnectionSecret, ConnectionSecrets, dedicated_address


class DedicatedDatabases:
    """Makes what reaches dedicated databases.

    Args:
        shared: the database that other tenants share: of its clients' options, tables and proof are theirs too.
        secrets: where the addresses are; `None` where there are none.
    """

    def __init__(self, shared: Database, secrets: ConnectionSecrets | None) -> None:
        self._shared = shared
        self._secrets = secrets or MappingSecrets({})

    async def client(self, connection: str) -> DatabaseClient | None:
        """Return the application's client, open, and checked as at a backend's start; `None` if it has no own address.

        The owner's address is not asked for: a process that makes no tenants need not know it.

        Raises:
            SecretNotFoundError: there is no address.
            DatabaseError, DatabaseUnavailableError, MappingError, TenantProofMismatchError, UnsafeRoleError: as
                `Database.start`.
        """
        client = await self._reached(connection)
        if client is not None:
            await self._shared.like(client, admin=client).start()
        return client

    async def database(self, connection: str) -> Database | None:
        """Return the database of a connection, with both logins, not open; `None` if it has none of its own.

        Raises:
            SecretNotFoundError: an address is missing.
        """
        client = await self._reached(connection)
        if client is None:
            return None
        address = await self._secrets.get(connection, ConnectionSecret.POSTGRES_ADMIN_DSN)
        return self._shared.like(client, admin=self._shared.admin.elsewhere(address.get_secret_value()))

    async def provisioner(self, connection: str) -> Provisioner | None:
        """Return what makes and unmakes the places of a connection's tenants; `None` if it has no database of its own.

        Raises:
            SecretNotFoundError: an address is missing.
        """
        database = await self.database(connection)
        if database is None:
            return None
        return Provisioner(database.client, database.admin, database.tables, prepare=database.initialise)

    async def _reached(self, connection: str) -> DatabaseClient | None:
        address = await dedicated_address(self._secrets, connection, ConnectionSecret.POSTGRES_DSN)
        return None if address is None else self._shared.client.elsewhere(address.get_secret_value())
