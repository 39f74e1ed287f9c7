"""What the reference service says in MongoDB's own language: a Beanie document, and a sum that the database adds up."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from prismicx.adapters.beanie import BeanieRepository, TenantDocument
from prismicx.demo.domain import Account, AccountRepository, Task


class TaskDocument(TenantDocument):
    """A task as a document. The framework finds that it fits `Task`, by the names of the attributes."""

    title: str
    done: bool = False
    due: datetime | None = None

    class Settings:
        """Beanie's own settings."""

        name = "tasks"


class BeanieAccountRepository(AccountRepository, BeanieRepository[Account]):
    """The tenant's accounts, with the sum left to the database."""

    async def total(self) -> Decimal:
        """Return the sum of all balances; the collection adds the tenant to the pipeline."""
        pipeline = [{"$group": {"_id": None, "total": {"$sum": "$balance"}}}]
        found = [group async for group in await self.collection.aggregate(pipeline)]
        return found[0]["total"].to_decimal() if found else Decimal(0)


DOCUMENT_CLASSES: Final = {Task: TaskDocument}
DOCUMENT_REPOSITORIES: Final = {AccountRepository: BeanieAccountRepository}
