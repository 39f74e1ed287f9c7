"""For services still written for Motor: the same settings and the same guard around a tenant.

Motor reached its end of life in May 2026; new code uses `BeanieBackend`, which stands on PyMongo's own asynchronous
driver. What is here takes the calls that such a service makes today and lets through those that stay with one tenant,
so that it can be made safe before it is moved. Errors are the driver's own, as the service expects them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

try:
    from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
except ImportError as error:
    raise ImportError("prismicx.adapters.motor needs Motor: pip install 'prismicx[motor]'") from error

from pymongo.errors import ConfigurationError, ConnectionFailure

from prismicx.adapters import mongodb_address
from prismicx.adapters.tenant_collection import TenantCollection
from prismicx.adapters.tenant_cursor import Access, ResultT, TenantCursor
from prismicx.adapters.tenant_guard import TenantGuard, refuse
from prismicx.domain.errors import (
    BackendNotStartedError,
    CrossTenantError,
    InvalidTenantIdError,
    TenantContextMissingError,
)
from prismicx.domain.identifiers import TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Shared, TenantSchema


class MotorClient:
    """A pool of connections to one MongoDB deployment, by Motor."""

    def __init__(
        self,
        connection_string: str,
        database_name: str,
        *,
        mappings: Sequence[EntityMapping] = (),
        server_selection_seconds: float = 5.0,
    ) -> None:
        """Take the settings; nothing is connected before `connect`.

        Args:
            connection_string: `mongodb://…` or `mongodb+srv://…`; its password appears in no message of prismicx.
            database_name: of the database that all tenants share; a tenant's own ones have names of their own.
            mappings: of the aggregates that a `BeanieBackend` keeps in the same databases; their collections have its
                identities and versions, all others are the service's own.
            server_selection_seconds: how long to look for a server before giving up.

        Raises:
            InvalidNameError: the name is no database's, the server's own, or could be a tenant's.
        """
        self._connection_string = connection_string
        self._database_name = mongodb_address.database_name(database_name)
        self._mappings = tuple(mappings)
        self._patience = round(server_selection_seconds * 1000)
        self._client: AsyncIOMotorClient[dict[str, Any]] | None = None

    async def connect(self) -> None:
        """Connect. Connecting twice does nothing.

        Raises:
            DatabaseUnavailableError: nothing answers there, or the connection string is none.
        """
        if self._client is not None:
            return
        try:
            client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
                self._connection_string,
                uuidRepresentation="standard",
                tz_aware=True,
                serverSelectionTimeoutMS=self._patience,
                appname="prismicx",
            )
        except (ConfigurationError, ValueError):  # its text repeats the connection string, password and all
            advice = "the connection string is not valid; it reads mongodb://user:password@host:port/?options"
            raise mongodb_address.unavailable(self._connection_string, advice) from None
        try:
            await client.admin.command("ping")
        except BaseException as error:
            client.close()
            if isinstance(error, ConnectionFailure):
                raise mongodb_address.unavailable(self._connection_string) from error
            raise
        self._client = client

    async def close(self) -> None:
        """Give all connections back. Closing twice does nothing."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def client(self) -> AsyncIOMotorClient[dict[str, Any]]:
        """Motor's client, which knows no tenant.

        Raises:
            BackendNotStartedError: it is not connected.
        """
        if self._client is None:
            raise BackendNotStartedError(type(self).__name__)
        return self._client

    @property
    def db(self) -> AsyncIOMotorDatabase[dict[str, Any]]:
        """The database that all tenants share, as Motor has it: it knows no tenant."""
        return self.client[self._database_name]

    def of(self, tenant: TenantId) -> TenantMotorClient:
        """Return what one tenant can reach, with `client` and `db` as here: pass it where this one was passed.

        Raises:
            TenantContextMissingError: no tenant was given.
            InvalidTenantIdError: it is not a `TenantId`.
        """
        if tenant is None:
            raise TenantContextMissingError
        if not isinstance(tenant, TenantId):
            raise InvalidTenantIdError(tenant, f"give a TenantId, not {type(tenant).__name__}")
        return TenantMotorClient(self, tenant, mappings=self._mappings, shared=self._database_name)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({mongodb_address.address_of(self._connection_string)!r}, {self._database_name!r})"
        )


