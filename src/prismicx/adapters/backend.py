"""What all backends share: the wiring of their units of work, and the door that asks for a tenant."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.unit_of_work import TrackedUnitOfWork, Wiring
from prismicx.domain.errors import InvalidTenantIdError, TenantContextMissingError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, by_entity
from prismicx.domain.ports import Backend, EventHandler, TenantAdmission
from prismicx.domain.registry import REGISTRY_MAPPINGS


class TrackedBackend(Backend):
    """A backend whose units of work track what they hold."""

    def __init__(
        self,
        mappings: Sequence[EntityMapping],
        *,
        repository_class: type[TrackedRepository[Any]],
        repositories: Mapping[type[Any], type[Any]] | None = None,
        admission: TenantAdmission | None = None,
        on_commit: EventHandler | None = None,
    ) -> None:
        """Wire it up; nothing is connected before `start`.

        Args:
            mappings: of the service's aggregates, parents before children; the registry's are added.
            repository_class: what a port's own queries run on.
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

    def unit_of_work(self, tenant: TenantId, *, read_only: bool = False) -> TrackedUnitOfWork:
        if tenant is None:
            raise TenantContextMissingError
        if not isinstance(tenant, TenantId):
            raise InvalidTenantIdError(tenant, f"give a TenantId, not {type(tenant).__name__}")
        return self._unit(tenant, read_only=read_only)

    def registry(self, *, read_only: bool = False) -> TrackedUnitOfWork:
        return self._unit(None, read_only=read_only)

    @abstractmethod
    def _unit(self, tenant: TenantId | None, *, read_only: bool) -> TrackedUnitOfWork:
        """Return a unit of work of this backend, not yet entered."""
