"""Fresh databases for tests: on PostgreSQL copies of templates made once per run, on MongoDB new names."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
from pymongo import MongoClient

OWNER_ROLE: Final = "prismicx_test_owner"
"""Owns every test database: LOGIN and CREATEROLE, no superuser."""
APPLICATION_ROLE: Final = "prismicx_test_app"
"""What an application logs in as: LOGIN and nothing else."""
SYSTEM_ROLE: Final = "prismicx_test_system"
"""What work over all tenants logs in as: LOGIN and nothing else."""

_ROLES: Final = {OWNER_ROLE: "LOGIN CREATEROLE", APPLICATION_ROLE: "LOGIN", SYSTEM_ROLE: "LOGIN"}
_TEMPLATES_LOCK: Final = 7_216_902_731
_PROTECTED: Final = frozenset({"admin", "config", "local"})


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server, by the address of its superuser; `run` is part of the name of every database made on it."""

    superuser_dsn: str
    run: str

    def dsn(self, database: str, role: str | None = None) -> str:
        """Return the address of a database for one of the test roles; without a role, for the superuser."""
        parts = urlsplit(self.superuser_dsn)
        place = parts.netloc.rpartition("@")[2]
        login = f"{role}:{self.password(role)}" if role else parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{login}@{place}", path=f"/{quote(database, safe='')}"))

    def password(self, role: str) -> str:
        """Return a test role's password: the same in every run, and known to those only who know the superuser's."""
        return hashlib.sha256(f"{role}\0{self.superuser_dsn}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """One test's own database, with its four addresses."""

    name: str
    dsn: str
    """For `prismicx_test_app`, which may log in and nothing else."""
    admin_dsn: str
    """For `prismicx_test_owner`, which owns the database and may create roles, but is no superuser."""
    superuser_dsn: str
    """For the server's superuser, who passes by row-level security."""
    system_dsn: str
    """For `prismicx_test_system`, which may log in and nothing else."""


Preparation = Callable[[PostgresDatabase], Awaitable[None]]


class PostgresDatabases:
    """Makes databases on one server: `database = await databases("orders", create_tables)`."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._made: list[str] = []

    async def __call__(self, template: str = "empty", prepare: Preparation | None = None) -> PostgresDatabase:
        """Return a fresh database, a copy of the template; it is dropped with the test.

        Args:
            template: the template's name; the first test of the run that names it has it made.
            prepare: fills the template. It closes its connections. Rights on the database itself are copied too;
                roles and settings that depend on its name are not.
        """
        name = f"prismicx_{self._server.run}_{secrets.token_hex(6)}"
        async with _connected(self._server.dsn("postgres")) as connection:
            source = await self._template(connection, template, prepare)
            self._made.append(name)
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" OWNER {OWNER_ROLE}')
            await _copy_rights(connection, source=source, target=name)
        return self._addressed(name)

    async def drop(self) -> None:
        """Drop every database that was made, and the roles that owned a tenant's schema in one of them."""
        while self._made:
            await _drop(self._server, self._made[-1])
            self._made.pop()

    async def _template(self, connection: _Connection, template: str, prepare: Preparation | None) -> str:
        digest = hashlib.sha256(template.encode()).hexdigest()[:12]
        name = f"prismicx_{self._server.run}_t{digest}"
        if await _exists(connection, name):
            return name
        # One at a time, whichever process it is in; the name appears when the template is complete.
        await connection.execute("SELECT pg_advisory_lock($1)", _TEMPLATES_LOCK)
        if not await _exists(connection, name):
            await self._make_template(connection, name, prepare)
        await connection.execute("SELECT pg_advisory_unlock($1)", _TEMPLATES_LOCK)
        return name

    async def _make_template(self, connection: _Connection, name: str, prepare: Preparation | None) -> None:
        await _ensure_roles(connection, self._server)
        draft = f"{name}_draft"
        await connection.execute(f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{draft}" OWNER {OWNER_ROLE}')
        if prepare is not None:
            await prepare(self._addressed(draft))
        await connection.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')

    def _addressed(self, name: str) -> PostgresDatabase:
        server = self._server
        return PostgresDatabase(
            name=name,
            dsn=server.dsn(name, APPLICATION_ROLE),
            admin_dsn=server.dsn(name, OWNER_ROLE),
            superuser_dsn=server.dsn(name),
            system_dsn=server.dsn(name, SYSTEM_ROLE),
        )


def drop_databases_of_run(superuser_dsn: str, run: str) -> None:
    """Drop what a run has left on a server that goes on running: its templates."""
    server = PostgresServer(superuser_dsn, run)

    async def drop_all() -> None:
        async with _connected(server.dsn("postgres")) as connection:
            pattern = f"prismicx\\_{run}\\_%"
            found = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", pattern)
        for (name,) in found:
            await _drop(server, name)

    finish(drop_all())


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on a loop of its own, so that no test framework's loop is touched."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(work)


@dataclass(frozen=True, slots=True)
class MongoServer:
    """A server that speaks MongoDB's protocol, by its address."""

    uri: str
    run: str


@dataclass(frozen=True, slots=True)
class MongoDatabase:
    """One test's own default database; `uri` names it."""

    name: str
    uri: str


class MongoDatabases:
    """Hands out names of databases: `database = databases()`. The server makes each with its first write."""

    def __init__(self, server: MongoServer, client: MongoClient[dict[str, Any]]) -> None:
        self._server = server
        self._client = client
        self._before = frozenset(client.list_database_names()) | _PROTECTED

    def __call__(self) -> MongoDatabase:
        """Return a database that is empty; it is dropped with the test, as is every other one that the test made."""
        name = f"prismicx_{self._server.run}_{secrets.token_hex(6)}"
        return MongoDatabase(name, urlunsplit(urlsplit(self._server.uri)._replace(path=f"/{name}")))

    def drop(self) -> None:
        """Drop every database that was not there before."""
        for name in set(self._client.list_database_names()) - self._before:
            self._client.drop_database(name)


_Connection: TypeAlias = asyncpg.Connection


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[_Connection]:
    connection: _Connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _exists(connection: _Connection, database: str) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", database))


async def _ensure_roles(connection: _Connection, server: PostgresServer) -> None:
    for role, attributes in _ROLES.items():
        if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f"CREATE ROLE {role}")
        await connection.execute(f"ALTER ROLE {role} {attributes} PASSWORD '{server.password(role)}'")


async def _copy_rights(connection: _Connection, *, source: str, target: str) -> None:
    # CREATE DATABASE copies what is in a template, and not the rights on the template itself.
    rights = await connection.fetch(
        """
        SELECT format('GRANT %s ON DATABASE %I TO %s', privilege_type, $2::text,
                      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
        FROM pg_database, aclexplode(datacl) WHERE datname = $1
        """,
        source,
        target,
    )
    if rights:
        await connection.execute(f'REVOKE ALL ON DATABASE "{target}" FROM PUBLIC')
        for (grant,) in rights:
            await connection.execute(grant)


async def _drop(server: PostgresServer, name: str) -> None:
    async with _connected(server.dsn(name)) as connection:
        owners = await connection.fetch(
            r"""
            SELECT DISTINCT format('DROP ROLE %I', rolname)
            FROM pg_namespace JOIN pg_roles ON pg_roles.oid = nspowner WHERE rolname LIKE 'tenant\_%'
            """
        )
    async with _connected(server.dsn("postgres")) as connection:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for (drop_role,) in owners:
            await connection.execute(drop_role)
