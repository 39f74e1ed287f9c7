"""Work over all tenants: what units of work and repositories of every backend do differently there."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn
from uuid import UUID

import structlog

from prismicx.adapters import open_units
from prismicx.adapters.change_set import Changes
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.terms import terms_of
from prismicx.adapters.tracking import Tracker
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    AmbiguousIdentityError,
    NotMappedError,
    SystemScopeInsideTenantError,
    UnsupportedOperationError,
)
from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId
from prismicx.domain.locking import Lock
from prismicx.domain.placement import EntityMapping, Reference, Shared
from prismicx.domain.ports import RootT
from prismicx.domain.registry import SystemAccessRepository
from prismicx.domain.specification import TENANT, Comparison, Order
from prismicx.domain.system import SystemAccess
from prismicx.domain.system_unit import SystemUnitOfWork

_SCOPE: Final = "a system unit of work"

_log = structlog.get_logger(__name__)


class SystemTracker(Tracker):
    """An identity map in which one id may be several tenants'."""

    __slots__ = ()

    def _identities(self, entities: Sequence[AggregateRoot]) -> list[Hashable]:
        return [(entity.tenant, entity.id) for entity in entities]

    def take_events_of_each(self) -> dict[TenantId | None, list[DomainEvent]]:
        """Return what the tracked aggregates have recorded, by their tenant, oldest first, and clear it."""
        found = self.recorded_events_of_each()
        self.take_events()
        return found

    def recorded_events_of_each(self) -> dict[TenantId | None, list[DomainEvent]]:
        """Return what the tracked aggregates have recorded, by their tenant, oldest first; they keep it."""
        found: dict[TenantId | None, list[DomainEvent]] = {}
        for entity in self._recorders():
            if entity.recorded_events:
                found.setdefault(entity.tenant, []).extend(entity.recorded_events)
        return {tenant: sorted(events, key=lambda event: event.event_id) for tenant, events in found.items()}


class TrackedSystemUnit(TrackedUnitOfWork, SystemUnitOfWork):
    """What a backend's unit of work becomes over all tenants: put it before that class.

    Args:
        access: who opens it, and why.
        record: a unit of the registry, by the system's own login, in which the access is written down.
        wiring: with a repository class over all tenants.
        options: those of the backend's unit of work.
    """

    def __init__(self, access: SystemAccess, *, record: TrackedUnitOfWork, wiring: Wiring, **options: Any) -> None:
        super().__init__(None, terms=terms_of(read_only=access.read_only), wiring=wiring, **options)
        self._access = access
        self._record = record
        self.tracker = self._tracker = SystemTracker()

    @property
    def access(self) -> SystemAccess:
        return self._access

    def claim(self, entities: Sequence[AggregateRoot]) -> None:
        """Leave each aggregate its tenant."""

    def refuse(self, operation: str) -> NoReturn:
        """Refuse what needs one tenant."""
        raise UnsupportedOperationError(f"{operation}; open the tenant's own unit of work", _SCOPE)

    async def _admit(self) -> None:
        access = self._access
        facts = {"access": str(access.id), "actor": access.actor, "reason": access.reason, "backend": access.backend}
        tenant = open_units.open_tenant()
        if tenant is not None:
            _log.warning("system_scope.refused", **facts, inside=tenant.value)
            raise SystemScopeInsideTenantError(tenant.value)
        _log.info("system_scope.opening", **facts, read_only=access.read_only)
        async with self._record as record:
            record.repository(SystemAccessRepository).add(access)
            await record.commit()

    def _expect(self, changes: Changes, *, last: bool) -> None:
        for kind in (*changes.updates, *changes.removals):
            if isinstance(self._wiring.mappings[kind].placement, Reference):
                raise UnsupportedOperationError(f"writing {kind.__name__}; use backend.registry()", _SCOPE)
        super()._expect(changes, last=last)

    def _recorded_events(self) -> Mapping[TenantId | None, Sequence[DomainEvent]]:
        return self._tracker.recorded_events_of_each()

    async def _hand_over_events(self) -> None:
        for tenant, events in self._tracker.take_events_of_each().items():
            await self._hand_over(tenant, events)

    def _mapping_within_reach(self, entity: type[AggregateRoot]) -> EntityMapping:
        mapping = self._wiring.mappings.get(entity)
        if mapping is None:
            raise NotMappedError(entity.__name__)
        if not isinstance(mapping.placement, Shared | Reference):
            reason = "each tenant has it in a place of its own: iterate over the tenants, and open their units of work"
            raise NotMappedError(entity.__name__, reason)
        return mapping


class SystemRepository(TrackedRepository[RootT]):
    """What a backend's repository becomes over all tenants: put it before that class.

    The backend's rows then hold the tenant too, and `_identity` returns the tenant and the id.
    """

    def add_many(self, aggregates: Iterable[RootT]) -> None:
        self._unit.require_writable("add")
        raise UnsupportedOperationError(f"adding {self._kind.__name__}; open the tenant's own unit of work", _SCOPE)

    def _require_writing(self, operation: str) -> None:
        super()._require_writing(operation)
        raise UnsupportedOperationError(f"{operation}; open the tenant's own unit of work", _SCOPE)

    async def find(self, identity: UUID, *, lock: Lock | None = None) -> RootT | None:
        self._require_identity(identity)
        return self._one_each(await self.list(Comparison(self._kind, "id", "eq", identity), lock=lock)).get(identity)

    async def fetch(self, identities: Iterable[UUID], /) -> dict[UUID, RootT]:
        asked = self._require_identities(identities)
        found = self._one_each(await self.list(Comparison(self._kind, "id", "in", asked)))
        return {identity: found[identity] for identity in asked if identity in found}

    def _one_each(self, found: Sequence[RootT]) -> Mapping[UUID, RootT]:
        """Return what was found by identity.

        Raises:
            AmbiguousIdentityError: several tenants have one of them.
        """
        by_identity = {one.id: one for one in found}
        if len(by_identity) < len(found):
            identity = next(one.id for one in found if by_identity[one.id] is not one)
            tenants = [str(one.tenant) for one in found if one.id == identity]
            raise AmbiguousIdentityError(self._kind.__name__, identity, tenants)
        return by_identity

    @property
    def _spans_tenants(self) -> bool:
        return isinstance(self._mapping.placement, Shared)

    def _total(self, order_by: Order | Sequence[Order]) -> tuple[Order, ...]:
        by_tenant = (Order(self._kind, TENANT),) if self._spans_tenants else ()
        return (*super()._total(order_by), *by_tenant)
