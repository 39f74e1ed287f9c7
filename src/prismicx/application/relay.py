"""Delivering what is in an outbox: at least once, in order for each tenant, by any number of relays."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from types import TracebackType
from typing import Final, Protocol, Self

from prismicx.application.reasons import reason_of
from prismicx.domain.errors import LeaseLostError, PrismicxError, PublisherUnavailableError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.outbox import Claim, Outbox, OutboxEntry, Publisher

_TURN: Final = 10
"""Batches of one tenant before others get a turn."""
_WINDOW: Final = 4
"""Tenants to choose from, for each that can be served at the same time."""
_LONG_INTERRUPTION: Final = 6
"""From so many failures in a row on, the waits for a database do not grow any more."""


class DeadEvents(StrEnum):
    """What a dead event means for those of its tenant that follow it."""

    STOP = "stop"
    """They wait, so that order holds, until somebody asks for the dead one again (`prismicx outbox retry`)."""
    STEP_OVER = "step-over"
    """They go on; the dead one, asked for again, comes out of order."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay works.

    Args:
        batch: events handed to the publisher at once, at most; one alone after a failure.
        lease: seconds that a claim to a tenant lasts, and that others wait after a relay was killed. The publisher
            gets half of them for each batch.
        interval: seconds between two looks into an outbox that had nothing to deliver.
        tenants: tenants served at the same time.
        tries: failed deliveries after which an event is dead.
        dead: what becomes of the events behind it.
        base: upper bound of the first wait after a failure, seconds; it doubles with each further one.
        cap: upper bound of every wait, seconds.
        uniform: the source of chance for the waits: a number between the two it is given ("full jitter").

    Raises:
        ValueError: a number is out of range.
    """

    batch: int = 100
    lease: float = 30.0
    interval: float = 1.0
    tenants: int = 4
    tries: int = 10
    dead: DeadEvents = DeadEvents.STOP
    base: float = 0.5
    cap: float = 300.0
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def __post_init__(self) -> None:
        if min(self.batch, self.tenants, self.tries) < 1:
            raise ValueError("batch, tenants and tries must be 1 or more")
        if self.lease <= 0 or self.interval <= 0:
            raise ValueError("lease and interval must be positive")
        if not 0 < self.base <= self.cap:
            raise ValueError("0 < base <= cap must hold")

    @property
    def past_dead(self) -> bool:
        """Whether a tenant's events go on after a dead one."""
        return self.dead is DeadEvents.STEP_OVER

    def wait_after(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row, 1 or more: uniform on [0, cap or less]."""
        bound = self.base * 2.0 ** min(failures - 1, 60)
        return self.uniform(0.0, min(self.cap, bound))


class RelayObserver(Protocol):
    """Who hears what a relay does."""

    def delivered(self, tenant: TenantId | None, *, events: int) -> None:
        """So many events of a tenant have been delivered."""

    def failed(self, tenant: TenantId | None, *, entry: OutboxEntry, reason: str, dead: bool, wait: float) -> None:
        """A delivery that began with this entry has failed; the tenant is tried again after so many seconds."""

    def overtaken(self, tenant: TenantId | None) -> None:
        """Another relay has taken the tenant over, and delivers again what this one may have delivered."""

    def interrupted(self, error: PrismicxError, *, wait: float) -> None:
        """The database did not answer; it is asked again after so many seconds."""


class Unobserved:
    """Hears nothing."""

    def delivered(self, tenant: TenantId | None, *, events: int) -> None: ...
    def failed(self, tenant: TenantId | None, *, entry: OutboxEntry, reason: str, dead: bool, wait: float) -> None: ...
    def overtaken(self, tenant: TenantId | None) -> None: ...
    def interrupted(self, error: PrismicxError, *, wait: float) -> None: ...


class OutboxRelay:
    """Delivers what is in an outbox, in the background of its `async with` block, or by `run`.

    Leaving the block lets the batches that are being published come to their end, and nothing new begin.

        async with OutboxRelay(backend.outbox, publisher):
            ...
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        *,
        options: RelayOptions | None = None,
        observer: RelayObserver | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._options = options or RelayOptions()
        self._observer: RelayObserver = observer or Unobserved()
        self._now = now
        self._holder = f"{socket.gethostname()[:100]}/{os.getpid()}/{secrets.token_hex(4)}"
        self._stopping = asyncio.Event()
        self._serving: dict[TenantId | None, asyncio.Task[int]] = {}
        self._outages: dict[TenantId | None, int] = {}
        self._interruptions = 0
        self._background: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._publisher.__aenter__()
        self._background = asyncio.create_task(self._deliver_until_stopped())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._background is not None, "it was entered"
        self.stop()
        try:
            await self._background
        finally:
            await self._publisher.__aexit__(kind, error, trace)

    def stop(self) -> None:
        """Begin nothing new: `run` and the block end once what is under way has. Fit for a signal's handler."""
        self._stopping.set()

    async def run(self) -> None:
        """Deliver until `stop`; while the database does not answer, wait for it."""
        async with self:
            await self._stopping.wait()

    async def deliver_waiting(self) -> int:
        """Deliver what is due now, tenant after tenant, and return how many events that were; for tests and scripts.

        Raises:
            ConnectionLostError, DatabaseUnavailableError: of the database, which is not waited for here.
        """
        count = 0
        async with self._publisher:
            while True:
                found = await self._outbox.waiting(now=self._now(), past_dead=self._options.past_dead, limit=1000)
                delivered = sum([await self._serve(tenant) for tenant in found])
                count += delivered
                if not delivered:
                    return count

    async def _deliver_until_stopped(self) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not stopped.done():
                await self._pause(stopped, seconds=await self._look())
            await asyncio.gather(*self._serving.values())
        finally:
            stopped.cancel()
            for task in self._serving.values():
                task.cancel()

    async def _look(self) -> float:
        """Begin to serve as many tenants as there are places for; return the seconds until the next look."""
        places = self._options.tenants - len(self._serving)
        if places <= 0:
            return self._options.interval
        limit = _WINDOW * self._options.tenants
        try:
            found = await self._outbox.waiting(now=self._now(), past_dead=self._options.past_dead, limit=limit)
        except PrismicxError as error:
            return self._interrupted(error)
        self._interruptions = 0
        new = [tenant for tenant in found if tenant not in self._serving]
        for tenant in random.sample(new, min(places, len(new))):  # so that relays rarely want the same one
            self._serving[tenant] = asyncio.create_task(self._serve_or_wait(tenant))
        return self._options.interval

    async def _pause(self, stopped: asyncio.Task[bool], *, seconds: float) -> None:
        """Wait until a tenant had something delivered, so that there may be more, or until the time is over."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while not stopped.done() and (rest := end - clock()) > 0:
            tasks = {stopped, *self._serving.values()}
            await asyncio.wait(tasks, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
            ended = {tenant: task for tenant, task in self._serving.items() if task.done()}
            for tenant in ended:
                del self._serving[tenant]
            delivered = sum(task.result() for task in ended.values())
            if delivered:
                return

    async def _serve_or_wait(self, tenant: TenantId | None) -> int:
        try:
            return await self._serve(tenant)
        except PrismicxError as error:
            self._interrupted(error)
            return 0

    def _interrupted(self, error: PrismicxError) -> float:
        self._interruptions += 1
        wait = self._options.interval + self._options.wait_after(min(self._interruptions, _LONG_INTERRUPTION))
        self._observer.interrupted(error, wait=wait)
        return wait

    async def _serve(self, tenant: TenantId | None) -> int:
        """Deliver some batches of a tenant, if nobody else does; return how many events."""
        claim = await self._outbox.claim(tenant, holder=self._holder, now=self._now(), until=self._in(self._lease))
        if claim is None:
            return 0
        count = 0
        try:
            for _ in range(_TURN):
                entries = await self._batch(claim)
                if not entries or self._stopping.is_set():
                    break
                if not await self._delivered(claim, entries):
                    return count
                count += len(entries)
            await self._outbox.release(claim, until=self._now())
        except LeaseLostError:
            self._observer.overtaken(tenant)
        return count

    async def _batch(self, claim: Claim) -> Sequence[OutboxEntry]:
        """Return what comes next; whatever was in a batch that failed goes alone, to find out which it was."""
        limit = self._options.batch
        entries = await self._outbox.oldest(claim, past_dead=self._options.past_dead, limit=limit)
        untried = takewhile(lambda entry: not entry.attempts, entries)
        return list(untried) or entries[:1]

    async def _delivered(self, claim: Claim, entries: Sequence[OutboxEntry]) -> bool:
        """Publish a batch and take it out of the outbox; where that fails, note it and give up the claim."""
        tenant = claim.tenant
        try:
            async with asyncio.timeout(self._lease / 2):
                await self._publisher.publish([entry.event for entry in entries])
        except PublisherUnavailableError as error:
            self._outages[tenant] = self._outages.get(tenant, 0) + 1
            wait = self._options.wait_after(self._outages[tenant])
            await self._outbox.release(claim, until=self._in(wait))
            self._observer.failed(tenant, entry=entries[0], reason=reason_of(error), dead=False, wait=wait)
            return False
        except Exception as error:  # noqa: BLE001  # whatever a publisher raises is a failed try, and is recorded
            failures, reason = entries[0].attempts + 1, reason_of(error)
            dead = len(entries) == 1 and failures >= self._options.tries
            wait = 0.0 if dead else self._options.wait_after(failures)
            await self._outbox.failed(claim, entries, reason=reason, dead=dead, until=self._in(wait))
            self._observer.failed(tenant, entry=entries[0], reason=reason, dead=dead, wait=wait)
            return False
        self._outages.pop(tenant, None)
        await self._outbox.delivered(claim, entries, until=self._in(self._lease))
        self._observer.delivered(tenant, events=len(entries))
        return True

    @property
    def _lease(self) -> float:
        return self._options.lease

    def _in(self, seconds: float) -> datetime:
        return self._now() + timedelta(seconds=seconds)
