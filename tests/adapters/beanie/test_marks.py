"""Owner marks on MongoDB: written first, dropped last, and believed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.beanie.examples import ACME, GLOBEX, Commands, tenant

from prismicx.adapters.beanie import BeanieBackend
from prismicx.adapters.beanie.audit import audit_deployment
from prismicx.adapters.beanie.definitions import own_validator
from prismicx.adapters.beanie.provisioning import TenantDatabaseStep
from prismicx.domain.errors import ForeignObjectError, ProvisioningError
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import ProvisioningStep

NEW = TenantId("initech")
WRITES = ("update", "create", "collMod", "createIndexes", "drop", "dropDatabase")


@pytest.fixture
def step(backend: BeanieBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, TenantDatabaseStep))
    return found


async def test_the_mark_is_written_first_and_dropped_last(
    step: ProvisioningStep, commands: Commands, server: Any
) -> None:
    await step.ensure(tenant(NEW))
    made = [body for name, body in zip(commands.sent, commands.bodies, strict=True) if name in WRITES]
    assert made[0].get("update") == "prismicx_owner"
    assert server["tenant_initech_db"].prismicx_owner.find_one()["tenant_id"] == "initech"

    commands.forget()
    await step.remove(tenant(NEW))
    dropped = [body.get("drop", "everything") for body in commands.bodies if body.keys() & {"drop", "dropDatabase"}]
    assert dropped == ["user_insights", "everything"]


async def test_the_fence_is_asked_before_each_write(step: ProvisioningStep, commands: Commands) -> None:
    await step.ensure(tenant(NEW))
    await step.remove(tenant(NEW))

    of_interest = [name for name in commands.sent if name in (*WRITES, "findAndModify")]
    places = [place for place, name in enumerate(of_interest) if name in WRITES]
    assert len(places) >= 6
    assert all(of_interest[place - 1] == "findAndModify" for place in places)


async def test_a_right_place_is_not_written_to(step: ProvisioningStep, commands: Commands) -> None:
    await step.ensure(tenant(ACME))

    assert not [name for name in commands.sent if name in WRITES]


@pytest.mark.parametrize(
    "mark",
    [
        {"_id": "owner", "tenant_id": "globex"},
        {"_id": "owner", "tenant_id": "initech", "deployment": "another_service"},
        {"_id": "owner"},
    ],
)
async def test_a_mark_of_somebody_else_keeps_us_out(
    backend: BeanieBackend, step: ProvisioningStep, server: Any, database: Any, mark: dict[str, Any]
) -> None:
    here = server["tenant_initech_db"]
    here.prismicx_owner.insert_one({"deployment": database.name} | mark)

    for refused in (step.ensure, step.remove):
        with pytest.raises(ForeignObjectError, match="its mark names"):
            await refused(tenant(NEW))
    with pytest.raises(ProvisioningError, match="its mark names"):
        await step.verify(tenant(NEW))
    assert here.list_collection_names() == ["prismicx_owner"]


async def test_a_place_from_before_there_were_marks_is_adopted(step: ProvisioningStep, server: Any) -> None:
    here = server["tenant_initech_db"]
    here.create_collection("user_insights", validator=own_validator(NEW))

    await step.ensure(tenant(NEW))

    assert here.prismicx_owner.find_one()["tenant_id"] == "initech"
    await step.verify(tenant(NEW))


async def test_one_from_before_can_be_removed_too(step: ProvisioningStep, server: Any) -> None:
    here = server["tenant_initech_db"]
    here.create_collection("user_insights", validator=own_validator(NEW))
    here.user_insights.insert_one({"tenant_id": "initech"})

    assert await step.remove(tenant(NEW)) == {"mongodb:tenant_initech_db.user_insights": 1}
    assert "tenant_initech_db" not in server.list_database_names()


async def test_one_that_lets_in_another_tenant_is_not_adopted(step: ProvisioningStep, server: Any) -> None:
    server["tenant_initech_db"].create_collection("user_insights", validator=own_validator(GLOBEX))

    with pytest.raises(ForeignObjectError, match="it bears no mark"):
        await step.ensure(tenant(NEW))


async def test_views_go_with_their_database(step: ProvisioningStep, server: Any) -> None:
    await step.ensure(tenant(NEW))
    here = server["tenant_initech_db"]
    here.create_collection("seen", viewOn="user_insights", pipeline=[])

    assert await step.remove(tenant(NEW)) == {"mongodb:tenant_initech_db.user_insights": 0}
    assert "tenant_initech_db" not in server.list_database_names()


async def test_the_audit_has_nothing_to_say_about_marks_and_fences(backend: BeanieBackend) -> None:
    report = await audit_deployment(backend._client, AuditScope(), known={"tasks", "notes"})

    assert [finding for finding in report.findings if "prismicx_owner" in finding.object] == []
