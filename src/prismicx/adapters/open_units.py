"""The units of work that are open here: in this task, and in those that started it while they were."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from prismicx.domain.identifiers import TenantId

if TYPE_CHECKING:
    from prismicx.adapters.unit_of_work import TrackedUnitOfWork

_entered: ContextVar[tuple[TrackedUnitOfWork, ...]] = ContextVar("prismicx_entered_units", default=())


def enter(unit: TrackedUnitOfWork) -> None:
    """Take note of a tenant's unit that has begun."""
    if unit.tenant is not None:
        _entered.set((*_entered.get(), unit))


def entered() -> tuple[TrackedUnitOfWork, ...]:
    """Return the tenants' units that were entered here and not left, oldest first."""
    return _entered.get()


def leave(unit: TrackedUnitOfWork) -> None:
    """Take note that the unit has ended."""
    if unit.tenant is not None:
        others = _entered.get()
        is_alone = len(others) == 1 and others[0] is unit
        _entered.set(() if is_alone else tuple(known for known in others if known is not unit))


def open_tenant() -> TenantId | None:
    """Return the tenant whose unit is open here, or `None`; the last one where there are several."""
    # A task has its parent's units as they were when it started: some may have ended since.
    return next((unit.tenant for unit in reversed(_entered.get()) if not unit.has_ended), None)
