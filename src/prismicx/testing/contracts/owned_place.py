"""The contract of a step that makes places in a database: it knows its own, counts it, and survives any break."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from prismicx.domain.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseUnavailableError,
    ForeignObjectError,
    ProvisioningError,
    StatementTimeoutError,
)
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant
from prismicx.testing.examples import example_tenant


class Laboratory(ABC):
    """What the contract does behind a step's back, in the database that the step works on."""

    @abstractmethod
    async def occupy(self, tenant: Tenant) -> None:
        """Put something under the name of the tenant's place that prismicx did not make."""

    @abstractmethod
    async def occupied(self, tenant: Tenant) -> Any:
        """Return what stands under that name, in a form that is equal as long as nobody has touched it."""

    @abstractmethod
    async def fill(self, tenant: Tenant) -> Mapping[str, int]:
        """Write into the place that was made; return how many rows or documents are where, by full name."""

    @abstractmethod
    async def traces(self, tenant: Tenant) -> Collection[str]:
        """Return the names of everything that is there of the tenant, as its administrator sees the server."""

    @abstractmethod
    def breaking_at(self, number: int) -> AbstractAsyncContextManager[None]:
        """Let nothing through from the step's statement of this number on, counted from 1: it breaks or times out."""


class OwnedPlaceContract:
    """What every step promises that makes places in a database. A step joins with `step` and `laboratory`."""

    @pytest.fixture
    def tenant(self) -> Tenant:
        """Return a tenant that no other test knows."""
        return example_tenant(TenantId.new())

    async def test_what_somebody_else_has_made_is_neither_adopted_nor_touched(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        await laboratory.occupy(tenant)
        before = await laboratory.occupied(tenant)

        with pytest.raises(ForeignObjectError):
            await step.ensure(tenant)

        assert await laboratory.occupied(tenant) == before

    async def test_what_somebody_else_has_made_is_not_removed_or_counted(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        await laboratory.occupy(tenant)
        before = await laboratory.occupied(tenant)

        assert not any((await step.contents(tenant)).values())
        with pytest.raises(ForeignObjectError):
            await step.remove(tenant)

        assert await laboratory.occupied(tenant) == before

    async def test_what_somebody_else_has_made_is_not_verified(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        await laboratory.occupy(tenant)

        with pytest.raises(ProvisioningError) as refused:
            await step.verify(tenant)

        assert "was not made for this tenant by prismicx" in refused.value.reason

    async def test_the_receipt_says_what_was_removed_and_nothing_is_left(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        untouched = await laboratory.traces(tenant)
        await step.ensure(tenant)
        written = await laboratory.fill(tenant)

        assert any(written.values())
        assert await step.contents(tenant) == written
        assert await step.remove(tenant) == written
        assert await laboratory.traces(tenant) == untouched

    async def test_verifying_leaves_nothing_behind(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        await step.ensure(tenant)
        written = await laboratory.fill(tenant)
        before = await laboratory.traces(tenant)

        await step.verify(tenant)

        assert await step.contents(tenant) == written
        assert await laboratory.traces(tenant) == before

    async def test_wherever_making_it_breaks_it_is_finished_by_making_it_again(
        self, step: ProvisioningStep, laboratory: Laboratory, tenant: Tenant
    ) -> None:
        await step.ensure(tenant)
        expected = _anonymous(await laboratory.traces(tenant), tenant)
        number, happened = 0, True
        while happened:
            number += 1
            other = example_tenant(TenantId.new())
            happened = await _breaks(laboratory, number, step.ensure(other))

            await step.ensure(other)
            await step.verify(other)
            assert _anonymous(await laboratory.traces(other), other) == expected

        assert number > 3, "the connection has hardly been asked for anything"

    async def test_wherever_removing_it_breaks_it_is_finished_by_removing_it_again(
        self, step: ProvisioningStep, laboratory: Laboratory
    ) -> None:
        number, happened = 0, True
        while happened:
            number += 1
            other = example_tenant(TenantId.new())
            untouched = await laboratory.traces(other)
            await step.ensure(other)
            happened = await _breaks(laboratory, number, step.remove(other))

            await step.remove(other)
            assert await laboratory.traces(other) == untouched

        assert number > 3, "the connection has hardly been asked for anything"


async def _breaks(laboratory: Laboratory, number: int, work: Awaitable[Any]) -> bool:
    """Tell whether the connection broke before the work was done; any other error is one."""
    async with laboratory.breaking_at(number):
        try:
            await work
        except (CommitOutcomeUnknownError, ConnectionLostError, DatabaseUnavailableError, StatementTimeoutError):
            return True
    return False


def _anonymous(traces: Collection[str], tenant: Tenant) -> list[str]:
    return sorted(trace.replace(tenant.tenant_id.value, "<tenant>") for trace in traces)
