"""What the registry says of tenants, read by revision: everything once, and then only what has changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from prismicx.domain.identifiers import TenantId
from prismicx.domain.tenancy import DatabaseConfig, TenantStatus

REMEMBERED_CHANGES: Final = 512
"""How many of the latest changes a registry keeps at hand; who knows less than that reads everything."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant's state and dedicated database, if it has one, and the version of its record that said so."""

    status: TenantStatus
    version: int
    dedicated: DatabaseConfig | None = None

    @classmethod
    def of(cls, status: TenantStatus | str, version: int, place: DatabaseConfig | Mapping[str, Any] | None) -> Self:
        """Return the standing of a tenant whose record has these values, as the domain or as a database holds them."""
        if isinstance(place, Mapping):
            place = DatabaseConfig(**place)
        is_dedicated = place is not None and place.type == "dedicated"
        return cls(_STATUSES[status], version, place if is_dedicated else None)


_STATUSES: Final[Mapping[str, TenantStatus]] = {status.value: status for status in TenantStatus}


@dataclass(frozen=True, slots=True)
class RegistryReading:
    """What a registry answered.

    Attributes:
        revision: every change up to this one is in it; later ones may be.
        standings: of the tenants that have changed, with `None` for one whose record is gone; or of all.
        is_whole: whether it is of all tenants.
    """

    revision: int
    standings: Mapping[TenantId, Standing | None]
    is_whole: bool


class RegistryFeed(ABC):
    """The tenants' standings as the registry has them.

    Each transaction that writes tenants counts its revision up, under a lock that it holds until it ends: so whoever
    sees a revision can see every change up to it.
    """

    @abstractmethod
    async def read(self, since: int | None) -> RegistryReading:
        """Return what has changed since a revision, or everything: without one, and where it is too long ago.

        Raises:
            DatabaseUnavailableError, ConnectionLostError: the registry does not answer.
        """

    @abstractmethod
    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` once listening has begun, and then after each change of any process, until it is cancelled.

        It returns where the registry's address has no way to push.

        Raises:
            DatabaseUnavailableError, ConnectionLostError: the registry does not answer, or has stopped to.
        """
