"""What all backends share: the wiring of their units of work, and the door that asks for a tenant."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prismicx.adapters.dedicated import DedicatedClients
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.running import Run
from prismicx.adapters.terms import READING, Terms, terms_of
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.wiring import Wiring
from prismicx.domain.applied import APPLIED_UNITS
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.errors import (
    InvalidTenantIdError,
    SystemScopeUnavailableError,
    TenantContextMissingError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.isolation import Isolation
from prismicx.domain.outbox import Outbox
from prismicx.domain.placement import EntityMapping, by_entity
from prismicx.domain.ports import Backend, EventHandler, ReadScope, ResultT, TenantAdmission, UnitOfWork
from prismicx.domain.registry import REGISTRY_MAPPINGS
from prismicx.domain.registry_feed import RegistryFeed
from prismicx.domain.retry import Retry
from prismicx.domain.system import SystemAccess
from prismicx.domain.system_unit import SystemUnitOfWork
from prismicx.domain.telemetry import Telemetry


class TrackedBackend(Backend):
    """A backend whose units of work track what they hold.

    Attributes:
        isolations: the levels that its units can be opened with.
    """

    isolations: frozenset[Isolation] = frozenset((Isolation.READ_COMMITTED,))

    def __init__(
        self,
        mappings: Sequence[EntityMapping],
        *,
        repository_class: type[TrackedRepository[Any]],
        system_repository_class: type[TrackedRepository[Any]] | None = None,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        admission: TenantAdmission | None = None,
        on_commit: EventHandler | None = None,
        dedicated: DedicatedClients[Any] | None = None,
        outbox: bool = False,
        telemetry: Telemetry | None = None,
        cursor_keys: CursorKeys | None = None,
    ) -> None:
        """Wire it up; nothing is connected before `start`.

        Args:
            mappings: of the service's aggregates, parents before children; the registry's are added.
            repository_class: what a port's own queries run on.
            system_repository_class: the same over all tenants; `None` where the backend has no system units.
            repositories: by port, the team's own classes for this backend.
            admission: who may open a unit of work, and where; without it every tenant id may, on the backend's own
                database.
            on_commit: awaited with the tenant and the recorded events after each commit.
            dedicated: the clients of dedicated tenants; without it their units are like all others.
            outbox: whether recorded events are stored in the transaction of their unit, for a relay to deliver.
            telemetry: hears of every unit of work; without it none is heard of, which costs nothing.
            cursor_keys: sign the cursors of pages; without them a random key does, and a cursor is good only for the
                backend object that made it.

        Raises:
            MappingError: an entity or a name is used twice.
        """
        self._wiring = Wiring(
            mappings=by_entity((*REGISTRY_MAPPINGS, APPLIED_UNITS, *mappings)),
            repository_class=repository_class,
            repositories=dict(repositories or {}),
            admission=admission,
            on_commit=on_commit,
            dedicated=dedicated,
            outbox=outbox,
            telemetry=telemetry,
            backend=type(self).__name__,
            cursor_keys=cursor_keys or CursorKeys.random(),
        )
        self._system_wiring = replace(self._wiring, repository_class=system_repository_class or repository_class)

    @property
    def cursor_keys(self) -> CursorKeys:
        """What signs the cursors of its pages."""
        return self._wiring.cursor_keys

    @property
    def has_outbox(self) -> bool:
        """Whether it was made with `outbox=True`."""
        return self._wiring.outbox

    @property
    def outbox(self) -> Outbox:
        """The events that have been committed and not yet delivered, of all tenants.

        Raises:
            UnsupportedOperationError: the backend was made without `outbox=True`.
        """
        if not self._wiring.outbox:
            raise UnsupportedOperationError("an outbox without being given `outbox=True`", type(self).__name__)
        return self._outbox()

    def _outbox(self) -> Outbox:
        """Return the stored events; a backend that stores none leaves this alone."""
        raise UnsupportedOperationError("an outbox", type(self).__name__)

    def unit_of_work(
        self,
        tenant: TenantId,
        *,
        read_only: bool = False,
        isolation: Isolation | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
    ) -> TrackedUnitOfWork:
        _require_tenant(tenant)
        terms = terms_of(read_only=read_only, isolation=isolation, deadline=deadline, idempotency_key=idempotency_key)
        if isolation is not None and isolation not in self.isolations:
            raise UnsupportedOperationError(f"isolation {isolation.value}", type(self).__name__)
        return self._unit(tenant, terms=terms)

    def read(self, tenant: TenantId) -> ReadScope:
        _require_tenant(tenant)
        return self._read_scope(tenant)

    async def run(
        self,
        tenant: TenantId,
        work: Callable[[UnitOfWork], Awaitable[ResultT]],
        *,
        retry: Retry = Retry(),  # noqa: B008  # a value object
        read_only: bool = False,
        isolation: Isolation | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
    ) -> ResultT:
        def open_unit(seconds: float | None) -> TrackedUnitOfWork:
            return self.unit_of_work(
                tenant, read_only=read_only, isolation=isolation, deadline=seconds, idempotency_key=idempotency_key
            )

        return await Run(open_unit, work, retry=retry, deadline=deadline).result()

    def registry(self, *, read_only: bool = False) -> TrackedUnitOfWork:
        return self._unit(None, terms=terms_of(read_only=read_only))

    @property
    def registry_feed(self) -> RegistryFeed:
        raise UnsupportedOperationError("to be the registry that says which tenants are active", type(self).__name__)

    def system_unit_of_work(self, *, reason: str, actor: str, read_only: bool = True) -> SystemUnitOfWork:
        access = SystemAccess.of(reason=reason, actor=actor, backend=type(self).__name__, read_only=read_only)
        return self._system_unit(access)

    def _system_unit(self, access: SystemAccess) -> SystemUnitOfWork:
        """Return a unit of work over all tenants, not yet entered; a backend without any leaves this alone."""
        raise SystemScopeUnavailableError(type(self).__name__, "this backend has none")

    def _read_scope(self, tenant: TenantId) -> TrackedUnitOfWork:
        """Return a read scope, not yet entered: a read-only unit, where that asks one thing a query and no more."""
        return self._unit(tenant, terms=READING)

    @abstractmethod
    def _unit(self, tenant: TenantId | None, *, terms: Terms) -> TrackedUnitOfWork:
        """Return a unit of work of this backend, not yet entered."""


def _require_tenant(tenant: TenantId) -> None:
    if tenant is None:
        raise TenantContextMissingError
    if not isinstance(tenant, TenantId):
        raise InvalidTenantIdError(tenant, f"give a TenantId, not {type(tenant).__name__}")
