"""A small service that keeps its data in MongoDB: tasks that tenants share a collection for, insights in their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from pymongo import MongoClient, monitoring

from prismicx.adapters.beanie import BeanieRepository, TenantDocument
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.placement import EntityMapping, Shared, TenantDatabase, TenantSchema
from prismicx.domain.ports import Repository
from prismicx.domain.tenancy import DatabaseConfig, Tenant

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
CRM = PluginType("crm")


class Task(AggregateRoot):
    title: str
    owner: str | None = None
    due: date | None = None
    budget: Decimal = Decimal("0.00")
    done_at: datetime | None = None
    tags: list[str | None] | None = None


class Note(AggregateRoot):
    """Another kind, so that one unit writes two."""

    text: str
    task: UUID | None = None


class Topic(BaseModel):
    name: str
    weight: float = 1.0


class UserInsight(AggregateRoot):
    user_id: str
    topics: list[Topic] = Field(default_factory=list)
    updated_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Contact(AggregateRoot):
    email: str


class TaskDocument(TenantDocument):
    title: str
    owner: str | None = None
    due: date | None = None
    budget: Decimal = Decimal("0.00")
    done_at: datetime | None = None
    tags: list[str | None] | None = None

    class Settings:
        name = "tasks"


MAPPINGS = (
    EntityMapping(Task, "tasks", Shared(), unique=[["title"], ["owner", "due"]], indexes=[["done_at"]]),
    EntityMapping(Note, "notes", Shared()),
    EntityMapping(
        UserInsight, "user_insights", TenantDatabase(), unique=[["user_id"]], indexes=[["topics.name"], ["updated_at"]]
    ),
    EntityMapping(Contact, "contacts", TenantSchema(CRM), unique=[["email"]]),
)


class Tasks(Repository[Task]):
    pass


class Notes(Repository[Note]):
    pass


class Insights(Repository[UserInsight]):
    pass


class Contacts(Repository[Contact]):
    pass


class MongoTasks(Tasks, BeanieRepository[Task]):
    """The team's own class, with queries in MongoDB's language."""

    async def titled(self, *titles: str) -> list[Task]:
        return await self.entities({"title": {"$in": list(titles)}}, sort=[("title", -1)], limit=10)

    async def owners(self) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = [{"$group": {"_id": "$owner", "tasks": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
        return [row async for row in await self.collection.aggregate(stages)]

    async def hand_over(self, owner: str) -> int:
        return (await self.collection.update_many({"owner": None}, {"$set": {"owner": owner}})).modified_count


def tenant(tenant_id: TenantId) -> Tenant:
    """Return a tenant as the registry has it."""
    return Tenant.register(
        tenant_id,
        name=str(tenant_id),
        region=Region("eu-central-1"),
        tier=Tier("standard"),
        database_config=DatabaseConfig.of(tenant_id, connection="mongodb"),
        plugin_types=(CRM,),
        steps=(),
    )


class Commands(monitoring.CommandListener):
    """The commands that drivers of this process have sent, by name and in order."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.quiet = frozenset(("hello", "ping", "buildInfo", "endSessions", "killCursors"))
        self._changed = asyncio.Event()

    async def wait_for(self, command: str) -> None:
        """Return once this command has been sent."""
        while command not in self.sent:
            self._changed.clear()
            await self._changed.wait()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in self.quiet:
            self.sent.append(event.command_name)
            self.bodies.append(dict(event.command))
            self._changed.set()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Only what was sent counts."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Only what was sent counts."""

    def forget(self) -> None:
        self.sent.clear()
        self.bodies.clear()


class Faults:
    """The server's fail points: `with faults("commitTransaction", closeConnection=True):`."""

    def __init__(self, server: MongoClient[dict[str, Any]]) -> None:
        self._server = server

    @contextmanager
    def __call__(self, *commands: str, times: int = 1, **data: Any) -> Iterator[None]:
        admin = self._server.admin
        body = {"failCommands": list(commands), **data}
        admin.command({"configureFailPoint": "failCommand", "mode": {"times": times}, "data": body})
        try:
            yield
        finally:
            admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def drained(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]
