"""prismicx itself, as the README shows it; and the same through its SQLAlchemy session."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from benchmarks.units.contender import CONNECTIONS, Contender
from benchmarks.units.customers import (
    MAPPINGS,
    Customer,
    Customers,
    Order,
    Orders,
    Seen,
    email,
    identity,
    moment,
)
from benchmarks.units.rows import CustomerRow, OrderRow, seen_of
from sqlalchemy import ColumnElement, select, tuple_

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyUnitOfWork
from prismicx.domain.cursors import Cursor
from prismicx.domain.identifiers import TenantId
from prismicx.domain.pages import PageQuery
from prismicx.domain.specification import Order as Ordering
from prismicx.domain.specification import as_specification, asc

IN_ORDER: tuple[Ordering, ...] = (asc(Customer.created_at), asc(Customer.id))


class Prismicx(Contender):
    """Repositories in a unit of work."""

    name = "prismicx"

    async def open(self, dsn: str) -> None:
        client = DatabaseClient.from_dsn(dsn, min_pool_size=CONNECTIONS, max_pool_size=CONNECTIONS)
        self._backend = SqlAlchemyBackend(client, MAPPINGS)
        self._cursors: dict[tuple[TenantId, int], Cursor] = {}
        await self._backend.start()

    async def close(self) -> None:
        await self._backend.close()

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self._backend.unit_of_work(tenant) as uow:
            found = await uow.repository(Customers).find(customer)
            await uow.commit()
        return None if found is None else _seen(found)

    async def single_read(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self._backend.read(tenant) as scope:
            found = await scope.repository(Customers).find(customer)
        return None if found is None else _seen(found)

    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        async with self._backend.unit_of_work(tenant) as uow:
            found = await uow.repository(Customers).find_one(Customer.email == email(number))
            await uow.commit()
        return None if found is None else _seen(found)

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        async with self._backend.unit_of_work(tenant, read_only=True) as uow:
            found = await uow.repository(Customers).list(
                Customer.created_at >= moment(number), order_by=IN_ORDER, limit=50
            )
            await uow.commit()
        return [_seen(each) for each in found]

    async def page_50(self, tenant: TenantId, number: int) -> list[Seen]:
        async with self._backend.unit_of_work(tenant, read_only=True) as uow:
            customers = uow.repository(Customers)
            page = await customers.page(order_by=IN_ORDER, size=50, after=self._cursor(tenant, number))
            await uow.commit()
        return [_seen(each) for each in page.items]

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            uow.repository(Customers).add(customer)
            await uow.commit()

    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            (await uow.repository(Customers).get(identity(tenant, number))).score = score
            await uow.commit()

    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        async with self._backend.unit_of_work(tenant) as uow:
            written = await uow.repository(Customers).upsert(customer, on=Customer.email)
            await uow.commit()
        return _seen(written)

    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            (await uow.repository(Customers).get(identity(tenant, number))).score = score
            uow.repository(Orders).add_many(orders)
            await uow.commit()

    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self._backend.unit_of_work(tenant) as uow:
            uow.repository(Orders).add_many(orders)
            await uow.commit()

    async def stream(self, tenant: TenantId) -> int:
        found = 0
        async with self._backend.unit_of_work(tenant, read_only=True) as uow:
            async for _ in uow.repository(Customers).stream():
                found += 1
            await uow.commit()
        return found

    def _cursor(self, tenant: TenantId, number: int) -> Cursor:
        """Return what the page before would have given; a service has it from there."""
        known = self._cursors.get((tenant, number))
        if known is None:
            query = PageQuery(str(tenant), Customer, as_specification(None), IN_ORDER, self._backend.cursor_keys)
            known = query.cursor((moment(number), identity(tenant, number)), "after")
            self._cursors[tenant, number] = known
        return known


class PrismicxSession(Contender):
    """The team's own ORM statements, on the session of a unit of work."""

    name = "prismicx, ORM session"
    lacks = frozenset({"single", "stream"})

    async def open(self, dsn: str) -> None:
        client = DatabaseClient.from_dsn(dsn, min_pool_size=CONNECTIONS, max_pool_size=CONNECTIONS)
        self._backend = SqlAlchemyBackend(client, MAPPINGS, tables={Customer: CustomerRow, Order: OrderRow})
        await self._backend.start()

    async def close(self) -> None:
        await self._backend.close()

    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        async with self._unit(tenant) as uow:
            found = await uow.session.get(CustomerRow, (tenant.value, customer))
            answer = None if found is None else seen_of(found)
            await uow.commit()
        return answer

    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        async with self._unit(tenant) as uow:
            found = await uow.session.scalar(select(CustomerRow).where(CustomerRow.email == email(number)))
            answer = None if found is None else seen_of(found)
            await uow.commit()
        return answer

    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        return await self._fifty(tenant, CustomerRow.created_at >= moment(number))

    async def page_50(self, tenant: TenantId, number: int) -> list[Seen]:
        behind = tuple_(CustomerRow.created_at, CustomerRow.id) > (moment(number), identity(tenant, number))
        return await self._fifty(tenant, behind)

    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        async with self._unit(tenant) as uow:
            uow.session.add(CustomerRow.of(customer, tenant))
            await uow.commit()

    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        async with self._unit(tenant) as uow:
            found = await uow.session.get_one(CustomerRow, (tenant.value, identity(tenant, number)))
            found.score = score
            await uow.commit()

    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        async with self._unit(tenant) as uow:
            answer = seen_of((await uow.session.scalars(CustomerRow.upsert(customer, tenant))).one())
            await uow.commit()
        return answer

    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        async with self._unit(tenant) as uow:
            found = await uow.session.get_one(CustomerRow, (tenant.value, identity(tenant, number)))
            found.score = score
            uow.session.add_all([OrderRow.of(order, tenant) for order in orders])
            await uow.commit()

    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        async with self._unit(tenant) as uow:
            uow.session.add_all([OrderRow.of(order, tenant) for order in orders])
            await uow.commit()

    async def stream(self, tenant: TenantId) -> int:
        raise NotImplementedError(f"{self.name} lacks it")

    async def _fifty(self, tenant: TenantId, criterion: ColumnElement[bool]) -> list[Seen]:
        statement = select(CustomerRow).where(criterion).order_by(CustomerRow.created_at, CustomerRow.id).limit(50)
        async with self._unit(tenant) as uow:
            answer = [seen_of(each) for each in await uow.session.scalars(statement)]
            await uow.commit()
        return answer

    def _unit(self, tenant: TenantId) -> SqlAlchemyUnitOfWork:
        uow = self._backend.unit_of_work(tenant)
        assert isinstance(uow, SqlAlchemyUnitOfWork)
        return uow


def _seen(found: Customer) -> Seen:
    return found.id, found.email, found.name, found.status, found.score, found.created_at
