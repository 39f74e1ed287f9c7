"""SQLAlchemy as a careful team writes it: one AsyncSession a unit, the tenant set first and named in each statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from benchmarks.units.contender import CONNECTIONS, Contender
from benchmarks.units.customers import Customer, Order, Seen, email, identity, moment
from benchmarks.units.rows import CustomerRow, OrderRow, seen_of
from sqlalchemy import ColumnElement, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from prismicx.domain.identifiers import TenantId

SET_TENANT = text("SELECT prismicx.set_tenant(:tenant)")


class HandwrittenSqlAlchemy(Contender):
    """The ORM session by hand."""

    name = "SQLAlchemy by hand"

    async def open(self, dsn: str) -> None:
        address = dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        self._engine = create_async_engine(address, pool_size=CONNECTIONS, max_overflow=0)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def unit(self, tenant: TenantId) -> AsyncIterator[AsyncSession]:
        """Lend a session in a transaction of this tenant."""
        async with self._sessions() as session, session.begin():
            await session.execute(SET_TENANT, {"tenant": tenant.value})
            yield session

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self.unit(tenant) as session:
            found = await session.get(CustomerRow, (tenant.value, customer))
        return None if found is None else seen_of(found)

    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        statement = select(CustomerRow).where(CustomerRow.tenant_id == tenant.value, CustomerRow.email == email(number))
        async with self.unit(tenant) as session:
            found = await session.scalar(statement)
        return None if found is None else seen_of(found)

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        return await self._fifty(tenant, CustomerRow.created_at >= moment(number))

    async def page_50(self, tenant: TenantId, number: int) -> list[Seen]:
        behind = tuple_(CustomerRow.created_at, CustomerRow.id) > (moment(number), identity(tenant, number))
        return await self._fifty(tenant, behind)

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        async with self.unit(tenant) as session:
            session.add(CustomerRow.of(customer, tenant))

    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        async with self.unit(tenant) as session:
            found = await session.get_one(CustomerRow, (tenant.value, identity(tenant, number)))
            found.score = score

    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        async with self.unit(tenant) as session:
            return seen_of((await session.scalars(CustomerRow.upsert(customer, tenant))).one())

    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as session:
            found = await session.get_one(CustomerRow, (tenant.value, identity(tenant, number)))
            found.score = score
            session.add_all([OrderRow.of(order, tenant) for order in orders])

    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as session:
            session.add_all([OrderRow.of(order, tenant) for order in orders])

    async def stream(self, tenant: TenantId) -> int:
        statement = select(CustomerRow).where(CustomerRow.tenant_id == tenant.value).order_by(CustomerRow.id)
        found = 0
        async with self.unit(tenant) as session:
            async for _ in await session.stream_scalars(statement.execution_options(yield_per=1000)):
                found += 1
        return found

    async def _fifty(self, tenant: TenantId, criterion: ColumnElement[bool]) -> list[Seen]:
        statement = (
            select(CustomerRow)
            .where(CustomerRow.tenant_id == tenant.value, criterion)
            .order_by(CustomerRow.created_at, CustomerRow.id)
            .limit(50)
        )
        async with self.unit(tenant) as session:
            return [seen_of(found) for found in await session.scalars(statement)]
