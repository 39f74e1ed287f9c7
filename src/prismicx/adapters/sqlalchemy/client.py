"""The connection to one PostgreSQL database: its address, its pool, and sessions of one tenant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from prismicx.adapters.sqlalchemy.errors import Translation, unavailable
from prismicx.adapters.sqlalchemy.lending import DriverConnection
from prismicx.adapters.sqlalchemy.plans import Plans
from prismicx.adapters.sqlalchemy.pool import DRIVER_ERRORS, Connection, ConnectionPool, Leftover
from prismicx.adapters.sqlalchemy.pooler import Pooler, held, start_up_settings
from prismicx.adapters.sqlalchemy.proof import TenantProof, opening_message
from prismicx.adapters.sqlalchemy.session import SessionFactory
from prismicx.adapters.sqlalchemy.transaction import Transaction
from prismicx.domain.errors import (
    BackendNotStartedError,
    InvalidNameError,
    InvalidTenantIdError,
    TenantContextMissingError,
)
from prismicx.domain.identifiers import TenantId

_IN_PASSWORDS: Final = "a password has %2F, %23, %3F and %40 for '/', '#', '?' and '@'"
_ADDRESS_OPTIONS: Final = frozenset(("host", "port", "sslmode", "application_name"))


_VISIBLE: Final = 16 * 1024  # bytes of a message that a server may show to others, until it has said how many it does


class DatabaseClient:
    """A PostgreSQL database, reached as one user over a pool of connections.

    Args:
        host: name or address of the server, or the folder of its Unix socket.
        password: never part of an error, a `repr` or a log.
        min_pool_size: connections made by `initialize`, at least one.
        max_pool_size: connections at most.
        pooler: `transaction` where a transaction pooler stands before the server (PgBouncer): nothing is prepared
            then, and nothing is left in a session.
        ssl: as asyncpg takes it: `True`, an `ssl.SSLContext`, or libpq's word for it.
        connect_timeout: seconds to make a connection.
        acquire_timeout: seconds to wait for a connection while all are in use.
        statement_cache_size: statements that each connection keeps prepared: so many of repositories, and so many of
            sessions.

    Attributes:
        proof: what proves the tenant of each transaction, set by the backend that the client is given to.
        plans: which queries may set their tenant themselves.
    """

    def __init__(  # noqa: PLR0917 -- the signature of the document that the framework was asked to implement
        self,
        host: str = "localhost",
        port: int = 5432,
        user: str = "postgres",
        password: str | None = None,
        database: str = "postgres",
        min_pool_size: int = 5,
        max_pool_size: int = 20,
        *,
        pooler: Pooler = "none",
        ssl: Any = None,
        connect_timeout: float = 10.0,
        acquire_timeout: float = 30.0,
        statement_cache_size: int = 256,
        application_name: str = "prismicx",
    ) -> None:
        if not 1 <= min_pool_size <= max_pool_size:
            raise ValueError(f"a pool of {min_pool_size} to {max_pool_size} connections cannot be")
        self.host = host
        self.port = port
        self.user = user
        self.database = database
        self.pooler: Pooler = pooler
        self._password = password
        self._options: dict[str, Any] = {
            "ssl": ssl,
            "timeout": connect_timeout,
            "statement_cache_size": 0 if pooler == "transaction" else statement_cache_size,
            "max_cached_statement_lifetime": 0,  # the server plans anew by itself when a table changes
            "server_settings": start_up_settings(pooler, application_name),
        }
        self._elsewhere: dict[str, Any] = {
            "max_pool_size": max_pool_size,
            "pooler": pooler,
            "ssl": ssl,
            "connect_timeout": connect_timeout,
            "acquire_timeout": acquire_timeout,
            "statement_cache_size": statement_cache_size,
            "application_name": application_name,
        }
        self._min_pool_size = min_pool_size
        self._max_pool_size = max_pool_size
        self._acquire_timeout = acquire_timeout
        self._pool: ConnectionPool | None = None
        self._visible = _VISIBLE
        self.proof: TenantProof | None = None
        self.plans = Plans()
        kept = self._options["statement_cache_size"]
        self.sessions = SessionFactory(pooler=pooler, statement_cache_size=kept)

    @classmethod
    def from_dsn(cls, dsn: str, **options: Any) -> Self:
        """Return a client for `postgresql://user:password@host:port/database`, with further arguments by name.

        `?host=/folder` names a Unix socket, `?sslmode=…` is passed on.

        Raises:
            InvalidNameError: it is no such address; the error does not repeat it, for it may hold a password.
        """
        try:
            parts = urlsplit(dsn)
            given = dict(parse_qsl(parts.query))
            port = int(given.get("port") or parts.port or 5432)
        except ValueError:  # its text repeats a part of the address, at times the password
            raise _no_address("it cannot be read; " + _IN_PASSWORDS) from None
        if "@" in parts.path + parts.query + parts.fragment:
            raise _no_address("a '@' stands behind the host; " + _IN_PASSWORDS)
        if parts.scheme.removesuffix("+asyncpg") not in ("postgresql", "postgres"):
            raise _no_address("it must begin with postgresql://")
        unknown = sorted(given.keys() - _ADDRESS_OPTIONS)
        if unknown:
            raise _no_address(f"prismicx does not know {', '.join(unknown)}")
        if "sslmode" in given:
            options.setdefault("ssl", given["sslmode"])
        if "application_name" in given:
            options.setdefault("application_name", given["application_name"])
        user = unquote(parts.username or "postgres")
        return cls(
            host=given.get("host") or unquote(parts.hostname or "localhost"),
            port=port,
            user=user,
            password=unquote(parts.password) if parts.password else None,
            database=unquote(parts.path.lstrip("/")) or user,
            **options,
        )

    def elsewhere(self, dsn: str) -> Self:
        """Return a client for another address, with this one's options and at least one connection.

        Raises:
            InvalidNameError: as `from_dsn`.
        """
        options = self._elsewhere | {"min_pool_size": 1}
        if "sslmode=" in dsn:
            del options["ssl"]
        return self.from_dsn(dsn, **options)

    @property
    def address(self) -> str:
        """`host:port/database`, for people."""
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def pool(self) -> ConnectionPool:
        """The running pool.

        Raises:
            BackendNotStartedError: `initialize` has not been awaited, or `close` has.
        """
        if self._pool is None:
            raise BackendNotStartedError(f"the client of {self.address}")
        return self._pool

    @property
    def has_password(self) -> bool:
        """Whether it was given a password."""
        return bool(self._password)

    def with_password(self, use: Any) -> Any:
        """Return what the function makes of the password, which is kept from everything else."""
        return use(self._password)

    def __repr__(self) -> str:
        return f"DatabaseClient({self.address!r}, user={self.user!r})"

    async def initialize(self) -> None:
        """Make the first connections; without effect on a running client.

        Raises:
            DatabaseUnavailableError: the server cannot be reached, or refuses this user.
        """
        if self._pool is not None:
            return
        pool = ConnectionPool(
            self.connect,
            min_size=self._min_pool_size,
            max_size=self._max_pool_size,
            address=self.address,
            wait_limit=self._acquire_timeout,
            pooled=self.pooler == "transaction",
        )
        await pool.open()
        self._pool = pool

    async def close(self) -> None:
        """Give every connection back; those in use get ten seconds. Closing twice does nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have the pool open for the length of the block: the one that runs, or one that is closed at its end.

        Raises:
            DatabaseUnavailableError: the server cannot be reached, or refuses this user.
        """
        if self._pool is not None:
            yield
            return
        await self.initialize()
        try:
            yield
        finally:
            await self.close()

    async def connect(self, *, user: str | None = None, password: str | None = None) -> Connection:
        """Return a connection outside the pool, as another user where one is given; its caller closes it.

        Raises:
            DatabaseUnavailableError: the server cannot be reached, or refuses this user.
        """
        try:
            connection = await asyncpg.connect(
                host=self.host,
                port=self.port,
                database=self.database,
                user=user or self.user,
                password=password if user else self._password,
                connection_class=DriverConnection,
                **self._options,
            )
        except DRIVER_ERRORS as error:
            raise unavailable(error, self.address) from error
        # The codecs that SQLAlchemy sets too: structures travel as JSON text and come back as Python values.
        # To set one takes a question to the server, whose parts must not reach two of its connections.
        try:
            async with held(connection, self.pooler):
                for name, prefix in (("json", b""), ("jsonb", b"\x01")):
                    await connection.set_type_codec(
                        name,
                        schema="pg_catalog",
                        format="binary",
                        encoder=lambda text, prefix=prefix: prefix + text.encode(),
                        decoder=lambda data, prefix=prefix: json.loads(data[len(prefix) :]),
                    )
            if self.proof is not None:
                self._visible = await connection.fetchval(_SHOWN_OF_QUERIES)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, DRIVER_ERRORS):
                raise unavailable(error, self.address) from error
            raise
        return cast("Connection", connection)

    def opening(self, begin: str, tenant: TenantId, connection: Connection) -> str:
        """Return the message that begins a transaction of the tenant on this connection, with its proof if it has one.

        Args:
            begin: BEGIN with its options, in capital letters, spaces between them.
        """
        pid = connection.get_server_pid()
        return opening_message(begin, tenant, proof=self.proof, pid=pid, visible=self._visible)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection of the pool, without tenant or transaction; it is reset when it comes back.

        Behind a transaction pooler it has a transaction, which lasts if the block ends without an error.
        """
        pool = self.pool
        connection = await pool.acquire()
        try:
            with Translation(connection, {}):
                async with held(connection, self.pooler):
                    yield connection
        finally:
            pool.give_back(connection, Leftover.ANYTHING)

    @asynccontextmanager
    async def session(self, tenant: TenantId) -> AsyncIterator[AsyncSession]:
        """Open a SQLAlchemy session in a transaction of this tenant, which takes SQL as text too.

        The tenant is added to every statement but text, which row-level security alone keeps to the tenant's rows.
        `await session.commit()` makes its work last and ends it; leaving the block without discards it, so that
        neither an error nor an early return leaves half of it behind.

        Raises:
            TenantContextMissingError: no tenant was given.
            InvalidTenantIdError: it is not a `TenantId`.
        """
        if tenant is None:
            raise TenantContextMissingError
        if not isinstance(tenant, TenantId):
            raise InvalidTenantIdError(tenant, f"give a TenantId, not {type(tenant).__name__}")
        transaction = Transaction(self, tenant, read_only=False, keys={})
        await transaction.begin()
        try:
            yield transaction.session(committable=True, takes_text=True)
        finally:
            await transaction.rollback()


_SHOWN_OF_QUERIES: Final = "SELECT pg_size_bytes(current_setting('track_activity_query_size'))"


def _no_address(reason: str) -> InvalidNameError:
    return InvalidNameError("PostgreSQL address", "postgresql://…", reason)
