"""prismicx itself, as the README shows it, on MongoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from benchmarks.documents.contender import DATABASE, Contender
from benchmarks.units.customers import MAPPINGS, Customer, Customers, Order, Orders, Seen, moment
from benchmarks.units.product import IN_ORDER

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.domain.identifiers import TenantId


class Prismicx(Contender):
    """Repositories in a unit of work."""

    name = "prismicx"

    async def open(self, uri: str) -> None:
        self._backend = BeanieBackend(MongoDBClient(uri, DATABASE), MAPPINGS)
        await self._backend.start()

    async def close(self) -> None:
        await self._backend.close()

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self._backend.unit_of_work(tenant) as uow:
            found = await uow.repository(Customers).find(customer)
            await uow.commit()
        return None if found is None else _seen(found)

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        async with self._backend.unit_of_work(tenant, read_only=True) as uow:
            found = await uow.repository(Customers).list(
                Customer.created_at >= moment(number), order_by=IN_ORDER, limit=50
            )
            await uow.commit()
        return [_seen(each) for each in found]

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            uow.repository(Customers).add(customer)
            await uow.commit()

    async def insert_many(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            uow.repository(Orders).add_many(orders)
            await uow.commit()

    async def update_three(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            customers = uow.repository(Customers)
            for customer, score in scores.items():
                await customers.update_where(Customer.id == customer, score=score)
            await uow.commit()

    async def load_and_save(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            for customer, score in scores.items():
                (await uow.repository(Customers).get(customer)).score = score
            await uow.commit()


def _seen(found: Customer) -> Seen:
    return found.id, found.email, found.name, found.status, found.score, found.created_at
