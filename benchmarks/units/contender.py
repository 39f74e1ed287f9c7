"""What is asked of every contender: the same units of work, each in one transaction of one tenant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID

from benchmarks.units.customers import Customer, Order, Seen

from prismicx.domain.identifiers import TenantId

CONNECTIONS = 10


class Contender(ABC):
    """A way of doing a tenant's units of work on PostgreSQL.

    Attributes:
        name: what the report calls it.
        lacks: the keys of the workloads that it has no unit for.
    """

    name: str
    lacks: frozenset[str] = frozenset()

    @abstractmethod
    async def open(self, dsn: str) -> None:
        """Connect as the application's role, with at most `CONNECTIONS` connections."""

    @abstractmethod
    async def close(self) -> None:
        """Give all connections back."""

    @abstractmethod
    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        """Read one customer by id."""

    async def single_read(self, tenant: TenantId, customer: UUID) -> Seen | None:
        """Read one customer by id, and nothing else: in a unit, unless the contender has another way for it."""
        return await self.get_by_id(tenant, customer)

    @abstractmethod
    async def get_by_key(self, tenant: TenantId, number: int) -> Seen | None:
        """Read one customer by email."""

    @abstractmethod
    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        """Read fifty customers who came from a moment on, in the order of coming."""

    @abstractmethod
    async def page_50(self, tenant: TenantId, number: int) -> list[Seen]:
        """Read the fifty customers behind one, in the order of coming and of ids."""

    @abstractmethod
    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        """Store a new customer."""

    @abstractmethod
    async def update_one(self, tenant: TenantId, number: int, score: int) -> None:
        """Load a customer, change the score, and save it unless somebody else has."""

    @abstractmethod
    async def upsert(self, customer: Customer, tenant: TenantId) -> Seen:
        """Store a customer, or put what is new into the one of the same email; read what is stored then."""

    @abstractmethod
    async def mixed(self, tenant: TenantId, number: int, score: int, orders: Sequence[Order]) -> None:
        """Load a customer, change the score, and store orders."""

    @abstractmethod
    async def bulk(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        """Store many orders."""

    @abstractmethod
    async def stream(self, tenant: TenantId) -> int:
        """Read all customers, a batch at a time, and return how many there were."""
