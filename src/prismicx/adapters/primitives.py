"""What a backend supplies to the life of its units of work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from prismicx.adapters.change_set import Additions, Changes, Removal, Update
from prismicx.domain.errors import UnsupportedOperationError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import RecordedEvent
from prismicx.domain.placement import EntityMapping


class Primitives(ABC):
    """The few things that each backend does in its own way; `TrackedUnitOfWork` says when."""

    @abstractmethod
    async def _begin(self) -> None:
        """Make ready; nothing is open afterwards if it raises."""

    @abstractmethod
    async def _insert(self, mapping: EntityMapping, entities: Additions) -> None:
        """Store new aggregates of one kind under version 1, in one statement."""

    @abstractmethod
    async def _update(self, mapping: EntityMapping, updates: Sequence[Update]) -> None:
        """Store changed attributes of one kind under the next version, or raise `ConcurrencyError`."""

    @abstractmethod
    async def _remove(self, mapping: EntityMapping, removals: Sequence[Removal]) -> None:
        """Delete aggregates of one kind, or raise `ConcurrencyError`."""

    @abstractmethod
    async def _commit(self) -> None:
        """Make everything last and give the connection back."""

    @abstractmethod
    async def _rollback(self) -> None:
        """Discard everything and give the connection back; without effect where that has happened."""

    async def _store_events(self, tenant: TenantId | None, events: Sequence[RecordedEvent]) -> None:
        """Add events to the tenant's outbox, after all that units committed before; never asked without an outbox."""
        raise UnsupportedOperationError("an outbox", type(self).__name__)

    async def _announce(self, tenants: Sequence[TenantId]) -> None:  # noqa: B027 -- most backends are no registry
        """Count the registry's revision up for these tenants, in this transaction, before they are written.

        Without any it is for nobody knows whom, so that everybody reads everything. Until the transaction ends nobody
        else can count it up: revisions are in the order of commits. A backend without `registry_feed` leaves it alone.
        """

    def _expect(self, changes: Changes, *, last: bool) -> None:  # noqa: B027 -- most backends need not know
        """Take note of all that a flush is about to write, before the first of it is written; commit's is the last."""

    def _waited(self) -> float | None:
        """Return how many seconds it waited for a connection; `None` where the driver does not tell."""
        return None

    def _use(self, client: Any) -> None:  # noqa: B027 -- a backend without addresses has no others
        """Take the client of the tenant's own database in place of the backend's, before the unit begins."""

    def _database_savepoint(self) -> AbstractAsyncContextManager[None]:
        """Return a block whose writes the database takes back if it raises; backends without any leave this alone."""
        raise UnsupportedOperationError("savepoints", type(self).__name__)
