"""Several who make collections at once on MongoDB: what passes is tried again, what is there is looked at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.adapters.beanie.examples import Faults, tenant

from prismicx.adapters.beanie import BeanieBackend
from prismicx.domain.errors import DatabaseError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep

NEW = TenantId("initech")


async def made(steps: Any, tenant_id: TenantId) -> None:
    for step in steps:
        await step.ensure(tenant(tenant_id))


@pytest.fixture
def step(backend: BeanieBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if step.name == "mongodb.tenant_database")
    return found


async def test_eight_at_once_make_one_place(backend: BeanieBackend) -> None:
    await asyncio.gather(*(made(backend.steps(), NEW) for _ in range(8)))

    for step in backend.steps():
        await step.verify(tenant(NEW))


async def test_eight_at_once_make_eight_places(backend: BeanieBackend) -> None:
    tenants = [TenantId(f"new-{number}") for number in range(8)]

    await asyncio.gather(*(made(backend.steps(), each) for each in tenants))

    for each in tenants:
        for step in backend.steps():
            await step.verify(tenant(each))


@pytest.mark.parametrize("command", ["create", "createIndexes"])
@pytest.mark.parametrize("code", [26, 48, 68, 85, 86, 112, 117, 215, 276, 12586, 12587])
async def test_what_passes_is_tried_again(step: ProvisioningStep, faults: Faults, command: str, code: int) -> None:
    with faults(command, errorCode=code):
        await step.ensure(tenant(NEW))

    await step.verify(tenant(NEW))


async def test_what_does_not_pass_is_an_error_after_five_tries(step: ProvisioningStep, faults: Faults) -> None:
    with faults("createIndexes", errorCode=85, times=5), pytest.raises(DatabaseError) as refused:
        await step.ensure(tenant(NEW))
    assert refused.value.code == "85"

    with faults("createIndexes", errorCode=85, times=4):
        await step.ensure(tenant(NEW))


async def test_what_is_no_race_is_not_tried_again(step: ProvisioningStep, faults: Faults) -> None:
    with faults("createIndexes", errorCode=2), pytest.raises(DatabaseError):
        await step.ensure(tenant(NEW))


async def test_an_index_under_another_name_is_there(step: ProvisioningStep, server: Any) -> None:
    await step.ensure(tenant(NEW))
    insights = server["tenant_initech_db"].user_insights
    insights.drop_index("updated_at_1")
    insights.create_index("updated_at", name="by_age")

    await step.ensure(tenant(NEW))

    await step.verify(tenant(NEW))
    assert "updated_at_1" not in insights.index_information()
