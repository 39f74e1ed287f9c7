"""Property tests over asynchronous code: the property is awaited, on the loop of the test that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

ExampleT = TypeVar("ExampleT")


async def for_all(
    strategy: SearchStrategy[ExampleT],
    holds: Callable[[ExampleT], Coroutine[Any, Any, None]],
    *,
    examples: int,
    shrink: bool = True,
) -> None:
    """Return if the property holds for this many examples, always the same ones; else raise for one of them.

    It raises for the smallest that it finds in some minutes, or, without `shrink`, for the first.

    A plain call inside a test: fixtures of any scope may be used, and a twin can call the test against a mutant.
    """
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=examples,
        deadline=None,  # a database's time per example says nothing
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(strategy)
    def each(example: ExampleT) -> None:
        asyncio.run_coroutine_threadsafe(holds(example), loop).result()

    # Hypothesis drives the examples from a thread of its own; each is awaited here, where the connections live.
    await asyncio.to_thread(each)
