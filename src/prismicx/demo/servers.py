"""The servers that the story happens on: embedded ones, or the reader's own, which are left as they were found."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from prismicx.adapters.beanie import MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.domain.identifiers import TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.tenancy import DEFAULT_PLUGIN_TYPES
from prismicx.embedded import EmbeddedMongo, EmbeddedPostgres
from prismicx.settings import Settings


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story happens, and between whom."""

    settings: Settings
    acme: TenantId
    globex: TenantId


@asynccontextmanager
async def stage(*, postgres_dsn: str | None, mongo_uri: str | None, keep: Path | None) -> AsyncIterator[Stage]:
    """Start what was not given, make an empty database on each server, and yield where they are.

    On servers that may hold something already all names are new, so nothing is touched; without `keep` nothing stays.

    Args:
        postgres_dsn: a login that may create roles and databases; `None` starts a server.
        mongo_uri: a replica set; `None` starts a server.
        keep: where the data of started servers stays; `None` for a temporary directory.

    Raises:
        DatabaseUnavailableError: a server that was given does not answer.
        EmbeddedServerError, MissingExtraError: a server could not be started.
    """
    is_empty = postgres_dsn is None and mongo_uri is None and not (keep and keep.exists())
    chance = "" if is_empty else secrets.token_hex(4)
    name = f"prismicx_demo_{chance}".rstrip("_")
    tenants = tuple(TenantId(f"{tenant}-{chance}".rstrip("-")) for tenant in ("acme", "globex"))
    async with AsyncExitStack() as stack:
        if postgres_dsn is None:
            directory = keep / "postgres" if keep else None
            postgres_dsn = stack.enter_context(EmbeddedPostgres(directory, durable=keep is not None)).dsn()
        if mongo_uri is None:
            directory = keep / "mongo" if keep else None
            mongo_uri = stack.enter_context(EmbeddedMongo(directory, durable=keep is not None)).uri
        made = _postgres_database(postgres_dsn, name, kept=keep is not None)
        owner, application = await stack.enter_async_context(made)
        if keep is None:
            stack.push_async_callback(_drop_mongo_databases, mongo_uri, name, tenants)
        given = {"postgres_dsn": application, "postgres_admin_dsn": owner, "registry": "postgres"}
        yield Stage(Settings.load(given | {"mongo_uri": mongo_uri, "mongo_database": name}), *tenants)


@asynccontextmanager
async def _postgres_database(dsn: str, name: str, *, kept: bool) -> AsyncIterator[tuple[str, str]]:
    """Make a database and a login that owns it; yield its addresses for that login and for the application's."""
    owner, application, password = f"{name}_owner", f"{name}_app", secrets.token_urlsafe(18)
    client = DatabaseClient.from_dsn(dsn)
    connection = await client.connect()
    try:
        await connection.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'")
        await connection.execute(f"GRANT {owner} TO CURRENT_USER")
        await connection.execute(f"CREATE DATABASE {name} OWNER {owner}")
        try:
            yield _address(dsn, owner, password, name), _address(dsn, application, password, name)
        finally:
            if not kept:
                roles = [*await _schema_owners(_address(dsn, owner, password, name)), application, owner]
                await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
                for role in roles:
                    await connection.execute(f'DROP ROLE IF EXISTS "{role}"')
    finally:
        await connection.close()


async def _schema_owners(dsn: str) -> list[str]:
    connection = await DatabaseClient.from_dsn(dsn).connect()
    try:
        found = await connection.fetch(
            "SELECT DISTINCT nspowner::regrole::text FROM pg_namespace WHERE nspname LIKE 'tenant\\_%'"
        )
        return [row[0].strip('"') for row in found]
    finally:
        await connection.close()


async def _drop_mongo_databases(uri: str, shared: str, tenants: tuple[TenantId, ...]) -> None:
    own = [tenant_database_name(tenant) for tenant in tenants]
    own += [plugin_schema_name(tenant, plugin_type) for tenant in tenants for plugin_type in DEFAULT_PLUGIN_TYPES]
    client = MongoDBClient(uri, shared)
    await client.connect()
    try:
        for name in (shared, *own):
            await client.client.drop_database(name)
    finally:
        await client.close()


def _address(dsn: str, user: str, password: str, database: str) -> str:
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}:{quote(password)}@{host}", f"/{database}", parts.query, ""))
