"""What all units of work of one backend share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prismicx.adapters.dedicated import DedicatedClients
from prismicx.adapters.repository import TrackedRepository
from prismicx.domain.cursors import CursorKeys
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import EventHandler, TenantAdmission
from prismicx.domain.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Wiring:
    """Mappings (parents before children), repositories, and the doors of one backend."""

    mappings: Mapping[type[AggregateRoot], EntityMapping]
    repository_class: type[TrackedRepository[Any]]
    repositories: Mapping[type[Any], type[Any]]
    admission: TenantAdmission | None
    on_commit: EventHandler | None
    dedicated: DedicatedClients[Any] | None = None
    outbox: bool = False
    """Whether the events of a unit are stored in its transaction."""
    telemetry: Telemetry | None = None
    backend: str = ""
    """The backend's class, as telemetry names it."""
    cursor_keys: CursorKeys = field(default_factory=CursorKeys.random)
    """What signs the cursors of pages."""
