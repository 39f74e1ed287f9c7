"""How often and how patiently a unit of work is run again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """The limits of `Backend.run`.

    Args:
        tries: how often the work is run at most, the first time included; 1 or more.
        base: upper bound of the first wait, seconds, positive.
        cap: upper bound of every wait, seconds, at least `base`, finite.
        stale: whether a `ConcurrencyError` is a reason to run again. Each try reads anew what it decides on, so it is
            safe; say no where a person has seen the old values and must decide anew.

    Raises:
        ValueError: an argument is out of range.
    """

    tries: int = 4
    base: float = 0.05
    cap: float = 2.0
    stale: bool = True

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"tries must be 1 or more, and is {self.tries}")
        if not 0 < self.base <= self.cap < math.inf:
            raise ValueError(f"0 < base <= cap < infinity must hold; base is {self.base}, cap is {self.cap}")

    def waits(self, uniform: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
        """Yield the wait before each try but the first, in seconds: uniform on [0, min(cap, base * 2**n)].

        Args:
            uniform: the source of chance: returns a number between the two that it is given.

        Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
        """
        bound = self.base
        for _ in range(self.tries - 1):
            yield uniform(0.0, bound)
            bound = min(self.cap, bound * 2)
