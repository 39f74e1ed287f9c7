"""The life of a unit of work: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from prismicx.adapters import open_units
from prismicx.adapters.repository import TrackedRepository, compose, entity_of
from prismicx.adapters.tracking import Changes, Removal, Tracker, Update
from prismicx.domain.entity import AggregateRoot, stamp
from prismicx.domain.errors import (
    CrossTenantError,
    NotMappedError,
    ReadOnlyUnitOfWorkError,
    TransactionControlError,
    UnitOfWorkClosedError,
    UnitOfWorkSharedError,
    UnsupportedOperationError,
)
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference
from prismicx.domain.ports import EventHandler, RepositoryT, TenantAdmission, UnitOfWork

ResultT = TypeVar("ResultT")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all units of one backend share: mappings (parents before children), repositories, and the doors."""

    mappings: Mapping[type[AggregateRoot], EntityMapping]
    repository_class: type[TrackedRepository[Any]]
    repositories: Mapping[type[Any], type[Any]]
    admission: TenantAdmission | None
    on_commit: EventHandler | None


class TrackedUnitOfWork(UnitOfWork):
    """A unit of work with identity map, change tracking and ownership by one task.

    An error of the database breaks the unit, on every backend alike: nothing more can be done in it but leave the
    savepoint that the error happened in, or the unit.
    """

    def __init__(self, tenant: TenantId | None, *, read_only: bool, wiring: Wiring) -> None:
        self._tenant = tenant
        self._wiring = wiring
        self._state = "not entered"
        self._owner: asyncio.Task[Any] | None = None
        self._savepoints = 0
        self._repositories: dict[Any, TrackedRepository[Any]] = {}
        self.read_only = read_only
        self.tracker = Tracker()

    # --- What a backend supplies. ---

    @abstractmethod
    async def _begin(self) -> None:
        """Make ready; nothing is open afterwards if it raises."""

    @abstractmethod
    async def _insert(self, mapping: EntityMapping, entities: Sequence[AggregateRoot]) -> None:
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

    def _expect(self, changes: Changes) -> None:  # most backends need not know
        """Take note of all that a flush is about to write, before the first of it is written."""

    def _database_savepoint(self) -> AbstractAsyncContextManager[None]:
        """Return a block whose writes the database takes back if it raises; backends without any leave this alone."""
        raise UnsupportedOperationError("savepoints", type(self).__name__)

    # --- What repositories ask of their unit. ---

    def require_open(self) -> None:
        """Return if the unit can be used, here and now.

        Raises:
            UnitOfWorkClosedError: it has not begun, has ended, or was broken by an error.
            UnitOfWorkSharedError: another task opened it.
        """
        if self._state != "open":
            raise UnitOfWorkClosedError(self._state)
        if asyncio.current_task() is not self._owner:
            raise UnitOfWorkSharedError

    def require_writable(self, operation: str) -> None:
        """Return if the unit is open and may write.

        Raises:
            ReadOnlyUnitOfWorkError: it was opened read-only.
        """
        self.require_open()
        if self.read_only:
            raise ReadOnlyUnitOfWorkError(operation)

    async def attempt(self, action: Awaitable[ResultT]) -> ResultT:
        """Await something of the database; whatever it raises breaks the unit."""
        try:
            return await action
        except BaseException:
            self._state = "broken by an earlier error"
            raise

    def claim(self, entities: Sequence[AggregateRoot]) -> None:
        """Return if this tenant may have these aggregates.

        Raises:
            CrossTenantError: one of them is another tenant's.
        """
        for entity in entities:
            if entity.tenant not in (None, self._tenant):
                subject = f"{type(entity).__name__} {entity.id}"
                raise CrossTenantError(unit=str(self._tenant or "registry"), other=str(entity.tenant), subject=subject)

    def mark(self, entities: Sequence[AggregateRoot]) -> None:
        """Mark aggregates as this tenant's; those of a unit without one stay whose they are."""
        if self._tenant is not None:
            for entity in entities:
                stamp(entity, version=entity.version, tenant=self._tenant)

    # --- The port. ---

    @property
    def tenant(self) -> TenantId | None:
        return self._tenant

    @property
    def has_ended(self) -> bool:
        """Whether it has been committed or rolled back, or was never entered."""
        return self._state in _ENDED

    def repository(self, port: Callable[..., RepositoryT], /) -> RepositoryT:
        self.require_open()
        known = self._repositories.get(port)
        if known is None:
            chosen = self._wiring.repositories.get(port, port)  # type: ignore[call-overload]  # ports are classes
            mapping = self._mapping_within_reach(entity_of(chosen))
            known = compose(chosen, self._wiring.repository_class)(self, mapping)
            self._repositories[port] = known
        return known  # type: ignore[return-value]  # composed with the port as its first parent

    async def flush(self) -> None:
        self.require_open()
        if self.read_only:
            return
        changes = self.tracker.changes()
        if not changes:
            return
        self._expect(changes)
        mappings = self._wiring.mappings
        for kind in mappings:
            if kind in changes.inserts:
                await self.attempt(self._insert(mappings[kind], changes.inserts[kind]))
        for kind in mappings:
            if kind in changes.updates:
                await self.attempt(self._update(mappings[kind], changes.updates[kind]))
        for kind in reversed(tuple(mappings)):
            if kind in changes.removals:
                await self.attempt(self._remove(mappings[kind], changes.removals[kind]))
        self.tracker.written(changes)

    async def commit(self) -> None:
        self._refuse_inside_savepoint("commit")
        try:
            await self.flush()
            await self._commit()
        except UnitOfWorkSharedError:
            raise
        except BaseException:
            await self.rollback()
            raise
        self._state = "committed"
        open_units.leave(self)
        await self._hand_over_events()
        self.tracker.forget()

    async def rollback(self) -> None:
        self._refuse_inside_savepoint("rollback")
        if self.has_ended:
            return
        self._state = "rolled back"
        open_units.leave(self)
        self.tracker.forget()
        await self._rollback()

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        self.require_open()
        return self._tracked_savepoint(self._database_savepoint())

    @asynccontextmanager
    async def _tracked_savepoint(self, database: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        await self.flush()
        memento = self.tracker.memento()
        self._savepoints += 1
        try:
            async with database:
                yield
                await self.flush()
        except BaseException:
            self._state = "open"
            self.tracker.restore(memento)
            raise
        finally:
            self._savepoints -= 1

    def _refuse_inside_savepoint(self, operation: str) -> None:
        if self._savepoints:
            raise TransactionControlError(f"{operation} inside a savepoint")

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise UnitOfWorkClosedError(self._state)
        self._owner = asyncio.current_task()
        await self._admit()
        await self._begin()
        self._state = "open"
        open_units.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rollback()

    async def _admit(self) -> None:
        """Return if the unit may be entered."""
        if self._tenant is not None and self._wiring.admission is not None:
            await self._wiring.admission.admit(self._tenant)

    def _mapping_within_reach(self, entity: type[AggregateRoot]) -> EntityMapping:
        mapping = self._wiring.mappings.get(entity)
        if mapping is None:
            raise NotMappedError(entity.__name__)
        if isinstance(mapping.placement, Reference) is not (self._tenant is None):
            reason = "it belongs to the registry: use backend.registry()"
            if self._tenant is None:
                reason = "it belongs to a tenant: use backend.unit_of_work(tenant)"
            raise NotMappedError(entity.__name__, reason)
        return mapping

    async def _hand_over_events(self) -> None:
        await self._hand_over(self._tenant, self.tracker.take_events())

    async def _hand_over(self, tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
        if not events or self._wiring.on_commit is None:
            return
        try:
            await self._wiring.on_commit(tenant, events)
        except Exception:  # noqa: BLE001  # the unit is committed: nobody may take a handler's failure for its own
            _log.exception("events.handler_failed", tenant=str(tenant), events=len(events))


_ENDED = frozenset(("not entered", "committed", "rolled back"))
