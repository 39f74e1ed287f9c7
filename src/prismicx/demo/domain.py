"""What the reference service is about: people, customers, tasks and money of many tenants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from prismicx import AggregateRoot, DomainEvent, Repository, asc


class CustomerWon(DomainEvent):
    """A lead became a customer."""

    customer_id: UUID


class MoneyTransferred(DomainEvent):
    """Money went from one account to another."""

    source_id: UUID
    target_id: UUID
    amount: Decimal


class InsufficientFundsError(Exception):
    """The account holds less than is to be taken from it."""

    def __init__(self, account_id: UUID, balance: Decimal, amount: Decimal) -> None:
        super().__init__(f"account {account_id} holds {balance}, {amount} was asked for")
        self.account_id = account_id
        self.balance = balance
        self.amount = amount


class User(AggregateRoot):
    """Somebody who works with the service, on behalf of one tenant."""

    email: str
    name: str


class Customer(AggregateRoot):
    """A customer in the tenant's CRM."""

    email: str
    name: str
    status: Literal["lead", "won", "lost"] = "lead"

    def win(self) -> None:
        """The lead has signed."""
        self.status = "won"
        self.record(CustomerWon(customer_id=self.id))


class Note(AggregateRoot):
    """Something to remember about a customer; the CRM plugin has it from version 1.1.0 on."""

    customer_id: UUID
    text: str


class Topic(BaseModel):
    """Something a user cares about, and how much: from 0 to 1."""

    model_config = ConfigDict(frozen=True)

    name: str
    score: float = Field(ge=0, le=1)


class UserInsight(AggregateRoot):
    """What is known of one user's interests."""

    user_id: UUID
    topics: tuple[Topic, ...] = ()
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    def learn(self, topic: Topic) -> None:
        """Take in what was learned of one topic; it replaces what was known of it."""
        self.topics = (*(known for known in self.topics if known.name != topic.name), topic)
        self.updated_at = datetime.now(UTC)


class Task(AggregateRoot):
    """Something to be done."""

    title: str
    done: bool = False
    due: datetime | None = None


class Account(AggregateRoot):
    """Money of the tenant."""

    owner: str
    balance: Decimal = Decimal("0.00")

    def withdraw(self, amount: Decimal) -> None:
        """Take money out.

        Raises:
            InsufficientFundsError: there is not enough of it.
        """
        if amount > self.balance:
            raise InsufficientFundsError(self.id, self.balance, amount)
        self.balance -= amount

    def deposit(self, amount: Decimal) -> None:
        """Put money in."""
        self.balance += amount


class Category(AggregateRoot):
    """A label for the tenant's things."""

    code: str
    label: str


class UserRepository(Repository[User]):
    """The tenant's users."""

    async def by_email(self, email: str) -> User | None:
        """Return the user with this address."""
        return await self.find_one(User.email == email)


class CustomerRepository(Repository[Customer]):
    """The tenant's customers."""

    async def by_email(self, email: str) -> Customer | None:
        """Return the customer with this address."""
        return await self.find_one(Customer.email == email)

    async def won(self) -> list[Customer]:
        """Return those who have signed, by name."""
        return await self.list(Customer.status == "won", order_by=asc(Customer.name))


class NoteRepository(Repository[Note]):
    """The notes about the tenant's customers."""

    async def about(self, customer_id: UUID) -> list[Note]:
        """Return the notes about one customer, oldest first."""
        return await self.list(Note.customer_id == customer_id)


class UserInsightRepository(Repository[UserInsight]):
    """What is known of the tenant's users."""

    async def of_user(self, user_id: UUID) -> UserInsight | None:
        """Return what is known of one user."""
        return await self.find_one(UserInsight.user_id == user_id)


class TaskRepository(Repository[Task]):
    """The tenant's tasks."""

    async def open(self) -> list[Task]:
        """Return what is still to be done, the most urgent first, what has no date last."""
        return await self.list(Task.done == False, order_by=asc(Task.due))  # noqa: E712  # an expression


class AccountRepository(Repository[Account]):
    """The tenant's accounts."""

    async def total(self) -> Decimal:
        """Return the sum of all balances. Databases do this better: see `relational` and `documents`."""
        return sum([account.balance async for account in self.stream()], Decimal(0))


class CategoryRepository(Repository[Category]):
    """The tenant's categories."""

    async def coded(self, code: str) -> Category | None:
        """Return the category with this code."""
        return await self.find_one(Category.code == code)
