"""Operations on a tenant's place: steps that are recorded before and after they run, so that each can be resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from prismicx.domain.errors import InvalidNameError
from prismicx.domain.identifiers import new_id
from prismicx.domain.moments import Moment, utc_now


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


class Receipt(BaseModel):
    """What a finished deletion has removed: rows or documents by the full name of their table or collection."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: UUID
    finished_at: Moment
    removed: Mapping[str, int]


class Operation(BaseModel):
    """What is being done to a tenant's place, in the order of its steps.

    Attributes:
        id: names it for good.
        kind: whether the place is made or unmade.
        steps: in the order in which they are carried out.
        begun_at: when it was recorded, which is before anything was touched.
        ended_at: when it came to its end; `None` while it is under way.
        failures: how many attempts in a row have failed.
        due_at: after a failure, from when on it is to be tried again; `None` is at once.
        removed: in a deletion, the rows or documents that were found and are removed, by table or collection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID = Field(default_factory=new_id)
    kind: Literal["provisioning", "deletion"]
    steps: tuple[Step, ...]
    begun_at: Moment = Field(default_factory=utc_now)
    ended_at: Moment | None = None
    failures: int = 0
    due_at: Moment | None = None
    removed: Mapping[str, int] = Field(default_factory=dict)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The names of the steps that are not done, in order."""
        return tuple(step.name for step in self.steps if step.status is not StepStatus.DONE)

    @property
    def begun(self) -> tuple[str, ...]:
        """The names of the steps that were ever begun, in order."""
        return tuple(step.name for step in self.steps if step.attempts)

    @property
    def receipt(self) -> Receipt | None:
        """What a deletion has removed, once it is finished."""
        if self.kind == "provisioning" or self.ended_at is None:
            return None
        return Receipt(operation=self.id, finished_at=self.ended_at, removed=self.removed)

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

    def begun_again(self) -> Operation:
        """Return the operation without its wait."""
        return self.model_copy(update={"due_at": None})

    def counted(self, contents: Mapping[str, int]) -> Operation:
        """Return the operation with these counts in `removed`; of two counts of one table the greater stays."""
        names = {**self.removed, **contents}
        removed = {name: max(self.removed.get(name, 0), contents.get(name, 0)) for name in names}
        return self.model_copy(update={"removed": removed})

    def failed(self, *, due_at: datetime | None) -> Operation:
        """Return the operation with one failure more, to be tried again from then on."""
        return self.model_copy(update={"failures": self.failures + 1, "due_at": due_at})

    def ended(self) -> Operation:
        """Return the operation at its end."""
        return self.model_copy(update={"ended_at": utc_now(), "due_at": None})
