"""Rollouts: a plugin's version brought to every tenant that has an earlier one, wave by wave."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.errors import IllegalTransitionError, InvalidRolloutError
from prismicx.domain.events import RolloutFinished, RolloutPaused, RolloutStarted
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.leased import Leased
from prismicx.domain.plugins import Plugin

_BUDGET: Final = re.compile(r"(0|[1-9][0-9]{0,8})(%?)", re.ASCII)
_EVERYBODY: Final = 100


class RolloutStatus(StrEnum):
    """How far a rollout has come. One that is `running` without a live lease was interrupted, and can be resumed."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    SUPERSEDED = "superseded"


class RolloutPlan(BaseModel):
    """In which order and how carefully tenants are upgraded.

    Args:
        canaries: tenants that come first, in a wave of their own.
        waves: after how many percent of all tenants it waits for what is under way, and looks at the errors: whole
            numbers from 1 on, each greater than the one before it, the last one 100.
        concurrency: how many tenants are upgraded at once, from 1 to 100.
        error_budget: how many tenants may fail before it pauses: a number, or a percentage of all (`2%`, rounded down).

    Raises:
        InvalidRolloutError: one of them does not fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    canaries: tuple[TenantId, ...] = ()
    waves: tuple[int, ...] = (1, 10, 50, _EVERYBODY)
    concurrency: int = 4
    error_budget: str = "0"

    def __init__(
        self,
        *,
        canaries: Sequence[TenantId] = (),
        waves: Sequence[int] = (1, 10, 50, _EVERYBODY),
        concurrency: int = 4,
        error_budget: str = "0",
    ) -> None:
        if list(waves) != sorted({*waves}) or not waves or waves[0] < 1 or waves[-1] != _EVERYBODY:
            raise InvalidRolloutError("waves", "percentages from 1 on that grow up to 100, such as 1,10,50,100")
        if not 1 <= concurrency <= _EVERYBODY:
            raise InvalidRolloutError("concurrency", "from 1 to 100 tenants at once")
        found = _BUDGET.fullmatch(error_budget)
        if found is None or (found[2] and int(found[1]) > _EVERYBODY):
            raise InvalidRolloutError("error budget", "a number of tenants, or a percentage such as 2%")
        super().__init__(
            canaries=tuple(dict.fromkeys(canaries)),
            waves=tuple(waves),
            concurrency=concurrency,
            error_budget=error_budget,
        )

    def allowed_failures(self, total: int) -> int:
        """Return how many of all tenants may fail before the rollout pauses."""
        number, percent = int(self.error_budget.rstrip("%")), self.error_budget.endswith("%")
        return total * number // _EVERYBODY if percent else number

    def wave_ends(self, total: int) -> tuple[int, ...]:
        """Return after how many tenants, of this many, each percentage is reached; rounded up."""
        return tuple(math.ceil(total * percentage / _EVERYBODY) for percentage in self.waves)


class Tally(BaseModel):
    """What has become of the tenants so far.

    Args:
        upgraded: how many have the version.
        failed: how many kept what they had; the reason is in the record of each.
        skipped: how many were left alone: not active, or somebody else was at work there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    upgraded: Annotated[int, Field(ge=0)] = 0
    failed: Annotated[int, Field(ge=0)] = 0
    skipped: Annotated[int, Field(ge=0)] = 0

    @property
    def attempted(self) -> int:
        """How many tenants it has come to."""
        return self.upgraded + self.failed + self.skipped

    def plus(self, more: Tally) -> Tally:
        """Return the sum of both."""
        return Tally(
            upgraded=self.upgraded + more.upgraded,
            failed=self.failed + more.failed,
            skipped=self.skipped + more.skipped,
        )


class PluginRollout(Leased):
    """One version of one plugin, the `target`, on its way to all tenants.

    Recorded before the first tenant is touched. Which tenants are left is not recorded: it is asked of their own
    records, which say what each has. `unfinished` is the plugin's id until it is done or superseded, so that each
    plugin has one rollout at a time.
    """

    plugin_id: UUID = Field(frozen=True)
    plugin_name: str = Field(frozen=True)
    target: Version = Field(frozen=True)
    plan: RolloutPlan
    status: RolloutStatus = RolloutStatus.RUNNING
    unfinished: UUID | None = None
    total: int = 0
    tally: Tally = Field(default_factory=Tally)
    reason: str | None = None
    started_at: datetime = Field(default_factory=lambda: datetime.now(UTC), frozen=True)

    @classmethod
    def begin(cls, plugin: Plugin, version: Version, plan: RolloutPlan, *, left: int) -> Self:
        """Return the record of a rollout that is about to begin, over this many tenants."""
        rollout = cls(
            plugin_id=plugin.id,
            plugin_name=plugin.name,
            target=version,
            plan=plan,
            unfinished=plugin.id,
            total=left,
        )
        rollout.record(RolloutStarted(plugin=plugin.name, version=version, tenants=left))
        return rollout

    @property
    def subject(self) -> str:
        return f"the rollout of {self.plugin_name} {self.target}"

    @property
    def wave(self) -> int:
        """The number of the wave that it is in: from 1 to one for each percentage."""
        ends = self.plan.wave_ends(self.total)
        return min(sum(end <= self.tally.attempted for end in ends) + 1, len(ends))

    @property
    def has_used_up_its_budget(self) -> bool:
        """Tell whether more tenants have failed than may."""
        return self.tally.failed > self.plan.allowed_failures(self.total)

    def resume(self, *, left: int, plan: RolloutPlan | None = None) -> None:
        """Go on with this many tenants, by another plan where one is given; what failed or was skipped is tried again.

        Raises:
            IllegalTransitionError: it is done, or another one has taken its place.
        """
        self._require_unfinished(RolloutStatus.RUNNING)
        self.status = RolloutStatus.RUNNING
        self.reason = None
        self.plan = plan or self.plan
        upgraded = max(self.tally.upgraded, self.total - left)
        self.tally, self.total = Tally(upgraded=upgraded), upgraded + left

    def note(self, tally: Tally) -> None:
        """Record what has become of the tenants so far.

        Raises:
            IllegalTransitionError: it is done, or another one has taken its place.
        """
        self._require_unfinished(self.status)
        self.tally = tally

    def pause(self, reason: str) -> None:
        """Stop until it is resumed.

        Raises:
            IllegalTransitionError: it is done, or another one has taken its place.
        """
        self._require_unfinished(RolloutStatus.PAUSED)
        self.status = RolloutStatus.PAUSED
        self.reason = reason
        self.let_go()
        self.record(RolloutPaused(plugin=self.plugin_name, version=self.target, reason=reason))

    def finish(self) -> None:
        """Close it: it has come to every tenant.

        Raises:
            IllegalTransitionError: it is done, or another one has taken its place.
        """
        self._close(RolloutStatus.DONE)
        self.record(RolloutFinished(plugin=self.plugin_name, version=self.target, upgraded=self.tally.upgraded))

    def supersede(self) -> None:
        """Close it in favour of another one.

        Raises:
            IllegalTransitionError: it is done, or another one has taken its place.
        """
        self._close(RolloutStatus.SUPERSEDED)

    def _close(self, after: RolloutStatus) -> None:
        self._require_unfinished(after)
        self.status = after
        self.unfinished = None
        self.let_go()

    def _require_unfinished(self, after: RolloutStatus) -> None:
        if self.unfinished is None:
            raise IllegalTransitionError(self.subject, self.status.value, after.value)
