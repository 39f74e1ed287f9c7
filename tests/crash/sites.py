"""Killing at every point, and looking at what is left: the same for each database and each deed on tenants."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tests.crash.killing import Killing
from tests.crash.snapshots import Snapshots

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.application.provisioning import TenantProvisioning
from prismicx.domain.identifiers import TenantId
from prismicx.domain.moments import utc_now
from prismicx.domain.tenancy import TenantStatus
from prismicx.testing.examples import Gadget, Gadgets, Gizmo, Gizmos, Widget, Widgets

CREATE: Final = "tests.crash.deeds:create"
DELETE: Final = "tests.crash.deeds:delete"
LEVELS: Final = ("recorded", "sent") if os.environ.get("PRISMICX_SOAK_CRASH_POINTS") == "all" else ("recorded",)
"""Which points a run kills at: CI those of what is recorded, `nox -s soak` those of each message to a server too."""


@dataclass(frozen=True)
class Site:
    """A database in which processes are killed, and what is left of its tenants is looked at."""

    address: Mapping[str, str]
    backend: SqlAlchemyBackend | BeanieBackend
    look: Callable[[], Awaitable[Snapshots]]
    settle: Callable[[], Awaitable[object]]
    """Has the server notice at once that a client is gone, which it does by itself after a while."""

    @property
    def service(self) -> TenantProvisioning:
        """The service as it is an hour later, when every lease is over."""
        return TenantProvisioning(self.backend, self.backend.steps(), clock=lambda: utc_now() + timedelta(hours=1))


async def kill_everywhere(
    site: Site, killing: Killing, deed: str, another: Callable[[], Awaitable[str]], levels: Sequence[str] = LEVELS
) -> None:
    """Have the deed killed at each of its points, with another tenant each time.

    Afterwards reconcile, and compare what is left with what an undisturbed run leaves, or with what was there before if
    the process died before it had recorded what it was about to do.
    """
    victims: dict[str, tuple[str, int, str]] = {}
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    for level in levels:
        undisturbed = await another()
        before = (await site.look()).get(undisturbed, ())
        points = await killing.points_of(deed, level=level, tenant=undisturbed, **site.address)
        after = (await site.look())[undisturbed]
        for number, label in enumerate(points):
            victims[await another()] = (level, number, label)

    async def died(tenant: str) -> bool:
        level, number, _ = victims[tenant]
        return await killing.kill_or_finish(deed, number, level=level, tenant=tenant, **site.address)

    alone = [tenant for tenant, (level, _, _) in victims.items() if level == "sent"]
    killed = await asyncio.gather(*(died(tenant) for tenant in victims if tenant not in alone))
    for tenant in alone:  # who dies in a transaction may hold up others, whose points are then other ones
        killed.append(await died(tenant))
        await site.settle()
    assert killed.count(False) <= len([level for level, _, _ in victims.values() if level == "sent"]) // 20
    print(f"{deed} on {type(site.backend).__name__}: killed at {sum(killed)} points")
    await site.settle()

    done = TenantStatus.DELETED if deed == DELETE else TenantStatus.ACTIVE
    left, at_once = await site.look(), await states(site)
    for tenant, point in victims.items():
        if at_once.get(tenant) is done:  # the one commit point was passed, so nothing may be missing
            assert left[tenant] == after, f"active or deleted too early: killed at {point}"
    outcomes = await site.service.reconciler.reconcile()
    reconciled = {outcome.tenant_id.value for outcome in outcomes}

    assert [outcome for outcome in outcomes if outcome.outcome != done.value] == []
    found, states_now = await site.look(), await states(site)
    for tenant, point in victims.items():
        was_recorded = tenant in reconciled or at_once.get(tenant) is done
        expected = ("as after an undisturbed run", after) if was_recorded else ("as before", before)
        assert found.get(tenant, ()) == expected[1], f"not {expected[0]}: killed at {point}"
        assert (states_now.get(tenant) is done) == was_recorded, point


def new_names() -> Callable[[], Awaitable[str]]:
    """Return what makes the id of another tenant each time; no other test has it, for a server's roles are shared."""
    numbers, own = itertools.count(), secrets.token_hex(3)

    async def new_name() -> str:
        return f"k{own}{next(numbers):04}"

    return new_name


async def states(site: Site) -> dict[str, TenantStatus]:
    return {tenant.tenant_id.value: tenant.status for tenant in await site.service.list()}


async def fill(site: Site, tenant: str) -> None:
    async with site.backend.unit_of_work(TenantId(tenant)) as unit:
        unit.repository(Widgets).add_many([Widget(code=code) for code in ("a", "b", "c")])
        unit.repository(Gadgets).add_many([Gadget(code=code) for code in ("a", "b")])
        unit.repository(Gizmos).add(Gizmo(code="a"))
        await unit.commit()
