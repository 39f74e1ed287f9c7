"""What work over all tenants puts on the record, and when it is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from prismicx.domain.errors import (
    InvalidSystemAccessError,
    PrismicxError,
    SystemScopeInsideTenantError,
    UnitOfWorkClosedError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.domain.registry import SystemAccessRepository
from prismicx.domain.system import SystemAccess
from prismicx.testing.contracts.across_tenants import WHO, AcrossTenants, Kept, opened, recorded
from prismicx.testing.contracts.working import reached
from prismicx.testing.examples import Widget, Widgets


class SystemDoorContract(AcrossTenants):
    """A system unit says who opens it and why, and opens outside of any tenant's."""

    # --- The record. ---

    async def test_it_is_on_record_before_the_first_query(self, backend: Backend, code: str) -> None:
        with capture_logs() as logs:
            async with opened(backend, reason=code, read_only=False) as uow:
                (access,) = await recorded(backend, code)

        assert (access.actor, access.reason, access.read_only, access.backend) == (
            WHO,
            code,
            False,
            type(backend).__name__,
        )
        assert access.id == uow.access.id
        logged = [entry for entry in logs if entry["event"] == "system_scope.opening"]
        assert [(entry["actor"], entry["reason"], entry["read_only"]) for entry in logged] == [(WHO, code, False)]

    async def test_it_stays_on_record_whatever_becomes_of_the_unit(self, backend: Backend, code: str) -> None:
        with pytest.raises(ZeroDivisionError):
            async with opened(backend, reason=code):
                raise ZeroDivisionError

        assert len(await recorded(backend, code)) == 1

    async def test_the_latest_are_found_first(self, backend: Backend, code: str) -> None:
        for number in range(2):
            async with opened(backend, reason=f"{code} {number}"):
                pass

        async with backend.registry(read_only=True) as uow:
            latest = await uow.repository(SystemAccessRepository).latest(200)
        reasons = [access.reason for access in latest if access.reason.startswith(code)]
        assert sorted(reasons) == [f"{code} 0", f"{code} 1"]
        assert [each.opened_at for each in latest] == sorted((each.opened_at for each in latest), reverse=True)

    async def test_it_cannot_change_or_remove_what_is_on_record(self, backend: Backend, code: str) -> None:
        async with opened(backend, reason=code, read_only=False) as uow:
            accesses = uow.repository(SystemAccessRepository)
            (access,) = await accesses.list(SystemAccess.reason == code)
            with pytest.raises(ValueError, match="frozen"):
                access.reason = "another one"
            accesses.remove(access)
            with pytest.raises(UnsupportedOperationError):
                await uow.commit()

        assert len(await recorded(backend, code)) == 1

    # --- When it is refused. ---

    @pytest.mark.parametrize("blank", ("", "  ", None, "x" * 1001, "a\x00b", "two\nlines", 7))
    async def test_a_reason_is_needed(self, backend: Backend, blank: Any) -> None:
        with pytest.raises(InvalidSystemAccessError) as refused:
            backend.system_unit_of_work(reason=blank, actor=WHO)

        assert refused.value.subject == "reason"

    @pytest.mark.parametrize("blank", ("", "\t", None, "x" * 201))
    async def test_an_actor_is_needed(self, backend: Backend, blank: Any) -> None:
        with pytest.raises(InvalidSystemAccessError) as refused:
            backend.system_unit_of_work(reason="a contract", actor=blank)

        assert refused.value.subject == "actor"

    async def test_whether_it_writes_is_a_plain_yes_or_no(self, backend: Backend) -> None:
        not_a_bool: Any = "no"

        with pytest.raises(InvalidSystemAccessError):
            backend.system_unit_of_work(reason="a contract", actor=WHO, read_only=not_a_bool)

    async def test_it_is_refused_inside_a_tenants_unit(self, backend: Backend, acme: TenantId, code: str) -> None:
        async with backend.unit_of_work(acme) as uow:
            with capture_logs() as logs, pytest.raises(SystemScopeInsideTenantError) as refused:
                await self.entered(opened(backend, reason=code))
            assert await uow.repository(Widgets).count() == 0  # the tenant's unit goes on

        assert refused.value.tenant == acme.value
        assert [entry["event"] for entry in logs] == ["system_scope.refused"]
        assert await recorded(backend, code) == []

    async def test_it_is_refused_in_a_task_that_a_tenants_unit_has_started(
        self, backend: Backend, acme: TenantId, code: str
    ) -> None:
        async with backend.unit_of_work(acme):
            with pytest.raises(SystemScopeInsideTenantError):
                await asyncio.create_task(self.entered(opened(backend, reason=code)))

    async def test_it_is_refused_inside_a_tenants_unit_that_is_broken(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        async with backend.unit_of_work(acme) as uow:
            uow.repository(Widgets).add(Widget(code=code))
            with pytest.raises(PrismicxError):
                await uow.flush()
            with pytest.raises(SystemScopeInsideTenantError):
                await self.entered(opened(backend, reason=code))

    async def test_it_opens_after_a_tenants_unit_and_beside_one(
        self, backend: Backend, acme: TenantId, kept: Kept, code: str
    ) -> None:
        started, seen = asyncio.Event(), asyncio.Event()

        async def tenant_unit() -> None:
            async with backend.unit_of_work(acme):
                started.set()
                await seen.wait()

        beside = asyncio.create_task(tenant_unit())
        await reached(started, by=beside)
        async with backend.unit_of_work(acme) as uow:
            later = asyncio.create_task(self.after(seen, backend, code))
            await uow.commit()
        async with opened(backend) as system:
            assert await system.repository(Widgets).count(Widget.code == code) == 2
        seen.set()
        await beside

        assert await later == 2

    async def test_a_tenants_unit_opens_inside_a_system_unit(
        self, backend: Backend, acme: TenantId, globex: TenantId, kept: Kept, code: str
    ) -> None:
        async with opened(backend) as system:
            tenants = [each.tenant async for each in system.repository(Widgets).stream(Widget.code == code)]
            for tenant in tenants:
                assert tenant is not None
                async with backend.unit_of_work(tenant) as uow:
                    (await uow.repository(Widgets).get(kept[0].id)).name = "through its own door"
                    await uow.commit()

        assert {(await self.of(backend, each)).name for each in kept} == {"through its own door"}

    async def test_it_is_entered_once_and_ends_with_its_block(self, backend: Backend) -> None:
        system = opened(backend)
        async with system:
            pass

        with pytest.raises(UnitOfWorkClosedError):
            await self.entered(system)
        with pytest.raises(UnitOfWorkClosedError):
            system.repository(Widgets)
