"""What has an operation: which steps it has come through, why it stands still, and when it is due."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime

from prismicx.domain.errors import IllegalTransitionError
from prismicx.domain.leased import Leased
from prismicx.domain.leases import Lease
from prismicx.domain.operations import Operation, StepStatus


class Operated(Leased):
    """An aggregate with one operation at a time, on which one worker at a time is at work.

    `operation` is the one under way, or the last one. `failure` says where and why it stands still.
    """

    operation: Operation | None = None
    failure: str | None = None

    @property
    @abstractmethod
    def state(self) -> str:
        """The state that it is in, as errors name it."""

    # --- Who is at work, and when somebody should be. ---

    def claim(self, holder: str, *, now: datetime, until: datetime) -> Lease:
        """Give the operation into a worker's hands until then, under a new fencing number, and return its lease.

        Raises:
            IllegalTransitionError: no operation is under way.
            OperationUnderWayError: another worker's lease is not over.
        """
        operation = self._under_way()
        lease = super().claim(holder, now=now, until=until)
        self.operation = operation.begun_again()
        return lease

    def is_due(self, now: datetime) -> bool:
        """Tell whether a worker should take the operation up: it is under way, nobody is at it, its wait is over."""
        if self.operation is None or self.operation.ended_at is not None:
            return False
        return self.is_free(now) and (self.operation.due_at is None or now >= self.operation.due_at)

    # --- How far it has come. ---

    def begin_step(self, name: str) -> None:
        """Record that a step is about to run, for the first time or again; an earlier failure is forgotten.

        Raises:
            IllegalTransitionError: no operation is under way.
            InvalidNameError: there is no such step.
        """
        operation = self._under_way()
        step = operation.step(name)
        begun = {"status": StepStatus.RUNNING, "attempts": step.attempts + 1, "error": None}
        self.operation = operation.with_step(step.model_copy(update=begun))
        self.failure = None

    def count(self, contents: Mapping[str, int]) -> None:
        """Record what a step is about to remove, or has removed: rows or documents by table or collection.

        Raises:
            IllegalTransitionError: no operation is under way.
        """
        self.operation = self._under_way().counted(contents)

    def complete_step(self, name: str) -> None:
        """Record that a running step is done and verified.

        Raises:
            IllegalTransitionError: the step is not running.
            InvalidNameError: there is no such step.
        """
        self._end_step(name, StepStatus.DONE, error=None)

    def fail_step(self, name: str, reason: str, *, due_at: datetime | None = None) -> None:
        """Record why a running step failed, let go of the operation, and say from when on to try again.

        Raises:
            IllegalTransitionError: the step is not running.
            InvalidNameError: there is no such step.
        """
        self._end_step(name, StepStatus.FAILED, error=reason)
        self.operation = self._under_way().failed(due_at=due_at)
        self.let_go()
        self.failure = f"{name}: {reason}"

    def end_operation(self) -> None:
        """Record that the operation has come to its end, and let go of it."""
        if self.operation is not None:
            self.operation = self.operation.ended()
        self.let_go()

    def _under_way(self) -> Operation:
        if self.operation is None or self.operation.ended_at is not None:
            raise IllegalTransitionError(self.subject, self.state, "an operation's next step")
        return self.operation

    def _end_step(self, name: str, after: StepStatus, *, error: str | None) -> None:
        operation = self._under_way()
        step = operation.step(name)
        if step.status is not StepStatus.RUNNING:
            raise IllegalTransitionError(f"step {name} of {self.subject}", step.status.value, after.value)
        self.operation = operation.with_step(step.model_copy(update={"status": after, "error": error}))
