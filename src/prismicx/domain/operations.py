"""Operations on a tenant's place: steps that are recorded before and after they run, so that each can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prismicx.domain.errors import InvalidNameError


class StepStatus(StrEnum):
    """How far a step has come. A step found `running` after a crash is run again."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Step(BaseModel):
    """One recorded step of an operation: how often it was begun, and why it failed the last time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    error: str | None = None


class Operation(BaseModel):
    """What is being done to a tenant's place, in the order of its steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["provisioning", "deletion"]
    steps: tuple[Step, ...]

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The names of the steps that are not done, in order."""
        return tuple(step.name for step in self.steps if step.status is not StepStatus.DONE)

    def step(self, name: str) -> Step:
        """Return the step of this name.

        Raises:
            InvalidNameError: the operation has none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InvalidNameError(f"step of {self.kind}", name, f"it has {', '.join(known.name for known in self.steps)}")

    def planned(self, names: Sequence[str]) -> Operation:
        """Return the operation with these steps, in this order; what is recorded of a known step stays."""
        known = {step.name: step for step in self.steps}
        return self.model_copy(update={"steps": tuple(known.get(name) or Step(name=name) for name in names)})

    def with_step(self, changed: Step) -> Operation:
        """Return the operation with this step in place of the one of its name."""
        steps = tuple(changed if step.name == changed.name else step for step in self.steps)
        return self.model_copy(update={"steps": steps})
