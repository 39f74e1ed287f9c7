"""The deployments of dedicated tenants: found by their connections' names, wired like the one that others share."""

from __future__ import annotations

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.deployment import Deployment
from prismicx.adapters.connection_secrets import MappingSecrets
from prismicx.domain.connections import ConnectionSecret, ConnectionSecrets, dedicated_address


class DedicatedDeployments:
    """Makes what reaches dedicated deployments.

    Args:
        shared: the deployment that other tenants share, whose options and mappings are theirs too.
        secrets: where the addresses are; `None` where there are none.
    """

    def __init__(self, shared: Deployment, secrets: ConnectionSecrets | None) -> None:
        self._shared = shared
        self._secrets = secrets or MappingSecrets({})

    async def client(self, connection: str) -> MongoDBClient | None:
        """Return the client, connected and checked; `None` if the connection has no address of its own.

        Raises:
            SecretNotFoundError: there is no address.
            DatabaseUnavailableError, TransactionsUnavailableError: as `Deployment.start`.
            MappingError: nobody has prepared what is there.
        """
        deployment = await self.deployment(connection)
        if deployment is None:
            return None
        try:
            await deployment.start()
            await deployment.require_collections()
        except BaseException:
            await deployment.client.close()
            raise
        return deployment.client

    async def deployment(self, connection: str) -> Deployment | None:
        """Return the deployment of a connection, not connected; `None` if it has none of its own.

        Raises:
            SecretNotFoundError: there is no address.
        """
        address = await dedicated_address(self._secrets, connection, ConnectionSecret.MONGO_URI)
        if address is None:
            return None
        return self._shared.like(self._shared.client.elsewhere(address.get_secret_value()))
