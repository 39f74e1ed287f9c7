"""Attempts of one tenant's code to reach another's data: by the repository, in SQL, in MongoDB's language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prismicx import Backend, PermissionDeniedError, PrismicxError, TenantId, attribute
from prismicx.adapters.beanie.repository import BeanieRepository
from prismicx.adapters.sqlalchemy.repository import SqlAlchemyRepository
from prismicx.adapters.sqlalchemy.scope import raw_sql
from prismicx.demo.domain import Customer, CustomerRepository, Task, TaskRepository, UserRepository
from prismicx.demo.mappings import CRM
from prismicx.domain.identifiers import new_id, plugin_schema_name


class IsolationBrokenError(PrismicxError):
    """One tenant saw something of another: the one thing that must not happen."""


class RawCustomers(CustomerRepository, SqlAlchemyRepository[Customer]):
    """A repository whose author writes SQL by hand."""

    async def rows(self, statement: str) -> Sequence[object]:
        """Return what the statement finds, or what it says that it has written."""
        return (await self.session.execute(raw_sql(statement))).all()


class RawTasks(TaskRepository, BeanieRepository[Task]):
    """A repository whose author writes MongoDB filters by hand."""

    async def documents(self, wanted: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return what the filter finds."""
        return await self.collection.find(wanted).to_list()

    async def move_all(self, tenant: str) -> Sequence[object]:
        """Give every document to a tenant, and return as many things as were given away."""
        moved = await self.collection.update_many({}, {"$set": {"tenant_id": tenant}})
        return [tenant] * moved.modified_count


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried, and what came of it."""

    asked: str
    got: str


class Attacker:
    """Code that runs for one tenant and wants another's data.

    Args:
        relational: PostgreSQL.
        documents: MongoDB.
        tenant: whom it runs for.
        victim: whose data it wants.
    """

    def __init__(self, *, relational: Backend, documents: Backend, tenant: TenantId, victim: TenantId) -> None:
        self._relational = relational
        self._documents = documents
        self._tenant = tenant
        self._victim = victim

    async def attempts(self, user_id: UUID) -> list[Attempt]:
        """Try everything, and return what came of it.

        Args:
            user_id: of one of the victim's users.

        Raises:
            IsolationBrokenError: something was found, or written.
        """
        schema, other = plugin_schema_name(self._victim, CRM), self._victim.value
        by_schema = f'SELECT * FROM "{schema}".customers'  # noqa: S608  # injecting it is the point
        by_tenant = f"SELECT * FROM public.users WHERE tenant_id = '{other}'"  # noqa: S608  # likewise
        everything = f"SELECT * FROM public.accounts WHERE tenant_id <> '{self._tenant}'"  # noqa: S608  # likewise
        insert = (
            f"INSERT INTO public.users (tenant_id, id, version, email, name) "  # noqa: S608  # likewise
            f"VALUES ('{other}', '{new_id()}', 1, 'mallory@{other}.test', 'Mallory') RETURNING id"
        )
        not_null = {"$or": [{"tenant_id": {"$ne": None}}, {}]}
        return [
            await self._tried(f"repository: the user with an id of {other}", lambda: self._user(user_id)),
            await self._tried(f"repository: customers of {other}", self._customers),
            await self._tried(f"SQL: {by_schema}", lambda: self._sql(by_schema)),
            await self._tried(f"SQL: {by_tenant}", lambda: self._sql(by_tenant)),
            await self._tried(f"SQL: {everything}", lambda: self._sql(everything)),
            await self._tried(f"SQL: INSERT INTO public.users … '{other}'", lambda: self._sql(insert)),
            await self._tried(f'MongoDB: {{"tenant_id": "{other}"}}', lambda: self._mongo({"tenant_id": other})),
            await self._tried('MongoDB: {"$or": [{"tenant_id": {"$ne": null}}, {}]}', lambda: self._mongo(not_null)),
            await self._tried(f'MongoDB: {{"$set": {{"tenant_id": "{other}"}}}}', self._move),
        ]

    async def _tried(self, asked: str, action: Callable[[], Awaitable[Sequence[object]]]) -> Attempt:
        try:
            found = await action()
        except PrismicxError as refusal:
            return Attempt(asked, f"refused: {_reason(refusal)}")
        if found:
            raise IsolationBrokenError(f"{self._tenant} asked for {asked} and got {len(found)} of {self._victim}")
        return Attempt(asked, "nothing: 0 found")

    async def _user(self, user_id: UUID) -> Sequence[object]:
        async with self._relational.unit_of_work(self._tenant, read_only=True) as uow:
            return [await uow.repository(UserRepository).get(user_id)]

    async def _customers(self) -> Sequence[object]:
        async with self._relational.unit_of_work(self._tenant, read_only=True) as uow:
            of_victim = attribute(Customer.email).contains(f"@{self._victim}.test")
            return await uow.repository(CustomerRepository).list(of_victim)

    async def _sql(self, statement: str) -> Sequence[object]:
        async with self._relational.unit_of_work(self._tenant) as uow:
            return await uow.repository(RawCustomers).rows(statement)

    async def _mongo(self, wanted: Mapping[str, object]) -> Sequence[object]:
        async with self._documents.unit_of_work(self._tenant, read_only=True) as uow:
            found = await uow.repository(RawTasks).documents(wanted)
            own = {task.id for task in await uow.repository(TaskRepository).list()}
        return [task for task in found if task["_id"] not in own]

    async def _move(self) -> Sequence[object]:
        async with self._documents.unit_of_work(self._tenant) as uow:
            return await uow.repository(RawTasks).move_all(self._victim.value)


def _reason(refusal: PrismicxError) -> str:
    if isinstance(refusal, PermissionDeniedError):
        return "SQLSTATE 42501, row-level security"
    return type(refusal).__name__