class TenantMotorClient:
    """One tenant's databases and collections, under the names that Motor has for them."""

    def __init__(self, motor: MotorClient, tenant: TenantId, *, mappings: Sequence[EntityMapping], shared: str) -> None:
        self._motor = motor
        self._tenant = tenant
        self._mappings = mappings
        self._shared = shared

    @property
    def client(self) -> Self:
        """This: the databases are `client[name]`."""
        return self

    @property
    def db(self) -> TenantMotorDatabase:
        """The tenant's part of the database that all share."""
        return self[self._shared]

    def __getitem__(self, name: str) -> TenantMotorDatabase:
        """Return a database.

        Raises:
            CrossTenantError: it is neither the shared one nor this tenant's own.
        """
        if name != self._shared and name not in self._own_databases():
            raise CrossTenantError(unit=self._tenant.value, other=f"{name!r:.80}", subject="the database")
        mapped = {
            mapping.name
            for mapping in self._mappings
            if isinstance(mapping.placement, Shared) is (name == self._shared)
        }
        return TenantMotorDatabase(
            self._motor.client[name], self._tenant, shared=name == self._shared, mapped=frozenset(mapped)
        )

    async def start_session(self) -> TenantMotorSession:
        """Return a session for this tenant's collections."""
        return TenantMotorSession(await self._motor.client.start_session())

    def _own_databases(self) -> set[str]:
        types = {
            mapping.placement.plugin_type for mapping in self._mappings if isinstance(mapping.placement, TenantSchema)
        }
        return {tenant_database_name(self._tenant), *(plugin_schema_name(self._tenant, each) for each in types)}


class TenantMotorDatabase:
    """One tenant's part of one database: collections by name, and nothing else."""

    def __init__(self, raw: Any, tenant: TenantId, *, shared: bool, mapped: frozenset[str]) -> None:
        self._raw = raw
        self._tenant = tenant
        self._shared = shared
        self._mapped = mapped

    def __getitem__(self, name: str) -> TenantMotorCollection:
        """Return the tenant's documents of a collection."""
        return TenantMotorCollection(self._raw[name], self._guard(name), _MotorAccess(), reach=self._guard)

    def __getattr__(self, name: str) -> TenantMotorCollection:
        if name.startswith("_") or hasattr(type(self._raw), name):
            raise refuse(name)
        return self[name]

    def _guard(self, name: str) -> TenantGuard:
        is_mapped = name in self._mapped
        return TenantGuard(self._tenant, shared=self._shared and is_mapped, versioned=is_mapped)


class TenantMotorSession:
    """Motor's session without its way back to the client."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def start_transaction(self) -> AbstractAsyncContextManager[Any]:
        """Start a transaction; as a context, it commits at the end, or aborts if that is an error."""
        return _Transaction(self._raw.start_transaction())

    async def commit_transaction(self) -> None:
        """Make the transaction's writes last."""
        await self._raw.commit_transaction()

    async def abort_transaction(self) -> None:
        """Discard the transaction's writes."""
        await self._raw.abort_transaction()

    async def end_session(self) -> None:
        """End it; an open transaction is aborted."""
        await self._raw.end_session()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_session()


class _Transaction(AbstractAsyncContextManager[None]):
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def __aenter__(self) -> None:
        await self._raw.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._raw.__aexit__(kind, error, trace)


class TenantMotorCollection(TenantCollection):
    """The documents of one collection that one tenant can see, with Motor's calls."""

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]], *, session: Any = None, **options: Any) -> TenantCursor:
        """Return a cursor over what the stages make of the tenant's documents."""
        stages, session, checked = self._aggregated(pipeline, session, options)

        async def run() -> Any:
            return self._raw.aggregate(stages, session=await self._access.reading(session), **checked)

        return self._cursor(run, of_stages=True)


class _MotorAccess(Access):
    async def reading(self, session: Any) -> Any:
        return _bare(session)

    async def writing(self, operation: str, session: Any) -> Any:
        return _bare(session)

    async def attempt(self, action: Awaitable[ResultT]) -> ResultT:
        return await action


def _bare(session: TenantMotorSession | None) -> Any:
    if session is None:
        return None
    if not isinstance(session, TenantMotorSession):
        raise refuse("a session that is not of this tenant's client")
    return session._raw
