"""What all backends share: the wiring of their units of work, and the door that asks for a tenant."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.unit_of_work import TrackedUnitOfWork, Wiring
from prismicx.domain.errors import InvalidTenantIdError, SystemScopeUnavailableError, TenantContextMissingError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, by_entity
from prismicx.domain.ports import Backend, EventHandler, TenantAdmission
from prismicx.domain.registry import REGISTRY_MAPPINGS
from prismicx.domain.system import SystemAccess
from prismicx.domain.system_unit import SystemUnitOfWork


class TrackedBackend(Backend):
    """A backend whose units of work track what they hold."""

    def __init__(
        self,
        mappings: Sequence[EntityMapping],
        *,
        repository_class: type[TrackedRepository[Any]],
        system_repository_class: type[TrackedRepository[Any]] | None = None,
        repositories: Mapping[type[Any], type[Any]] | None = None,
        admission: TenantAdmission | None = None,
        on_commit: EventHandler | None = None,
    ) -> None:
        """Wire it up; nothing is connected before `start`.

        Args:
            mappings: of the service's aggregates, parents before children; the registry's are added.
            repository_class: what a port's own queries run on.
            system_repository_class: the same over all tenants; `None` where the backend has no system units.
            repositories: by port, the team's own classes for this backend.
            admission: who may open a unit of work; without it every tenant id may.
            on_commit: awaited with the tenant and the recorded events after each commit.

        Raises:
            MappingError: an entity or a name is used twice.
        """
        self._wiring = Wiring(
            mappings=by_entity((*REGISTRY_MAPPINGS, *mappings)),
            repository_class=repository_class,
            repositories=dict(repositories or {}),
            admission=admission,
            on_commit=on_commit,
        )
        self._system_wiring = replace(self._wiring, repository_class=system_repository_class or repository_class)

    def unit_of_work(self, tenant: TenantId, *, read_only: bool = False) -> TrackedUnitOfWork:
        if tenant is None:
            raise TenantContextMissingError
        if not isinstance(tenant, TenantId):
            raise InvalidTenantIdError(tenant, f"give a TenantId, not {type(tenant).__name__}")
        return self._unit(tenant, read_only=read_only)

    def registry(self, *, read_only: bool = False) -> TrackedUnitOfWork:
        return self._unit(None, read_only=read_only)

    def system_unit_of_work(self, *, reason: str, actor: str, read_only: bool = True) -> SystemUnitOfWork:
        access = SystemAccess.of(reason=reason, actor=actor, backend=type(self).__name__, read_only=read_only)
        return self._system_unit(access)

    def _system_unit(self, access: SystemAccess) -> SystemUnitOfWork:
        """Return a unit of work over all tenants, not yet entered; a backend without any leaves this alone."""
        raise SystemScopeUnavailableError(type(self).__name__, "this backend has none")

    @abstractmethod
    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> TrackedUnitOfWork:
        """Return a unit of work of this backend, not yet entered."""
