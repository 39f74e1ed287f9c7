"""What the contracts do behind a step's back: one laboratory for each of the databases' own steps."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch
from uuid import UUID

import asyncpg
from bson import Binary
from pymongo import AsyncMongoClient

from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.adapters.sqlalchemy.pool import Connection
from prismicx.domain.tenancy import Tenant
from prismicx.testing.contracts import Laboratory

_WRITES_AND_READS = (
    *("insert", "update", "delete", "findAndModify", "find", "aggregate", "listCollections", "listIndexes"),
    *("create", "collMod", "createIndexes", "drop", "dropDatabase"),
)


class PostgresLaboratory(Laboratory):
    """A database and its superuser's address.

    Args:
        admin: the client whose connections break.
        suffix: what the step's schemas end in.
        table: the table that is in each.
    """

    def __init__(self, superuser_dsn: str, admin: DatabaseClient, *, suffix: str, table: str) -> None:
        self._dsn = superuser_dsn
        self._admin = admin
        self._suffix = suffix
        self._table = table

    def schema(self, tenant: Tenant) -> str:
        """Return the schema that the step makes for this tenant."""
        return f"tenant_{tenant.tenant_id}_{self._suffix}"

    async def occupy(self, tenant: Tenant) -> None:
        async with self._superuser() as connection:
            await connection.execute(f'CREATE SCHEMA "{self.schema(tenant)}"')
            await connection.execute(f'CREATE TABLE "{self.schema(tenant)}".precious AS SELECT 1 AS one')

    async def occupied(self, tenant: Tenant) -> Any:
        async with self._superuser() as connection:
            state = "SELECT nspowner, nspacl::text, obj_description(oid) FROM pg_namespace WHERE nspname = $1"
            rows = await connection.fetch(f'SELECT one, xmin::text FROM "{self.schema(tenant)}".precious')
            return await connection.fetchrow(state, self.schema(tenant)), rows, await self.traces(tenant)

    async def fill(self, tenant: Tenant) -> Mapping[str, int]:
        name = f"{self.schema(tenant)}.{self._table}"
        async with self._superuser() as connection:
            for number in range(3):
                await connection.execute(
                    f'INSERT INTO "{self.schema(tenant)}".{self._table} (tenant_id, id, version, code, name, amount) '
                    "VALUES ($1, $2, 1, $3, '', 0)",
                    *(tenant.tenant_id.value, UUID(int=number), f"code {number}"),
                )
        return {f"postgresql:{name}": 3}

    async def traces(self, tenant: Tenant) -> Collection[str]:
        like = f"tenant_{tenant.tenant_id}\\_%"
        async with self._superuser() as connection:
            schemas = await connection.fetch(
                "SELECT format('schema %s of %s: %s', nspname, left(pg_get_userbyid(nspowner), -18), "
                "obj_description(oid)) FROM pg_namespace WHERE nspname LIKE $1",
                like,
            )
            relations = await connection.fetch(
                "SELECT format('%s %s.%s', c.relkind, n.nspname, c.relname) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE $1",
                like,
            )
            policies = await connection.fetch(
                "SELECT format('%s on %s.%s', policyname, schemaname, tablename) FROM pg_policies "
                "WHERE schemaname LIKE $1",
                like,
            )
            roles = await connection.fetch(
                "SELECT format('role %s: %s', left(rolname, -18), shobj_description(oid, 'pg_authid')) FROM pg_roles "
                "WHERE rolname LIKE $1",
                like,
            )
        return sorted(row[0] for row in (*schemas, *relations, *policies, *roles))

    @asynccontextmanager
    async def breaking_at(self, number: int) -> AsyncIterator[None]:
        connect, statements = self._admin.connect, itertools.count(1)

        async def connect_to_break(**login: Any) -> Any:
            return _Breaking(await connect(**login), statements, last=number - 1)

        with patch.object(self._admin, "connect", connect_to_break):
            yield

    @asynccontextmanager
    async def _superuser(self) -> AsyncIterator[Connection]:
        connection: Connection = await asyncpg.connect(self._dsn)
        try:
            yield connection
        finally:
            await connection.close()


class _Breaking:
    """A connection that ends when it is about to send one statement, as if the process had been killed there."""

    def __init__(self, connection: Connection, statements: Iterator[int], *, last: int) -> None:
        self._connection = connection
        self._statements = statements
        self._last = last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name not in ("execute", "fetch", "fetchrow", "fetchval"):
            return found

        async def send(*arguments: Any) -> Any:
            if next(self._statements) > self._last:
                self._connection.terminate()
                raise asyncpg.ConnectionDoesNotExistError("broken on purpose")
            return await found(*arguments)

        return send


class MongoLaboratory(Laboratory):
    """A server as its administrator sees it.

    Args:
        suffix: what the step's databases end in.
        collection: the collection that is in each.
    """

    def __init__(self, driver: AsyncMongoClient[dict[str, Any]], *, suffix: str, collection: str) -> None:
        self._driver = driver
        self._suffix = suffix
        self._collection = collection

    def database(self, tenant: Tenant) -> Any:
        """Return the database that the step makes for this tenant."""
        return self._driver[f"tenant_{tenant.tenant_id}_{self._suffix}"]

    async def occupy(self, tenant: Tenant) -> None:
        await self.database(tenant).precious.insert_one({"_id": 1, "worth": "a lot"})

    async def occupied(self, tenant: Tenant) -> Any:
        return await self.database(tenant).precious.find_one({}), await self.traces(tenant)

    async def fill(self, tenant: Tenant) -> Mapping[str, int]:
        database = self.database(tenant)
        documents = [
            {"_id": Binary(bytes([number])), "tenant_id": tenant.tenant_id.value, "code": f"code {number}"}
            for number in range(3)
        ]
        await database[self._collection].insert_many(documents)
        return {f"mongodb:{database.name}.{self._collection}": 3}

    async def traces(self, tenant: Tenant) -> Collection[str]:
        database, found = self.database(tenant), []
        for listed in await (await database.list_collections()).to_list():
            name, options = listed["name"], listed.get("options", {})
            indexes = await (await database[name].list_indexes()).to_list()
            marks = [(each["_id"], each["tenant_id"]) async for each in database.prismicx_owner.find()]
            found.append(f"{name}: {options.get('validator')} {sorted(index['name'] for index in indexes)} {marks}")
        return sorted(found)

    @asynccontextmanager
    async def breaking_at(self, number: int) -> AsyncIterator[None]:
        admin = self._driver.admin
        # A timeout: after a connection that closes, the driver waits for half a second.
        data = {"failCommands": list(_WRITES_AND_READS), "errorCode": 50}
        await admin.command({"configureFailPoint": "failCommand", "mode": {"skip": number - 1}, "data": data})
        try:
            yield
        finally:
            await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
