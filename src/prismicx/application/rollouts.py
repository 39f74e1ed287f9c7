"""Rollouts: a plugin's version for every tenant that has an earlier one, in waves, with a budget for errors."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from prismicx.application.leases import while_renewing
from prismicx.application.plugin_work import DEFAULT_LEASE, new_holder
from prismicx.application.plugins import PluginInstallation
from prismicx.application.reasons import reason_of
from prismicx.application.recording import recorded
from prismicx.domain.cursors import Cursor
from prismicx.domain.errors import (
    IllegalTransitionError,
    InvalidMigrationError,
    LeaseLostError,
    OperationUnderWayError,
    PluginInstallationError,
    PluginNotInstalledError,
    PrismicxError,
    TenantNotActiveError,
)
from prismicx.domain.identifiers import TenantId, Version
from prismicx.domain.installations import TenantPlugin
from prismicx.domain.leases import Lease
from prismicx.domain.moments import utc_now
from prismicx.domain.plugins import Plugin
from prismicx.domain.ports import Backend, UnitOfWork
from prismicx.domain.registry import PluginRepository, PluginRolloutRepository, TenantPluginRepository
from prismicx.domain.rollouts import PluginRollout, RolloutPlan, Tally
from prismicx.domain.specification import attribute

Report = Callable[[PluginRollout], None]
"""Told of a rollout whenever another tenant has been come to, and at its end."""

_PAGE: Final = 100
_RENEWALS_PER_LEASE: Final = 3
# The tenant is suspended or gone, somebody else is at work there, or it has gone on to a later version meanwhile.
_SKIPPED: Final = (
    IllegalTransitionError,
    InvalidMigrationError,
    LeaseLostError,
    OperationUnderWayError,
    PluginNotInstalledError,
    TenantNotActiveError,
)


class PluginRollouts:
    """Brings a version of a plugin to all tenants that have an earlier one.

    Canaries come first, then as many tenants as each percentage says, in the order of their records. At the end of
    each wave it waits for what is under way. It pauses where more tenants have failed than the error budget allows; a
    tenant that failed keeps what it had, and its record says why. The rollout is recorded before the first tenant is
    touched; one worker at a time carries it out, under a lease. Who is left is asked of the registry, a page at a time,
    so neither the memory it takes nor what a crash leaves depends on the number of tenants.
    """

    def __init__(
        self,
        registry: Backend,
        plugins: PluginInstallation,
        *,
        lease: timedelta = DEFAULT_LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Wire it up.

        Args:
            registry: the backend that holds the registry.
            plugins: upgrades one tenant.
            lease: how long a worker that says nothing keeps a rollout.
            clock: tells the time in UTC.
        """
        self._registry = registry
        self._plugins = plugins
        self._lease = lease
        self._clock = clock

    async def upgrade_all(
        self,
        plugin: str,
        *,
        version: Version | None = None,
        plan: RolloutPlan | None = None,
        resume: bool = False,
        report: Report = lambda rollout: None,
    ) -> PluginRollout | None:
        """Upgrade every tenant that has an earlier version; return the rollout, done or paused.

        `None` says that no tenant has an earlier version: one query tells, whatever the number of tenants.

        Args:
            plugin: its name.
            version: which one; `None` takes the newest, or, with `resume`, the one that is being rolled out.
            plan: how; `None` takes the usual one, or, with `resume`, the one that was recorded.
            resume: go on with the rollout that was paused or interrupted, where there is one; without it that one is
                closed, and another begun over who is left.
            report: told of it again and again.

        Raises:
            IllegalTransitionError: another version is being rolled out than the one to be resumed.
            LeaseLostError: another worker has taken over.
            OperationUnderWayError: another worker is at it.
            PluginNotFoundError: the plugin, or the version, is not published.
        """
        async with self._registry.registry(read_only=True) as unit:
            found = await unit.repository(PluginRepository).named(plugin)
            unfinished = await unit.repository(PluginRolloutRepository).unfinished(found) if resume else None
            wanted = version or (unfinished.target if unfinished else found.newest.version)
            found.of_version(wanted)
            installations = unit.repository(TenantPluginRepository)
            nobody_is_left = not await installations.exists(installations.behind(found, wanted))
        if nobody_is_left and unfinished is None:
            return None
        rollout = await self._begun(found, wanted, plan, resume=resume)
        return await _Run(self, found, rollout, report).carry_out()

    async def _begun(
        self, plugin: Plugin, version: Version, plan: RolloutPlan | None, *, resume: bool
    ) -> PluginRollout:
        """Record that a rollout is begun, or gone on with, by this worker."""

        async def begin(unit: UnitOfWork) -> PluginRollout:
            rollouts, installations = unit.repository(PluginRolloutRepository), unit.repository(TenantPluginRepository)
            left = await installations.count(installations.behind(plugin, version))
            rollout = await rollouts.unfinished(plugin)
            if rollout is not None:
                self._claim(rollout)
            if rollout is not None and resume:
                if rollout.target != version:
                    raise IllegalTransitionError(rollout.subject, rollout.status.value, f"a rollout of {version}")
                rollout.resume(left=left, plan=plan)
                return rollout
            if rollout is not None:
                rollout.supersede()
                await unit.flush()
            rollout = PluginRollout.begin(plugin, version, plan or RolloutPlan(), left=left)
            self._claim(rollout)
            rollouts.add(rollout)
            return rollout

        return await recorded(self._registry, begin)

    def _claim(self, rollout: PluginRollout) -> None:
        rollout.claim(new_holder(), now=self._clock(), until=self._clock() + self._lease)

    async def change(
        self, rollout: PluginRollout, lease: Lease, change: Callable[[PluginRollout], object]
    ) -> PluginRollout:
        """Change the rollout as it is recorded, under this worker's lease, and return it.

        Raises:
            LeaseLostError: another worker has taken over.
        """

        async def changed(unit: UnitOfWork) -> PluginRollout:
            found = await unit.repository(PluginRolloutRepository).get(rollout.id)
            found.hold(lease, until=self._clock() + self._lease)
            change(found)
            return found

        return await recorded(self._registry, changed)

    async def left(
        self, plugin: Plugin, version: Version, *, without: Collection[TenantId]
    ) -> AsyncGenerator[TenantPlugin, None]:
        """Yield who has an earlier version, but for these tenants; each page is read when it is needed."""
        cursor: Cursor | None = None
        while True:
            async with self._registry.registry(read_only=True) as unit:
                installations = unit.repository(TenantPluginRepository)
                page = await installations.page(installations.behind(plugin, version), size=_PAGE, after=cursor)
            for installation in page.items:
                if installation.tenant_id not in without:
                    yield installation
            cursor = page.next
            if cursor is None:
                return

    async def canaries(self, plugin: Plugin, version: Version, tenants: Sequence[TenantId]) -> Sequence[TenantPlugin]:
        """Return those of these tenants that have an earlier version."""
        async with self._registry.registry(read_only=True) as unit:
            installations = unit.repository(TenantPluginRepository)
            among = attribute(TenantPlugin.tenant_id).in_(tenants)
            return await installations.list(installations.behind(plugin, version) & among, track=False)

    async def upgrade(self, tenant_id: TenantId, rollout: PluginRollout) -> Tally:
        """Upgrade one tenant, and return what became of it."""
        try:
            await self._plugins.upgrade(tenant_id, rollout.plugin_name, version=rollout.target)
        except PluginInstallationError:
            return Tally(failed=1)
        except _SKIPPED:
            return Tally(skipped=1)
        return Tally(upgraded=1)

    @property
    def seconds_between_renewals(self) -> float:
        """How often a worker prolongs its lease."""
        return self._lease.total_seconds() / _RENEWALS_PER_LEASE


