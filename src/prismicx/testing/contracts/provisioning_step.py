"""The contract of a provisioning step: it can be run again at any time, and it knows whether its work is there."""

from __future__ import annotations

import pytest

from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant
from prismicx.testing.examples import example_tenant


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

    async def test_nothing_to_remove_is_no_error(self, step: ProvisioningStep, tenant: Tenant) -> None:
        await step.remove(tenant)

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
