"""A unit of work as telemetry hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prismicx.domain.errors import CommitOutcomeUnknownError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.telemetry import SILENT, Activity, Fact

if TYPE_CHECKING:
    from prismicx.adapters.wiring import Wiring


class ObservedUnit:
    """One unit's observation, from when it is entered to when it is left."""

    def __init__(self, wiring: Wiring, tenant: TenantId | None, *, read_only: bool, tries: int) -> None:
        facts: dict[str, Fact] = {"backend": wiring.backend, "read_only": read_only, "try": tries}
        self._observation = (wiring.telemetry or SILENT).begin(Activity.UNIT, tenant=tenant, **facts)

    def end(self, state: str, error: BaseException | None, *, waited: float | None) -> None:
        """Tell how the unit ended: its state, what it failed with, and how long it waited for a connection."""
        if waited is not None:
            self._observation.note(pool_wait=waited)
        if state == "committed":
            self._observation.end("committed")
        elif error is None:
            self._observation.end("rolled back")
        else:
            self._observation.end("unknown" if isinstance(error, CommitOutcomeUnknownError) else "failed", error)