class _Run:
    """One worker's way through a rollout."""

    def __init__(self, rollouts: PluginRollouts, plugin: Plugin, rollout: PluginRollout, report: Report) -> None:
        assert rollout.lease is not None, "it was claimed"
        self._rollouts = rollouts
        self._plugin = plugin
        self._rollout = rollout
        self._lease = rollout.lease
        self._report = report
        self._slots = asyncio.Semaphore(rollout.plan.concurrency)

    async def carry_out(self) -> PluginRollout:
        """Go through all waves; return the rollout, done or paused.

        What ends it otherwise pauses it, so that it can be resumed at once; a crash leaves it until its lease is over.
        """
        try:
            every = self._rollouts.seconds_between_renewals
            await while_renewing(self._go_through(), renew=self._renew, every=every)
        except LeaseLostError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            reason = f"it was interrupted: {reason_of(error)}"
            with suppress(PrismicxError):  # then the lease ends by itself
                await self._end(lambda rollout: rollout.pause(reason))
            raise
        if self._rollout.has_used_up_its_budget:
            failed, budget = self._rollout.tally.failed, self._plan.error_budget
            return await self._end(lambda rollout: rollout.pause(f"{failed} failed, the error budget is {budget}"))
        return await self._end(PluginRollout.finish)

    @property
    def _plan(self) -> RolloutPlan:
        return self._rollout.plan

    async def _renew(self) -> None:
        """Record how far it has come, and prolong the lease."""
        await self._rollouts.change(self._rollout, self._lease, partial(PluginRollout.note, tally=self._rollout.tally))

    async def _go_through(self) -> None:
        plugin, target = self._plugin, self._rollout.target
        canaries = await self._rollouts.canaries(plugin, target, self._plan.canaries)
        await self._wave(_each(canaries), len(canaries))
        without = {canary.tenant_id for canary in canaries}
        async with aclosing(self._rollouts.left(plugin, target, without=without)) as others:
            *ends, _ = self._plan.wave_ends(self._rollout.total)
            for end in ends:
                await self._wave(others, end - self._rollout.tally.attempted)
            await self._wave(others, sys.maxsize)  # who came in meanwhile too

    async def _wave(self, installations: AsyncIterator[TenantPlugin], number: int) -> None:
        """Upgrade so many tenants, and wait for all of them; stop early where the error budget is used up."""
        with _alone():
            async with asyncio.TaskGroup() as group:
                for _ in range(number):
                    await self._slots.acquire()
                    is_over = self._rollout.has_used_up_its_budget
                    installation = None if is_over else await anext(installations, None)
                    if installation is None:
                        self._slots.release()
                        return
                    group.create_task(self._upgrade(installation.tenant_id))

    async def _upgrade(self, tenant_id: TenantId) -> None:
        try:
            outcome = await self._rollouts.upgrade(tenant_id, self._rollout)
        finally:
            self._slots.release()
        self._rollout.note(self._rollout.tally.plus(outcome))
        self._report(self._rollout)

    async def _end(self, change: Callable[[PluginRollout], object]) -> PluginRollout:
        tally = self._rollout.tally

        def ended(rollout: PluginRollout) -> None:
            rollout.note(tally)
            change(rollout)

        self._rollout = await self._rollouts.change(self._rollout, self._lease, ended)
        self._report(self._rollout)
        return self._rollout


@contextmanager
def _alone() -> Iterator[None]:
    """Let the first error out of a group of tasks by itself."""
    try:
        yield
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def _each(installations: Sequence[TenantPlugin]) -> AsyncIterator[TenantPlugin]:
    for installation in installations:
        yield installation
