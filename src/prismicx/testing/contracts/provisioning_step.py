"""The contract of a provisioning step: it can be run again at any time, and it knows whether its work is there.

Those whose writes carry the fencing number, as every one on a database must, join the second contract too.
"""

from __future__ import annotations

import pytest

from prismicx.domain.errors import LeaseLostError, ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant
from prismicx.testing.examples import example_tenant, overtake


class ProvisioningStepContract:
    """What every provisioning step promises. A step joins with one fixture, `step`."""

    @pytest.fixture
    def tenant(self) -> Tenant:
        """Return a tenant that no other test knows."""
        return example_tenant(TenantId.new())

    @pytest.fixture
    def other_tenant(self) -> Tenant:
        """Return another tenant that no other test knows."""
        return example_tenant(TenantId.new())

    async def test_it_has_a_name(self, step: ProvisioningStep) -> None:
        assert step.name
        assert step.name == step.name.strip()

    async def test_what_was_not_made_is_not_verified(self, step: ProvisioningStep, tenant: Tenant) -> None:
        with pytest.raises(ProvisioningError) as missing:
            await step.verify(tenant)

        assert (missing.value.tenant_id, missing.value.step) == (tenant.tenant_id.value, step.name)
        assert missing.value.reason

    async def test_what_was_made_is_verified(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)

        await step.verify(tenant)

    async def test_making_it_again_changes_nothing(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)
        await step.ensure(tenant)

        await step.verify(tenant)

    async def test_what_was_removed_is_not_verified(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)
        await step.remove(tenant)

        with pytest.raises(ProvisioningError):
            await step.verify(tenant)

    async def test_removing_it_again_changes_nothing(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)
        await step.remove(tenant)
        await step.remove(tenant)

        with pytest.raises(ProvisioningError):
            await step.verify(tenant)

    async def test_nothing_to_remove_is_no_error_and_counts_nothing(
        self, step: ProvisioningStep, tenant: Tenant
    ) -> None:
        assert not any((await step.contents(tenant)).values())
        assert not any((await step.remove(tenant)).values())

    async def test_what_is_removed_is_counted_as_it_was_found(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)
        found = await step.contents(tenant)

        assert await step.remove(tenant) == found
        assert all(count >= 0 for count in found.values())
        assert not any((await step.contents(tenant)).values())

    async def test_counting_makes_nothing(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.contents(tenant)

        with pytest.raises(ProvisioningError):
            await step.verify(tenant)

    async def test_what_was_removed_can_be_made_again(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.ensure(tenant)
        await step.remove(tenant)
        await step.ensure(tenant)

        await step.verify(tenant)

    async def test_one_tenants_place_is_not_anothers(
        self, step: ProvisioningStep, tenant: Tenant, other_tenant: Tenant
    ) -> None:
        await step.ensure(tenant)
        await step.ensure(other_tenant)
        await step.remove(tenant)

        await step.verify(other_tenant)
        with pytest.raises(ProvisioningError):
            await step.verify(tenant)

    async def test_it_only_reads_the_tenant(self, step: ProvisioningStep, tenant: Tenant) -> None:
        before, events_before = tenant.model_copy(deep=True), tenant.recorded_events

        await step.ensure(tenant)
        await step.verify(tenant)
        await step.remove(tenant)

        assert tenant == before
        assert tenant.recorded_events == events_before


class FencedStepContract:
    """What every step promises whose writes carry the fencing number. A step joins with one fixture, `step`."""

    @pytest.fixture
    def tenant(self) -> Tenant:
        """Return a tenant that no other test knows, as the worker knows it who was at it first."""
        return example_tenant(TenantId.new())

    @pytest.fixture
    def taken_over(self, tenant: Tenant) -> Tenant:
        """Return the same tenant as the worker knows it who took over."""
        taken_over = tenant.model_copy(deep=True)
        overtake(taken_over)
        return taken_over

    async def test_a_worker_that_was_overtaken_makes_nothing(
        self, step: ProvisioningStep, tenant: Tenant, taken_over: Tenant
    ) -> None:
        await step.ensure(taken_over)
        await step.remove(taken_over)

        with pytest.raises(LeaseLostError):
            await step.ensure(tenant)

        with pytest.raises(ProvisioningError):
            await step.verify(tenant)

    async def test_a_worker_that_was_overtaken_removes_nothing(
        self, step: ProvisioningStep, tenant: Tenant, taken_over: Tenant
    ) -> None:
        await step.ensure(taken_over)

        with pytest.raises(LeaseLostError):
            await step.remove(tenant)

        await step.verify(taken_over)

    async def test_the_same_worker_goes_on(self, step: ProvisioningStep, taken_over: Tenant) -> None:
        await step.ensure(taken_over)
        await step.ensure(taken_over)
        await step.remove(taken_over)
        await step.ensure(taken_over)

        await step.verify(taken_over)

    async def test_one_tenants_worker_does_not_overtake_anothers(
        self, step: ProvisioningStep, taken_over: Tenant
    ) -> None:
        other = example_tenant(TenantId.new())

        await step.ensure(taken_over)
        await step.ensure(other)

        await step.verify(other)
