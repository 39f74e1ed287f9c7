"""advanced-alchemy, the best-known repository library over SQLAlchemy, on the hand-written contender's sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from benchmarks.units.customers import Customer, Order, Seen, email, identity
from benchmarks.units.handwritten import HandwrittenSqlAlchemy
from benchmarks.units.rows import CustomerRow, OrderRow, seen_of
from sqlalchemy import ColumnElement

from prismicx.domain.identifiers import TenantId


class CustomerRows(SQLAlchemyAsyncRepository[Any]):
    """Its repository of customers."""

    model_type = CustomerRow


class OrderRows(SQLAlchemyAsyncRepository[Any]):
    """Its repository of orders."""

    model_type = OrderRow


class AdvancedAlchemy(HandwrittenSqlAlchemy):
    """Its repositories, with its own defaults."""

    name = "advanced-alchemy"

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self.unit(tenant) as session:
            found = await CustomerRows(session=session).get_one_or_none(tenant_id=tenant.value, id=customer)
        return None if found is None else seen_of(found)

    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        async with self.unit(tenant) as session:
            found = await CustomerRows(session=session).get_one_or_none(tenant_id=tenant.value, email=email(number))
        return None if found is None else seen_of(found)

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        async with self.unit(tenant) as session:
            await CustomerRows(session=session).add(CustomerRow.of(customer, tenant))

    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        async with self.unit(tenant) as session:
            await self._change(CustomerRows(session=session), tenant, number, score)

    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        async with self.unit(tenant) as session:
            row = CustomerRow.of(customer, tenant)
            return seen_of(await CustomerRows(session=session).upsert(row, match_fields=["tenant_id", "email"]))

    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as session:
            await self._change(CustomerRows(session=session), tenant, number, score)
            await OrderRows(session=session).add_many([OrderRow.of(order, tenant) for order in orders])

    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self.unit(tenant) as session:
            await OrderRows(session=session).add_many([OrderRow.of(order, tenant) for order in orders])

    async def _change(self, customers: CustomerRows, tenant: TenantId, number: int, score: int) -> None:
        found = await customers.get_one(tenant_id=tenant.value, id=identity(tenant, number))
        found.score = score
        await customers.session.flush()

    async def _fifty(self, tenant: TenantId, criterion: ColumnElement[bool]) -> list[Seen]:
        async with self.unit(tenant) as session:
            found = await CustomerRows(session=session).list(
                CustomerRow.tenant_id == tenant.value,
                criterion,
                LimitOffset(50, 0),
                OrderBy("created_at"),
                OrderBy("id"),
            )
        return [seen_of(each) for each in found]
