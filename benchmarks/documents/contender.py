"""What is asked of every contender on MongoDB: the same units of work of one tenant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from uuid import UUID

from benchmarks.units.customers import Customer, Order, Seen

from prismicx.domain.identifiers import TenantId

DATABASE = "benchmark"


class Contender(ABC):
    """A way of doing a tenant's units of work on MongoDB.

    Attributes:
        name: what the report calls it.
        lacks: the keys of the workloads that it has no unit for.
    """

    name: str
    lacks: frozenset[str] = frozenset()

    @abstractmethod
    async def open(self, uri: str) -> None:
        """Connect."""

    @abstractmethod
    async def close(self) -> None:
        """Give all connections back."""

    @abstractmethod
    async def get_by_id(self, tenant: TenantId, customer: UUID) -> Seen | None:
        """Read one customer by id."""

    @abstractmethod
    async def list_50(self, tenant: TenantId, number: int) -> list[Seen]:
        """Read fifty customers who came from a moment on, in the order of coming and of ids."""

    @abstractmethod
    async def insert_one(self, customer: Customer, tenant: TenantId) -> None:
        """Store a new customer."""

    @abstractmethod
    async def insert_many(self, tenant: TenantId, orders: Sequence[Order]) -> None:
        """Store many orders."""

    @abstractmethod
    async def update_three(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        """Change the scores of customers in one transaction, whatever they were."""

    @abstractmethod
    async def load_and_save(self, tenant: TenantId, scores: Mapping[UUID, int]) -> None:
        """Load customers, change their scores, and save all or none of them, unless somebody else has changed one."""
