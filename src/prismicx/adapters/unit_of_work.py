"""The life of a unit of work: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from prismicx.adapters import open_units
from prismicx.adapters.change_set import Additions
from prismicx.adapters.deadline import Deadline
from prismicx.adapters.dedicated import Lease
from prismicx.adapters.observed_unit import ObservedUnit
from prismicx.adapters.primitives import Primitives
from prismicx.adapters.repository import TrackedRepository, compose, entity_of
from prismicx.adapters.terms import Terms
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.wiring import Wiring
from prismicx.domain.applied import APPLIED_UNITS, AppliedUnit, AppliedUnits
from prismicx.domain.entity import AggregateRoot, own, owners_of, stamp
from prismicx.domain.errors import (
    AlreadyAppliedError,
    CommitOutcomeUnknownError,
    CrossTenantError,
    DuplicateEntityError,
    NotMappedError,
    PrismicxError,
    ReadOnlyUnitOfWorkError,
    TransactionConflictError,
    TransactionControlError,
    UnitOfWorkClosedError,
    UnitOfWorkSharedError,
    UnsupportedOperationError,
)
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId
from prismicx.domain.outbox import RecordedEvent, key_of
from prismicx.domain.placement import EntityMapping, Reference
from prismicx.domain.ports import RepositoryT, UnitOfWork
from prismicx.domain.tenancy import Tenant

ResultT = TypeVar("ResultT")

_log = structlog.get_logger(__name__)


class TrackedUnitOfWork(Primitives, UnitOfWork):
    """A unit of work with identity map, change tracking and ownership by one task.

    An error of the database breaks the unit, on every backend alike: nothing more can be done in it but leave the
    savepoint that the error happened in, or the unit.
    """

    def __init__(self, tenant: TenantId | None, *, terms: Terms, wiring: Wiring) -> None:
        self._tenant = tenant
        self._terms = terms
        self._deadline = terms.deadline
        self._commit_sent = False
        self._wiring = wiring
        self._state = "not entered"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._savepoints = 0
        self._repositories: dict[Any, TrackedRepository[Any]] = {}
        self._lease: Lease[Any] | None = None
        self._is_dedicated = False
        self._observed: ObservedUnit | None = None
        self._commit_error: BaseException | None = None
        self.tries = 1
        self.cursor_keys = wiring.cursor_keys
        self.read_only = terms.read_only
        self.tracker = Tracker()

    # --- What repositories ask of their unit. ---

    def require_open(self) -> None:
        """Return if the unit can be used, here and now.

        Raises:
            UnitOfWorkClosedError: it has not begun, has ended, or was broken by an error.
            UnitOfWorkSharedError: another task opened it.
        """
        if self._state != "open":
            raise UnitOfWorkClosedError(self._state)
        # With the loop that is known: to find it out again takes a system call.
        if asyncio.current_task(self._loop) is not self._owner:
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
        except BaseException as error:
            self._state = "broken by an earlier error"
            verdict = self._verdict(error, "in a statement")
            if verdict is not None:
                raise verdict from error
            raise

    def claim(self, entities: Sequence[AggregateRoot]) -> None:
        """Return if this tenant may have these aggregates.

        Raises:
            CrossTenantError: one of them is another tenant's.
        """
        owners = owners_of(entities)
        if not any(owners):
            return
        for entity, owner in zip(entities, owners, strict=True):
            if owner not in (None, self._tenant):
                subject = f"{type(entity).__name__} {entity.id}"
                raise CrossTenantError(unit=str(self._tenant or "registry"), other=str(owner), subject=subject)

    def mark(self, entities: Sequence[AggregateRoot]) -> None:
        """Mark aggregates as this tenant's; those of a unit without one stay whose they are."""
        if self._tenant is not None:
            own(entities, self._tenant)

    # --- The port. ---

    @property
    def tenant(self) -> TenantId | None:
        return self._tenant

    @property
    def is_committed(self) -> bool:
        """Whether it has been committed, for all that is known."""
        return self._state == "committed"

    @property
    def deadline(self) -> Deadline | None:
        """What bounds all of it."""
        return self._deadline

    @property
    def record(self) -> AppliedUnit | None:
        """What it leaves in its transaction where it carries an idempotency key."""
        return self._terms.applied

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
        await self._flush(last=False)

    async def _flush(self, *, last: bool) -> None:
        """Write what has changed; after the last time nobody looks for changes any more."""
        self.require_open()
        if self.read_only:
            return
        changes = self.tracker.changes()
        if not changes:
            return
        self._expect(changes, last=last)
        if self._tenant is None and (tenants := changes.of(Tenant)):
            await self.attempt(self._announce([tenant.tenant_id for tenant in tenants]))
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
        self.tracker.written(changes, last=last)

    async def flush_before_writing(self, kind: type[AggregateRoot]) -> None:
        """Flush, and make ready for a statement that writes aggregates of this kind, nobody knows which."""
        await self.flush()
        if kind is Tenant:
            await self.attempt(self._announce(()))

    async def commit(self) -> None:
        self._refuse_inside_savepoint("commit")
        try:
            await self._flush(last=True)
            await self._fill_outbox()
            self._commit_sent = True
            await self._commit()
        except UnitOfWorkSharedError:
            raise
        except BaseException as error:
            verdict = self._verdict(error, "in commit")
            self._commit_error = verdict or error
            await self.rollback()
            if isinstance(verdict or error, CommitOutcomeUnknownError):
                self._state = _UNKNOWN
            if verdict is not None:
                raise verdict from error
            raise
        self._stop_deadline()
        self._release()
        self._state = "committed"
        open_units.leave(self)
        await self._hand_over_events()
        self.tracker.forget()

    async def rollback(self) -> None:
        self._refuse_inside_savepoint("rollback")
        if self.has_ended:
            return
        self._stop_deadline()
        self._state = "rolled back"
        open_units.leave(self)
        self.tracker.take_back()
        try:
            await self._rollback()
        finally:
            self._release()

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
        self._loop = asyncio.get_running_loop()
        self._owner = asyncio.current_task(self._loop)
        if self._wiring.telemetry is not None:
            self._observed = ObservedUnit(self._wiring, self._tenant, read_only=self.read_only, tries=self.tries)
        if self._deadline is not None:
            self._deadline.start()
        try:
            await self._admit()
            await self._begin()
            if self._terms.applied is not None:
                await self._apply(self._terms.applied)
        except BaseException as error:
            verdict = self._verdict(error, "before its first statement")
            self._stop_deadline()
            self._release()
            self._observe_end(verdict or error)
            if verdict is not None:
                raise verdict from error
            raise
        self._state = "open"
        open_units.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        verdict = None if error is None else self._verdict(error, "between its statements")
        try:
            await self.rollback()
        finally:
            self._observe_end(verdict or error)
        if verdict is not None:
            raise verdict from error

    def _observe_end(self, error: BaseException | None) -> None:
        if self._observed is not None:
            self._observed.end(self._state, error or self._commit_error, waited=self._waited())

    async def _apply(self, record: AppliedUnit) -> None:
        """Leave the record of its idempotency key in the transaction that has begun.

        Raises:
            AlreadyAppliedError: its key is on record.
        """
        stamp(record, version=0, tenant=self._tenant)
        try:
            standing = await self._leave_record(record)
        except BaseException:
            await self._rollback()
            raise
        if standing is not None:
            await self._rollback()
            raise AlreadyAppliedError(record.key, at=standing.recorded_at, unit=standing.unit)

    async def _leave_record(self, record: AppliedUnit) -> AppliedUnit | None:
        """Write the record of the unit's idempotency key before anything else; return the one that stands there."""
        try:
            await self._insert(APPLIED_UNITS, Additions((record,)))
        except DuplicateEntityError:
            await self._rollback()
            return await self._standing_record(record)
        return None

    async def _standing_record(self, record: AppliedUnit) -> AppliedUnit:
        """Return the committed record of the same key.

        Raises:
            TransactionConflictError: it is gone by now.
        """
        repository = compose(AppliedUnits, self._wiring.repository_class)(self, APPLIED_UNITS)
        row = await repository._row(record.id)
        if row is None:
            raise TransactionConflictError("its record was forgotten meanwhile")
        standing: AppliedUnit = repository._entity(row)
        return standing

    def _verdict(self, error: BaseException, place: str) -> PrismicxError | None:
        """Return the error to raise instead of this one, if the unit's deadline is what it comes from."""
        if self._deadline is None:
            return None
        return self._deadline.verdict(error, place=place, commit_sent=self._commit_sent)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.stop()

    async def _admit(self) -> None:
        """Return if the unit may be entered, with the client of the tenant's own database where it has one."""
        if self._tenant is None or self._wiring.admission is None:
            return
        place = await self._wiring.admission.admit(self._tenant)
        if place is None or self._wiring.dedicated is None:
            return
        self._lease = await self._wiring.dedicated.lease(place.connection)
        if self._lease is not None:
            self._is_dedicated = True
            self._use(self._lease.client)

    def _release(self) -> None:
        """Let go of the repositories, which hold the unit, and of the tenant's own client."""
        self._repositories.clear()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

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

    @property
    def _fills_outbox(self) -> bool:
        """Whether something has been recorded that commit has to store."""
        return self._wiring.outbox and bool(self._recorded_events())

    def _recorded_events(self) -> Mapping[TenantId | None, Sequence[DomainEvent]]:
        """Return what has been recorded so far, by whose outbox it belongs into, oldest first."""
        events = self.tracker.recorded_events()
        return {self._tenant: events} if events else {}

    async def _fill_outbox(self) -> None:
        """Store the recorded events, last of all: from here to the commit the tenant's next place is locked."""
        if not self._fills_outbox:
            return
        self.require_writable("recording an event")
        if self._is_dedicated:
            raise UnsupportedOperationError("an outbox in a dedicated tenant's own database", type(self).__name__)
        for tenant, events in sorted(self._recorded_events().items(), key=lambda item: key_of(item[0])):
            await self.attempt(self._store_events(tenant, [RecordedEvent.of(event) for event in events]))

    async def _hand_over_events(self) -> None:
        events = self.tracker.take_events()
        if events:
            await self._hand_over(self._tenant, events)

    async def _hand_over(self, tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
        if self._wiring.on_commit is None:
            return
        try:
            await self._wiring.on_commit(tenant, events)
        except Exception:  # noqa: BLE001  # the unit is committed: nobody may take a handler's failure for its own
            _log.exception("events.handler_failed", tenant=str(tenant), events=len(events))


_UNKNOWN = "of unknown outcome"
_ENDED = frozenset(("not entered", "committed", "rolled back", _UNKNOWN))
