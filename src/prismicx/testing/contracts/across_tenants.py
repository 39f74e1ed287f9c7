"""Two tenants with one identity, and the door to both: what the contracts of system units begin with."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import pytest

from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.ports import Backend
from prismicx.domain.registry import SystemAccessRepository
from prismicx.domain.system import SystemAccess
from prismicx.domain.system_unit import SystemUnitOfWork
from prismicx.testing.contracts.tenants import TwoTenants
from prismicx.testing.contracts.working import store, stored
from prismicx.testing.examples import Widget, Widgets

WHO = "ada@platform.example"


def opened(backend: Backend, *, reason: str = "a contract", read_only: bool = True) -> SystemUnitOfWork:
    """Return a system unit, not yet entered."""
    return backend.system_unit_of_work(reason=reason, actor=WHO, read_only=read_only)


async def recorded(backend: Backend, reason: str) -> list[SystemAccess]:
    """Return the accesses on record for this reason."""
    async with backend.registry(read_only=True) as uow:
        return await uow.repository(SystemAccessRepository).list(SystemAccess.reason == reason)


Kept: TypeAlias = tuple[Widget, Widget]
"""A widget of each tenant."""


class AcrossTenants(TwoTenants):
    """Two tenants, each with a widget of the same identity."""

    @pytest.fixture
    def code(self) -> str:
        """Return what the widgets of this test have in common, for other tests' are in sight too."""
        return f"system {new_id()}"

    @pytest.fixture
    async def kept(self, backend: Backend, acme: TenantId, globex: TenantId, code: str) -> Kept:
        """Return two widgets of one identity and code, one of each tenant."""
        first = Widget(code=code, name="acme's", amount=1)
        second = Widget(id=first.id, code=code, name="globex's", amount=2)
        await store(backend, acme, first)
        await store(backend, globex, second)
        return first, second

    async def entered(self, system: SystemUnitOfWork) -> None:
        async with system:
            pass

    async def after(self, seen: asyncio.Event, backend: Backend, code: str) -> int:
        await seen.wait()
        async with opened(backend) as system:
            return await system.repository(Widgets).count(Widget.code == code)

    async def of(self, backend: Backend, widget: Widget) -> Widget:
        assert widget.tenant is not None
        found = await stored(backend, widget.tenant, widget)
        assert found is not None
        return found

    async def changed_by_its_tenant(self, backend: Backend, tenant: TenantId, widget: Widget) -> None:
        async def change() -> None:
            async with backend.unit_of_work(tenant) as uow:
                (await uow.repository(Widgets).get(widget.id)).name = "changed by globex"
                await uow.commit()

        await asyncio.create_task(change())
