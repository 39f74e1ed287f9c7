"""Units of work of one task, of every kind, each answer compared with what the task knows must be there."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend, raw_sql
from prismicx.adapters.sqlalchemy.unit_of_work import SqlAlchemyUnitOfWork
from prismicx.domain.errors import ConcurrencyError, DuplicateEntityError, PrismicxError, TransactionConflictError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import attribute
from prismicx.testing.examples import Widget, Widgets

TENANTS: Final = tuple(TenantId(f"tenant-{number}") for number in range(5))
COUNTER: Final = "counter"

_OWN: Final = raw_sql("SELECT code, amount FROM public.widgets WHERE starts_with(code, :own)")
LEAVE: Final = "SELECT set_config('prismicx.left_behind', :tenant, false), pg_try_advisory_lock(hashtext(:tenant))"


@dataclass
class Report:
    """What came of the units of one process."""

    units: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    increments: Counter[str] = field(default_factory=Counter)


class Refused(Exception):
    """Ends a block on purpose."""


def refuse() -> NoReturn:
    """Raise what nobody but the caller expects."""
    raise Refused


class Worker:
    """One task with rows of its own in every tenant, told from all others by their codes."""

    def __init__(self, backend: SqlAlchemyBackend, name: str, report: Report) -> None:
        self._backend = backend
        self._name = name
        self._report = report
        self._random = Random(name)
        self._known: dict[TenantId, dict[str, Widget]] = {tenant: {} for tenant in TENANTS}
        self._amounts: dict[TenantId, dict[str, int]] = {tenant: {} for tenant in TENANTS}
        self._made = 0

    async def run(self, units: int) -> None:
        """Open as many units of work, one after the other."""
        kinds = (self.insert, self.insert, self.update, self.get, self.listed, self.streamed, self.in_session)
        rarer = (self.increment, self.in_savepoint, self.discarded, self.duplicate, self.cancelled)
        for _ in range(units):
            tenant = self._random.choice(TENANTS)
            action = self._random.choice(kinds * 2 + rarer)
            try:
                await action(tenant)
            except (PrismicxError, OSError, SQLAlchemyError) as error:
                self._report.errors.append(f"{action.__name__}: {type(error).__name__}: {error}")
            self._report.units += 1

    def _unit(self, tenant: TenantId) -> SqlAlchemyUnitOfWork:
        unit = self._backend.unit_of_work(tenant)
        assert isinstance(unit, SqlAlchemyUnitOfWork)
        return unit

    def _new(self, tenant: TenantId) -> Widget:
        self._made += 1
        return Widget(code=f"{self._name}/{self._made}", name=str(tenant), amount=self._made)

    def _check(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            self._report.wrong.append(f"{self._name} {what}: {found!r} instead of {expected!r}")

    def _remember(self, tenant: TenantId, widget: Widget) -> None:
        self._known[tenant][widget.code] = widget
        self._amounts[tenant][widget.code] = widget.amount

    async def insert(self, tenant: TenantId) -> None:
        new = [self._new(tenant) for _ in range(self._random.randint(1, 3))]
        async with self._unit(tenant) as uow:
            uow.repository(Widgets).add_many(new)
            await uow.commit()
        for widget in new:
            self._remember(tenant, widget)

    async def update(self, tenant: TenantId) -> None:
        if not self._known[tenant]:
            return
        known = self._random.choice(list(self._known[tenant].values()))
        async with self._unit(tenant) as uow:
            widget = await uow.repository(Widgets).get(known.id)
            self._check("read before an update", widget.amount, self._amounts[tenant][known.code])
            widget.amount += 1000
            widget.labels = {"by": self._name}
            await uow.commit()
        self._remember(tenant, widget)

    async def get(self, tenant: TenantId) -> None:
        other = self._random.choice(TENANTS)
        for owner, known in list(self._known[other].items())[-1:]:
            async with self._unit(tenant) as uow:
                widgets = uow.repository(Widgets)
                found = await widgets.find(known.id)
                expected = self._amounts[other][owner] if tenant == other else None
                self._check("get", found and found.amount, expected)
                await uow.commit()

    async def listed(self, tenant: TenantId) -> None:
        async with self._unit(tenant) as uow:
            found = await uow.repository(Widgets).list(attribute(Widget.code).prefix(f"{self._name}/"), track=False)
            self._check("list", {each.code: each.amount for each in found}, self._amounts[tenant])

    async def streamed(self, tenant: TenantId) -> None:
        own: dict[str, int] = {}
        names: set[str] = set()
        async with self._unit(tenant) as uow:
            async for each in uow.repository(Widgets).stream(Widget.code != COUNTER):
                names.add(each.name)
                if each.code.startswith(f"{self._name}/"):
                    own[each.code] = each.amount
            await uow.commit()
        self._check("stream", own, self._amounts[tenant])
        self._check("tenants in a stream", names - {str(tenant)}, set())

    async def in_session(self, tenant: TenantId) -> None:
        new = self._new(tenant)
        async with self._unit(tenant) as uow:
            uow.repository(Widgets).add(new)
            rows = (await uow.session.execute(_OWN, {"own": f"{self._name}/"})).all()
            self._check("session", dict(map(tuple, rows)), self._amounts[tenant] | {new.code: new.amount})
            left = await uow.session.scalar(raw_sql("SELECT current_setting('prismicx.left_behind', true)"))
            self._check("left by another session", left or "", "")
            await uow.session.execute(raw_sql(LEAVE), {"tenant": str(tenant)})
            if self._random.random() < 0.5:
                return
            await uow.commit()
        self._remember(tenant, new)

    async def increment(self, tenant: TenantId) -> None:
        while True:
            try:
                async with self._unit(tenant) as uow:
                    counter = await uow.repository(Widgets).by_code(COUNTER)
                    assert counter is not None, "made before the load began"
                    counter.amount += 1
                    await uow.commit()
            except (ConcurrencyError, TransactionConflictError):
                continue
            self._report.increments[tenant.value] += 1
            return

    async def in_savepoint(self, tenant: TenantId) -> None:
        kept, dropped = self._new(tenant), self._new(tenant)
        async with self._unit(tenant) as uow:
            widgets = uow.repository(Widgets)
            widgets.add(kept)
            try:
                async with uow.savepoint():
                    widgets.add(dropped)
                    await uow.flush()
                    refuse()
            except Refused:
                self._check("savepoint", await widgets.exists(Widget.code == dropped.code), False)
            await uow.commit()
        self._remember(tenant, kept)

    async def discarded(self, tenant: TenantId) -> None:
        async with self._unit(tenant) as uow:
            uow.repository(Widgets).add(self._new(tenant))
            await uow.flush()

    async def duplicate(self, tenant: TenantId) -> None:
        for code in list(self._known[tenant])[:1]:
            try:
                async with self._unit(tenant) as uow:
                    uow.repository(Widgets).add(Widget(code=code))
                    await uow.commit()
            except DuplicateEntityError:
                return
            self._check("duplicate", "was stored", "was refused")

    async def cancelled(self, tenant: TenantId) -> None:
        try:
            async with asyncio.timeout(0.02), self._unit(tenant) as uow:
                uow.repository(Widgets).add(self._new(tenant))
                await uow.session.execute(raw_sql("SELECT pg_sleep(30)"))
        except TimeoutError:
            return
        self._check("a statement of half a minute", "ended", "was cancelled")
