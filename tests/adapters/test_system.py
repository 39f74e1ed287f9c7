"""Work over all tenants, where a backend does not offer it; and whose units are open where."""

from __future__ import annotations

import asyncio

import pytest

from prismicx.adapters import open_units
from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory import MemoryBackend
from prismicx.domain.errors import SystemScopeUnavailableError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.examples import EXAMPLE_MAPPINGS

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


class WithoutSystemScope(MemoryBackend):
    """A backend that leaves system units alone."""

    _system_unit = TrackedBackend._system_unit  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # as if it had none


async def test_a_backend_may_have_no_system_units() -> None:
    async with WithoutSystemScope(EXAMPLE_MAPPINGS) as backend:
        with pytest.raises(SystemScopeUnavailableError):
            backend.system_unit_of_work(reason="a test", actor="ada")


async def test_the_last_open_unit_is_the_one_that_is_named() -> None:
    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend, backend.unit_of_work(ACME):
        async with backend.unit_of_work(GLOBEX), backend.registry():
            inner = open_units.open_tenant()
        outer = open_units.open_tenant()

    assert (inner, outer, open_units.open_tenant()) == (GLOBEX, ACME, None)


async def test_a_task_forgets_a_unit_that_has_ended_where_it_was_opened() -> None:
    ended = asyncio.Event()

    async def later() -> TenantId | None:
        await ended.wait()
        return open_units.open_tenant()

    async with MemoryBackend(EXAMPLE_MAPPINGS) as backend:
        async with backend.unit_of_work(ACME):
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        ended.set()

        assert await task is None
