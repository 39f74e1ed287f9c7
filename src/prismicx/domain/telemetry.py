"""What a service can be heard doing: units of work, provisioning steps, migrations, deliveries of events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final, TypeAlias

from prismicx.domain.identifiers import TenantId

Fact: TypeAlias = str | int | float | bool
"""One thing known about an activity."""


class Activity(Enum):
    """What is heard of, by the name that logs, spans and metrics have for it."""

    UNIT = "unit_of_work"
    """One unit of work, from its admission to its end. Facts: `backend`, `read_only`, `try`, `pool_wait` (seconds)."""

    STEP = "provisioning_step"
    """One step of making or unmaking a tenant's place. Facts: `step`, `action`."""

    MIGRATION = "plugin_migration"
    """One plugin's scripts in one tenant's schema. Facts: `plugin`, `version`."""

    DELIVERY = "outbox_delivery"
    """One batch of a tenant's events. Facts: `events`."""


class Observation:
    """One activity under way; this one is heard by nobody."""

    __slots__ = ()

    def note(self, **facts: Fact) -> None:
        """Take note of what is known by now."""

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Say how it ended; once, in the task that began it.

        Args:
            outcome: of a unit `committed`, `rolled back`, `failed` or `unknown`; of all else `done` or `failed`.
            error: what it failed with.
        """


class Telemetry:
    """Hears what begins and how it ends; this one tells nobody.

    What it does must be quick, and may not raise: it runs inside of units of work.
    """

    __slots__ = ()

    def begin(self, activity: Activity, *, tenant: TenantId | None, **facts: Fact) -> Observation:
        """Return the observation of something that begins now, in this task."""
        return _UNHEARD


_UNHEARD: Final = Observation()

SILENT: Final = Telemetry()
"""Tells nobody anything."""


@contextmanager
def observed(
    telemetry: Telemetry, activity: Activity, *, tenant: TenantId | None, **facts: Fact
) -> Iterator[Observation]:
    """Observe a block: it ends `done`, or `failed` with the error that leaves it."""
    observation = telemetry.begin(activity, tenant=tenant, **facts)
    try:
        yield observation
    except BaseException as error:
        observation.end("failed", error)
        raise
    observation.end("done")
