"""How the story is told: numbered steps with their times for people, one JSON object for scripts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(slots=True)
class Step:
    """One step of the story: what it is about, what was seen, and how long it took, in seconds."""

    title: str
    facts: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, fact: str) -> None:
        """Remember something that was seen."""
        self.facts.append(fact)

    def show(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Remember something that is best seen side by side."""
        table = Table(header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
            self.facts.append("; ".join(f"{name}: {cell}" for name, cell in zip(columns, row, strict=True)))
        self.tables.append(table)


class Narrator:
    """Tells steps as they end, unless it is to be silent."""

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent
        self._began = time.perf_counter()
        self.steps: list[Step] = []

    @property
    def seconds(self) -> float:
        """The time since the story began."""
        return time.perf_counter() - self._began

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Tell of one step once it has ended well."""
        step, began = Step(title), time.perf_counter()
        yield step
        step.seconds = time.perf_counter() - began
        self.steps.append(step)
        if not self._silent:
            self._tell(step)

    def say(self, text: str) -> None:
        """Say a sentence, as the last line does."""
        if not self._silent:
            self._console.print(Text(text, style="bold"))

    def as_json(self) -> dict[str, JsonValue]:
        """Return everything that was told."""
        return {
            "seconds": round(self.seconds, 3),
            "steps": [
                {"title": step.title, "seconds": round(step.seconds, 3), "facts": [*step.facts]} for step in self.steps
            ],
        }

    def _tell(self, step: Step) -> None:
        heading = Text.assemble((f"{len(self.steps):>2}  {step.title}", "bold"), (f"  {step.seconds:.2f} s", "dim"))
        self._console.print(heading)
        shown_as_rows = bool(step.tables)
        for table in step.tables:
            self._console.print(table)
        if not shown_as_rows:
            for fact in step.facts:
                self._console.print(Text(f"    {fact}"))
