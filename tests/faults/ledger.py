"""What was said about each unit of work, to be compared with what is stored in the end."""

from __future__ import annotations

from collections import Counter
from enum import Enum


class Outcome(Enum):
    """What the caller of a unit of work was told."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


class Ledger:
    """The markers that units of work were to store, each with the outcome that was reported."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._writes: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self.strangers: list[str] = []

    def enter(self, marker: str, outcome: Outcome, *, writes: int, error: Exception | None = None) -> None:
        """Record what was reported for a unit that stores its marker as often as it writes."""
        self.outcomes[marker] = outcome
        self._words[marker] = outcome.value if error is None else f"{outcome.value} ({error!r})"
        self._writes[marker] = writes

    def violations(self, stored: Counter[str]) -> list[str]:
        """Return where what was said and what is stored differ.

        What is done is stored once, what is not done never; what is unknown is the one or the other.
        """
        found = [f"an error that is none of the family: {stranger}" for stranger in self.strangers]
        for marker, outcome in self.outcomes.items():
            writes = self._writes[marker]
            allowed = {
                Outcome.DONE: (writes,),
                Outcome.NOT_DONE: (0,),
                Outcome.UNKNOWN: (0, writes),
            }[outcome]
            if stored[marker] not in allowed:
                found.append(
                    f"{marker} was reported {self._words[marker]}, and {stored[marker]} of {writes} are stored"
                )
        return [*found, *(f"{marker} was never asked for" for marker in stored.keys() - self.outcomes.keys())]
