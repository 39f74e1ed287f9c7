"""Twins of the interleavings: a worker or a step that breaks its promise is found by the same schedules."""

from __future__ import annotations

import pytest
from tests.application.test_interleavings import ZOMBIE, FencedShelf, play
from tests.mutants import assert_goes_red

from prismicx.application.tenant_worker import TenantWorker
from prismicx.domain.tenancy import Tenant


async def test_steps_that_do_not_look_at_the_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(self: FencedShelf, tenant: Tenant) -> None:
        await self.turns.take()

    monkeypatch.setattr(FencedShelf, "_write", write)

    await assert_goes_red(play, "create and abort", 1, ZOMBIE, None, backend="MemoryBackend")


async def test_a_flip_before_the_steps_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(self: TenantWorker, tenant: Tenant) -> Tenant:
        def flipped(found: Tenant) -> None:
            for name in self.step_names:
                found.begin_step(name)
                found.complete_step(name)
            found.activate()

        active = await self._change(tenant, flipped)
        for step in self._steps.values():
            await step.ensure(active)
        return active

    monkeypatch.setattr(TenantWorker, "_make", make)

    await assert_goes_red(play, "create", 1, (), None, backend="MemoryBackend")
