"""The use cases of the reference service. They know repositories and units of work, and no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from prismicx import Backend, TenantId, UnitOfWork
from prismicx.demo.domain import (
    Account,
    AccountRepository,
    Category,
    CategoryRepository,
    Customer,
    CustomerRepository,
    MoneyTransferred,
    Task,
    TaskRepository,
    Topic,
    User,
    UserInsight,
    UserInsightRepository,
    UserRepository,
)


class ReferenceService:
    """What a tenant's people can do.

    Args:
        relational: the backend of users, customers and accounts.
        documents: the backend of tasks, categories and insights; it may be the same one.
    """

    def __init__(self, *, relational: Backend, documents: Backend) -> None:
        self._relational = relational
        self._documents = documents

    async def register_user(self, tenant: TenantId, *, email: str, name: str) -> UUID:
        """Add a user and return its id.

        Raises:
            DuplicateEntityError: the tenant has a user with this address.
        """
        async with self._relational.unit_of_work(tenant) as uow:
            user = User(email=email, name=name)
            uow.repository(UserRepository).add(user)
            await uow.commit()
        return user.id

    async def user_by_id(self, tenant: TenantId, user_id: UUID) -> User:
        """Return one user.

        Raises:
            EntityNotFoundError: the tenant has no such user.
        """
        async with self._relational.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(UserRepository).get(user_id)

    async def add_customers(self, tenant: TenantId, customers: Sequence[Customer]) -> None:
        """Add customers to the CRM, all or none.

        Raises:
            DuplicateEntityError: the tenant has a customer with one of the addresses.
        """
        async with self._relational.unit_of_work(tenant) as uow:
            uow.repository(CustomerRepository).add_many(customers)
            await uow.commit()

    async def crm_customer(self, tenant: TenantId, customer_id: UUID) -> Customer | None:
        """Return one customer of the CRM."""
        async with self._relational.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(CustomerRepository).find(customer_id)

    async def win_customer(self, tenant: TenantId, email: str) -> Customer | None:
        """Note that a lead has signed; return the customer, or `None` where there is no such lead."""
        async with self._relational.unit_of_work(tenant) as uow:
            customer = await uow.repository(CustomerRepository).by_email(email)
            if customer is not None:
                customer.win()
            await uow.commit()
        return customer

    async def won_customers(self, tenant: TenantId) -> list[Customer]:
        """Return those who have signed, by name."""
        async with self._relational.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(CustomerRepository).won()

    async def learn(self, tenant: TenantId, user_id: UUID, topic: Topic) -> None:
        """Take in what was learned of a user's interest; tried again when somebody else learned at the same time."""

        async def work(uow: UnitOfWork) -> None:
            insights = uow.repository(UserInsightRepository)
            insight = await insights.of_user(user_id)
            if insight is None:
                insight = UserInsight(user_id=user_id)
                insights.add(insight)
            insight.learn(topic)

        await self._documents.run(tenant, work)

    async def user_insights(self, tenant: TenantId, user_id: UUID) -> UserInsight | None:
        """Return what is known of one user."""
        async with self._documents.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(UserInsightRepository).of_user(user_id)

    async def add_tasks(self, tenant: TenantId, tasks: Sequence[Task]) -> None:
        """Add tasks, all or none."""
        async with self._documents.unit_of_work(tenant) as uow:
            uow.repository(TaskRepository).add_many(tasks)
            await uow.commit()

    async def tenant_tasks(self, tenant: TenantId) -> list[Task]:
        """Return every open task, the most urgent first: all of them, not the first hundred."""
        async with self._documents.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(TaskRepository).open()

    async def open_account(self, tenant: TenantId, *, owner: str, balance: Decimal) -> UUID:
        """Open an account and return its id."""
        async with self._relational.unit_of_work(tenant) as uow:
            account = Account(owner=owner, balance=balance)
            uow.repository(AccountRepository).add(account)
            await uow.commit()
        return account.id

    async def transfer(self, tenant: TenantId, *, source: UUID, target: UUID, amount: Decimal) -> None:
        """Move money between two accounts of the tenant, wholly or not at all; tried again on conflicts.

        Raises:
            EntityNotFoundError: the tenant has no such account.
            InsufficientFundsError: the source does not hold the amount.
        """

        async def work(uow: UnitOfWork) -> None:
            accounts = uow.repository(AccountRepository)
            giving, taking = await accounts.get(source), await accounts.get(target)
            giving.withdraw(amount)
            taking.deposit(amount)
            giving.record(MoneyTransferred(source_id=source, target_id=target, amount=amount))

        await self._relational.run(tenant, work)

    async def money(self, tenant: TenantId) -> Decimal:
        """Return the sum of the tenant's accounts."""
        async with self._relational.unit_of_work(tenant, read_only=True) as uow:
            return await uow.repository(AccountRepository).total()

    async def update_categories(self, tenant: TenantId, labels: Mapping[str, str]) -> None:
        """Give categories these labels, by code, all or none; a code that is new becomes a category."""
        async with self._documents.unit_of_work(tenant) as uow:
            categories = uow.repository(CategoryRepository)
            for code, label in labels.items():
                category = await categories.coded(code)
                if category is None:
                    categories.add(Category(code=code, label=label))
                else:
                    category.label = label
            await uow.commit()

    async def categories(self, tenant: TenantId) -> dict[str, str]:
        """Return the labels of the tenant's categories by code."""
        async with self._documents.unit_of_work(tenant, read_only=True) as uow:
            return {category.code: category.label for category in await uow.repository(CategoryRepository).list()}
