"""What every contender stores and answers: customers with orders, of a hundred tenants and one large one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import Repository

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
LARGE: Final = TenantId("tenant-large")


class Customer(AggregateRoot):
    """Seven columns, with the tenant."""

    email: str
    name: str
    status: str
    score: int
    created_at: datetime


class Order(AggregateRoot):
    """A customer's child."""

    customer_id: UUID
    amount: int


class Customers(Repository[Customer]):
    """Of one tenant."""


class Orders(Repository[Order]):
    """Of one tenant."""


MAPPINGS: Final = (
    EntityMapping(Customer, "customers", unique=[["email"]], indexes=[["created_at", "id"]]),
    EntityMapping(Order, "orders"),
)


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is stored and asked for."""

    tenants: int
    rows: int
    large: int
    bulk: int

    @property
    def names(self) -> list[TenantId]:
        """The tenants, without the large one."""
        return [TenantId(f"tenant-{number:04}") for number in range(self.tenants)]


FULL: Final = Amounts(tenants=100, rows=1000, large=50_000, bulk=10_000)
QUICK: Final = Amounts(tenants=20, rows=500, large=20_000, bulk=5_000)


def identity(tenant: TenantId, number: int) -> UUID:
    """Return the id of a tenant's customer, a UUID of version 7 in which time goes with the number."""
    milliseconds = int(BEGINNING.timestamp() * 1000) + number
    spread = hash_of(tenant.value)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | (spread << 20) | number)


def hash_of(text: str) -> int:
    """Return 40 bits that differ from tenant to tenant, in every process the same."""
    value = 0
    for character in text:
        value = (value * 131 + ord(character)) & 0xFFFFFFFFFF
    return value


def moment(number: int) -> datetime:
    """Return when a tenant's customer of this number came."""
    return BEGINNING + timedelta(seconds=number)


def email(number: int) -> str:
    """Return the address of a tenant's customer of this number."""
    return f"customer-{number}@example.test"


def customer(tenant: TenantId, number: int) -> Customer:
    """Return what is stored under a number."""
    return Customer(
        id=identity(tenant, number),
        email=email(number),
        name=f"Customer {number}",
        status="won" if number % 3 else "lead",
        score=number % 100,
        created_at=moment(number),
    )


Seen = tuple[UUID, str, str, str, int, datetime]
"""A customer as every contender's answer is compared: id, email, name, status, score, created_at."""


def seen(tenant: TenantId, number: int) -> Seen:
    """Return the right answer for a number, whose score may have been changed by an update."""
    known = customer(tenant, number)
    return known.id, known.email, known.name, known.status, known.score, known.created_at
