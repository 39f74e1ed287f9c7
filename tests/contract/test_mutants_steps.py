"""Twins of the promises about provisioning steps: with the bug planted, the contract goes red."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.contract.opened import opened_memory
from tests.contract.steps import ShelfStep

from prismicx.adapters.memory import MemoryBackend
from prismicx.domain.errors import LeaseLostError, ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep
from prismicx.domain.tenancy import Tenant
from prismicx.testing.contracts import ProvisioningStepContract as Contract
from prismicx.testing.contracts import assert_contract_catches
from prismicx.testing.contracts.provisioning_step import FencedStepContract as Fenced
from prismicx.testing.examples import example_tenant, overtake


@pytest.fixture
async def backend() -> AsyncIterator[MemoryBackend]:
    async with opened_memory() as backend:
        yield backend


class NeverVerifies(ShelfStep):
    async def verify(self, tenant: Tenant) -> None:
        """Say yes to everything."""


class NeverMakes(ShelfStep):
    async def ensure(self, tenant: Tenant) -> None:
        """Do nothing."""


class NeverRemoves(ShelfStep):
    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        return {}


class MakesOnce(ShelfStep):
    async def ensure(self, tenant: Tenant) -> None:
        if tenant.tenant_id in self.shelves:
            raise ValueError("it is there already")
        await super().ensure(tenant)


class MakesOnceForEver(ShelfStep):
    def __init__(self) -> None:
        super().__init__()
        self.made: set[TenantId] = set()

    async def ensure(self, tenant: Tenant) -> None:
        if tenant.tenant_id not in self.made:
            self.made.add(tenant.tenant_id)
            await super().ensure(tenant)


class RemovesOnce(ShelfStep):
    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        return {"shelf.books": self.shelves.pop(tenant.tenant_id)}


class OneForAll(ShelfStep):
    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        self.shelves.clear()
        return {}


class CountsWhatIsNotThere(ShelfStep):
    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        return {"shelf.books": 3}


class CountsNothing(ShelfStep):
    async def remove(self, tenant: Tenant) -> Mapping[str, int]:
        await super().remove(tenant)
        return {}


class CountsWhatItMakes(ShelfStep):
    async def contents(self, tenant: Tenant) -> Mapping[str, int]:
        await self.ensure(tenant)
        return await super().contents(tenant)


class Renames(ShelfStep):
    async def ensure(self, tenant: Tenant) -> None:
        tenant.name = "renamed"
        await super().ensure(tenant)


class Nameless(ShelfStep):
    @property
    def name(self) -> str:
        return ""


class Unfenced(ShelfStep):
    def require_fence(self, tenant: Tenant) -> None:
        """Let everybody work."""


class FencesItself(ShelfStep):
    def require_fence(self, tenant: Tenant) -> None:
        if tenant.tenant_id in self.fences:
            raise LeaseLostError(tenant.subject, fence=tenant.fence)
        self.fences[tenant.tenant_id] = tenant.fence


class OneFenceForAll(ShelfStep):
    greatest = 0

    def require_fence(self, tenant: Tenant) -> None:
        if tenant.fence < self.greatest:
            raise LeaseLostError(tenant.subject, fence=tenant.fence)
        self.greatest = tenant.fence


@pytest.mark.parametrize(
    ("step", "test"),
    [
        (Nameless, Contract.test_it_has_a_name),
        (NeverVerifies, Contract.test_what_was_not_made_is_not_verified),
        (NeverMakes, Contract.test_what_was_made_is_verified),
        (MakesOnce, Contract.test_making_it_again_changes_nothing),
        (MakesOnceForEver, Contract.test_what_was_removed_can_be_made_again),
        (NeverRemoves, Contract.test_what_was_removed_is_not_verified),
        (RemovesOnce, Contract.test_removing_it_again_changes_nothing),
        (RemovesOnce, Contract.test_nothing_to_remove_is_no_error_and_counts_nothing),
        (CountsWhatIsNotThere, Contract.test_nothing_to_remove_is_no_error_and_counts_nothing),
        (CountsNothing, Contract.test_what_is_removed_is_counted_as_it_was_found),
        (CountsWhatItMakes, Contract.test_counting_makes_nothing),
        (OneForAll, Contract.test_one_tenants_place_is_not_anothers),
        (Renames, Contract.test_it_only_reads_the_tenant),
        (Unfenced, Fenced.test_a_worker_that_was_overtaken_makes_nothing),
        (Unfenced, Fenced.test_a_worker_that_was_overtaken_removes_nothing),
        (FencesItself, Fenced.test_the_same_worker_goes_on),
        (OneFenceForAll, Fenced.test_one_tenants_worker_does_not_overtake_anothers),
    ],
)
async def test_a_step_that_breaks_its_promise(backend: MemoryBackend, step: type[ProvisioningStep], test: Any) -> None:
    tenant = example_tenant(TenantId.new())
    taken_over = tenant.model_copy(deep=True)
    overtake(taken_over)

    await assert_contract_catches(
        test,
        backend,
        step=step(),
        tenant=tenant,
        other_tenant=example_tenant(TenantId.new()),
        taken_over=taken_over,
        raising=(ProvisioningError, LeaseLostError, ValueError, KeyError),
    )
