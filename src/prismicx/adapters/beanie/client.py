"""The connection to MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, PyMongoError

from prismicx.adapters import mongodb_address
from prismicx.adapters.beanie.errors import domain_error
from prismicx.adapters.beanie.wire import WIRE
from prismicx.domain.errors import BackendNotStartedError

if TYPE_CHECKING:
    from prismicx.adapters.beanie.logins import Login

Document = dict[str, Any]

MAJORITY: Final = WriteConcern("majority")

_COLLECTIONS_AT_HAND: Final = 1024  # making one costs as much CPU as half a query


class MongoDBClient:
    """A pool of connections to one MongoDB deployment, by PyMongo's asynchronous driver."""

    def __init__(self, connection_string: str, database_name: str, *, server_selection_seconds: float = 5.0) -> None:
        """Take the settings; nothing is connected before `connect`.

        Args:
            connection_string: `mongodb://…` or `mongodb+srv://…`; its password appears in no message of prismicx.
            database_name: of the database that all tenants share; a tenant's own ones have names of their own.
            server_selection_seconds: how long to look for a server before giving up.

        Raises:
            InvalidNameError: the name is no database's, the server's own, or could be a tenant's.
        """
        self._connection_string = connection_string
        self._database_name = mongodb_address.database_name(database_name)
        self._patience = round(server_selection_seconds * 1000)
        self._client: AsyncMongoClient[Document] | None = None
        self._has_transactions = False
        self._login: Login | None = None
        self._collection = lru_cache(maxsize=_COLLECTIONS_AT_HAND)(self._new_collection)

    def elsewhere(self, connection_string: str) -> Self:
        """Return a client of another deployment, with this one's options and name of the shared database."""
        return type(self)(connection_string, self._database_name, server_selection_seconds=self._patience / 1000)

    def logged_in_as(self, login: Login) -> Self:
        """Return a client of the same deployment for another user, with a pool of its own."""
        client = self.elsewhere(self._connection_string)
        client._login = login
        return client

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Be connected for the length of the block: as before, or until its end.

        Raises:
            DatabaseUnavailableError, PermissionDeniedError: as `connect`.
        """
        if self._client is not None:
            yield
            return
        await self.connect()
        try:
            yield
        finally:
            await self.close()

    async def connect(self) -> None:
        """Connect and find out what the server can do. Connecting twice does nothing.

        Raises:
            DatabaseUnavailableError: nothing answers there, or the connection string is none.
            PermissionDeniedError: the server refuses the user.
        """
        if self._client is not None:
            return
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                self._connection_string,
                uuidRepresentation="standard",
                tz_aware=True,
                serverSelectionTimeoutMS=self._patience,
                appname="prismicx",
                **self._credentials,
            )
        except (ConfigurationError, ValueError):  # its text repeats the connection string, password and all
            advice = "the connection string is not valid; it reads mongodb://user:password@host:port/?options"
            raise mongodb_address.unavailable(self._connection_string, advice) from None
        try:
            hello = await client.admin.command("hello")
            await client.get_database(self._database_name).command("ping")
        except BaseException as error:
            await client.close()
            if isinstance(error, ConfigurationError):  # the hosts behind mongodb+srv:// are looked up only now
                raise mongodb_address.unavailable(self._connection_string, "check the name: none was found") from error
            if isinstance(error, PyMongoError):
                raise domain_error(error, subject=self._database_name, address=self.address) from error
            raise
        self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._client = client

    async def close(self) -> None:
        """Give all connections back. Closing twice does nothing."""
        client, self._client = self._client, None
        self._collection.cache_clear()
        if client is not None:
            await client.close()

    @property
    def client(self) -> AsyncMongoClient[Document]:
        """The driver's client.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        if self._client is None:
            raise BackendNotStartedError(type(self).__name__)
        return self._client

    @property
    def db(self) -> AsyncDatabase[Document]:
        """The database that all tenants share.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        return self.database(self._database_name)

    def database(self, name: str) -> AsyncDatabase[Document]:
        """Return a database by name; what is written there is acknowledged by a majority.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        return self.client.get_database(name, write_concern=MAJORITY)

    def collection(self, database: str | None, name: str) -> AsyncCollection[Document]:
        """Return a collection by name; without a database, of the one that all tenants share.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        return self._collection(database or self._database_name, name)

    def collection_on_wire(self, database: str | None, name: str) -> AsyncCollection[Document]:
        """Return a collection like `collection`, whose documents have values as they are on the wire.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        return self._collection(database or self._database_name, name, on_wire=True)

    @property
    def _credentials(self) -> dict[str, Any]:
        """What takes the place of the user in the connection string."""
        if self._login is None:
            return {}
        login = {"username": self._login.user, "password": self._login.password, "authSource": self._login.database}
        return {**login, "authMechanism": "SCRAM-SHA-256"}

    def _new_collection(self, database: str, name: str, *, on_wire: bool = False) -> AsyncCollection[Document]:
        if on_wire:
            return self.database(database).get_collection(name, codec_options=WIRE)
        return self.database(database)[name]

    @property
    def address(self) -> str:
        """Where the server is, without user and password."""
        return mongodb_address.address_of(self._connection_string)

    @property
    def has_transactions(self) -> bool:
        """Whether the server is a member of a replica set or the router of a cluster; false before `connect`."""
        return self._has_transactions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r}, {self._database_name!r})"
