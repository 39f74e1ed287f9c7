"""How the tests of the machine say that it goes red."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.mutants import report_catch

from prismicx.adapters.backend import TrackedBackend
from prismicx.domain.ports import Repository
from prismicx.testing.examples import Gadgets, Gizmos, Widgets
from prismicx.testing.isolation import IsolationBrokenError, assert_isolated

EVERY_PLACEMENT: tuple[Callable[..., Repository[Any]], ...] = (Widgets, Gadgets, Gizmos)


async def assert_machine_catches(
    backend: TrackedBackend, repositories: Sequence[Callable[..., Repository[Any]]] = EVERY_PLACEMENT, **options: Any
) -> IsolationBrokenError:
    """Return what the machine finds on a backend with a planted bug, in the profile of CI."""
    with pytest.raises(IsolationBrokenError) as found:
        await assert_isolated(backend, repositories, shrink=False, **options)
    report_catch("assert_isolated", type(backend).__name__)
    return found.value
