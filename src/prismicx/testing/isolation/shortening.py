"""How the history that breaks isolation is made short: steps are left out as long as it still does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations

from prismicx.testing.isolation.findings import IsolationBrokenError
from prismicx.testing.isolation.play import Play
from prismicx.testing.isolation.steps import Step
from prismicx.testing.isolation.world import World

# Hypothesis could do it, but draws each step anew, which takes a hundred times as long as taking it.


def shorten(world: World, steps: Sequence[Step], *, seconds: float) -> None:
    """Take shorter and shorter parts of a history that breaks isolation; the world keeps the shortest that does.

    In the end no step and no two steps can be left out, if the time suffices.

    Args:
        world: of the run.
        steps: the history.
        seconds: after which it stops.

    Source: Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002; the pairs are ours.
    """
    end, rest = time.monotonic() + seconds, list(steps)
    parts = _parts(rest)
    while not world.is_spoiled and time.monotonic() < end:
        part = next(parts, None)
        if part is None:
            return
        if len(part) < len(rest) and _breaks(world, part):
            rest = part
            parts = _parts(rest)


def _parts(steps: list[Step]) -> Iterator[list[Step]]:
    size = len(steps) // 2
    while size:
        for start in range(0, len(steps), size):
            yield steps[:start] + steps[start + size :]
        size //= 2
    for first, second in combinations(range(len(steps)), 2):
        yield [step for number, step in enumerate(steps) if number not in (first, second)]


def _breaks(world: World, steps: Sequence[Step]) -> bool:
    play = Play(world)
    with suppress(IsolationBrokenError):  # the world has it
        for step in steps:
            step.take(play)
    with suppress(IsolationBrokenError):  # the last look can find it too
        play.finish()
    return play.is_over
