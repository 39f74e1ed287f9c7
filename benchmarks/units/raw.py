"""The limit: asyncpg by hand, three round trips a unit, a fair pool without ping and reset."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from benchmarks.units.contender import CONNECTIONS, Contender
from benchmarks.units.customers import Customer, Order, Seen, email, identity, moment

from prismicx.domain.identifiers import TenantId

IN_ORDER = "ORDER BY created_at, id"
COLUMNS = "id, version, email, name, status, score, created_at"


class RawAsyncpg(Contender):
    """What anybody could do who has the time."""

    name = "raw asyncpg"

    async def open(self, dsn: str) -> None:
        self._idle = [await asyncpg.connect(dsn) for _ in range(CONNECTIONS)]
        self._waiting: deque[asyncio.Future[Any]] = deque()

    async def close(self) -> None:
        for connection in self._idle:
            await connection.close()

    @asynccontextmanager
    async def unit(self, tenant: TenantId) -> AsyncIterator[Any]:
        """Lend a connection in a transaction of this tenant."""
        if self._idle:
            connection = self._idle.pop()
        else:
            turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            connection = await turn
        try:
            await connection.execute(f"BEGIN; SELECT prismicx.set_tenant('{tenant.value}')")
            yield connection
            await connection.execute("COMMIT")
        finally:
            if self._waiting:
                self._waiting.popleft().set_result(connection)
            else:
                self._idle.append(connection)

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        sql = f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 AND id = $2"
        async with self.unit(tenant) as connection:
            return _seen(await connection.fetchrow(sql, tenant.value, customer))

    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        sql = f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 AND email = $2"
        async with self.unit(tenant) as connection:
            return _seen(await connection.fetchrow(sql, tenant.value, email(number)))

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        sql = f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 AND created_at >= $2 {IN_ORDER} LIMIT 50"
        async with self.unit(tenant) as connection:
            return [_row(row) for row in await connection.fetch(sql, tenant.value, moment(number))]

    async def page_50(self, tenant: TenantId, number: int) -> list[Seen]:
        sql = (
            f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) "
            "ORDER BY created_at, id LIMIT 51"
        )
        async with self.unit(tenant) as connection:
            rows = await connection.fetch(sql, tenant.value, moment(number), identity(tenant, number))
            return [_row(row) for row in rows[:50]]

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        sql = f"INSERT INTO customers (tenant_id, {COLUMNS}) VALUES ($1, $2, 1, $3, $4, $5, $6, $7)"
        async with self.unit(tenant) as connection:
            await connection.execute(
                sql,
                tenant.value,
                customer.id,
                customer.email,
                customer.name,
                customer.status,
                customer.score,
                customer.created_at,
            )

    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        async with self.unit(tenant) as connection:
            await self._change(connection, tenant, number, score)

    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        sql = (
            f"INSERT INTO customers (tenant_id, {COLUMNS}) VALUES ($1, $2, 1, $3, $4, $5, $6, $7) "
            "ON CONFLICT (tenant_id, email) DO UPDATE SET name = excluded.name, status = excluded.status, "
            "score = excluded.score, created_at = excluded.created_at, version = customers.version + 1 "
            f"RETURNING {COLUMNS}"
        )
        async with self.unit(tenant) as connection:
            return _row(
                await connection.fetchrow(
                    sql,
                    tenant.value,
                    customer.id,
                    customer.email,
                    customer.name,
                    customer.status,
                    customer.score,
                    customer.created_at,
                )
            )

    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as connection:
            await self._change(connection, tenant, number, score)
            await self._insert(connection, tenant, orders)

    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as connection:
            await self._insert(connection, tenant, orders)

    async def stream(self, tenant: TenantId) -> int:
        sql = f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 ORDER BY id"
        found = 0
        async with self.unit(tenant) as connection:
            cursor = await connection.cursor(sql, tenant.value)
            while rows := await cursor.fetch(1000):
                found += len([_row(row) for row in rows])
        return found

    async def _change(self, connection: Any, tenant: TenantId, number: int, score: int) -> None:
        load = f"SELECT {COLUMNS} FROM customers WHERE tenant_id = $1 AND id = $2"
        save = (
            "UPDATE customers SET score = $4, version = version + 1 WHERE tenant_id = $1 AND id = $2 AND version = $3 "
            "RETURNING id"
        )
        row = await connection.fetchrow(load, tenant.value, identity(tenant, number))
        assert await connection.fetch(save, tenant.value, row["id"], row["version"], score)

    async def _insert(self, connection: Any, tenant: TenantId, orders: Sequence[Order]) -> None:
        sql = (
            "INSERT INTO orders (tenant_id, id, version, customer_id, amount) "
            "SELECT $1, new.id, 1, new.customer_id, new.amount "
            "FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS new (id, customer_id, amount) RETURNING id"
        )
        ids, customers = [order.id for order in orders], [order.customer_id for order in orders]
        assert len(await connection.fetch(sql, tenant.value, ids, customers, [order.amount for order in orders]))


def _seen(row: Any) -> Seen | None:
    return None if row is None else _row(row)


def _row(row: Any) -> Seen:
    return row["id"], row["email"], row["name"], row["status"], row["score"], row["created_at"]
