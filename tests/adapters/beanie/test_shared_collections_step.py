"""The tenant's part of the shared collections: verified by trying, counted, deleted, and nobody else's touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.adapters.beanie.examples import ACME, GLOBEX, Faults, tenant

from prismicx.adapters.beanie import BeanieBackend, provisioning
from prismicx.adapters.beanie.provisioning import SharedCollectionsStep
from prismicx.domain.errors import DatabaseError, LeaseLostError, ProvisioningError
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.examples import overtake


@pytest.fixture
def step(backend: BeanieBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, SharedCollectionsStep))
    return found


@pytest.fixture
def filled(stored: Any) -> Any:
    for owner, count in (("acme", 3), ("globex", 2)):
        stored.tasks.insert_many(
            [{"_id": f"{owner} {number}", "tenant_id": owner, "title": str(number)} for number in range(count)]
        )
    stored.notes.insert_one({"_id": "one", "tenant_id": "acme"})
    return stored


def counted(removed: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of what is not empty."""
    return {name: count for name, count in removed.items() if count}


async def test_the_tenants_documents_are_counted_and_deleted(
    step: ProvisioningStep, filled: Any, database: Any
) -> None:
    expected = {f"mongodb:{database.name}.tasks": 3, f"mongodb:{database.name}.notes": 1}

    assert counted(await step.contents(tenant(ACME))) == expected
    assert counted(await step.remove(tenant(ACME))) == expected
    assert counted(await step.remove(tenant(ACME))) == {}

    assert filled.tasks.count_documents({}) == filled.tasks.count_documents({"tenant_id": "globex"}) == 2
    await step.verify(tenant(ACME))
    await step.verify(tenant(GLOBEX))


async def test_a_worker_that_was_overtaken_deletes_nothing(step: ProvisioningStep, filled: Any) -> None:
    overtaken, successor = tenant(ACME), tenant(ACME)
    overtake(successor)
    overtake(successor)
    await step.ensure(successor)

    for refused in (step.ensure, step.remove):
        with pytest.raises(LeaseLostError):
            await refused(overtaken)

    assert filled.tasks.count_documents({"tenant_id": "acme"}) == 3


async def test_verifying_leaves_nothing_behind(step: ProvisioningStep, stored: Any) -> None:
    await step.verify(tenant(ACME))

    assert stored.tasks.count_documents({}) == stored.notes.count_documents({}) == 0


async def test_what_is_missing_or_open_is_told(step: ProvisioningStep, stored: Any) -> None:
    async def told() -> str:
        with pytest.raises(ProvisioningError) as refused:
            await step.verify(tenant(ACME))
        return refused.value.reason

    stored.tasks.drop_index("tenant_id_1_title_1")
    assert "tasks does not have its index unique (tenant_id, title)" in await told()
    stored.notes.drop()
    assert f"there is no collection {stored.name}.notes" in await told()


async def test_a_validator_that_only_warns_is_found_by_trying(
    backend: BeanieBackend, step: ProvisioningStep, stored: Any, server: Any
) -> None:
    stored.command("collMod", "notes", validationAction="warn")
    with pytest.raises(ProvisioningError, match="notes takes a document of nobody"):
        await step.verify(tenant(ACME))

    server["tenant_acme_db"].command("collMod", "user_insights", validationAction="warn")
    own = next(step for step in backend.steps() if step.name == "mongodb.tenant_database")
    with pytest.raises(ProvisioningError, match="user_insights takes a document of another tenant"):
        await own.verify(tenant(ACME))


async def test_a_refusal_of_the_tenants_own_document_is_told(
    step: ProvisioningStep, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: Any, **__: Any) -> list[str]:
        return []

    stored.command("collMod", "tasks", validator={"$jsonSchema": {"required": ["title"]}})
    monkeypatch.setattr(provisioning, "flaws", blind)

    with pytest.raises(ProvisioningError, match="tasks refuses the tenant's own document"):
        await step.verify(tenant(ACME))


async def test_an_answer_that_says_nothing_is_no_verification(step: ProvisioningStep, faults: Faults) -> None:
    with faults("insert", errorCode=2), pytest.raises(DatabaseError):
        await step.verify(tenant(ACME))


async def test_a_duplicate_has_come_past_the_validator(step: ProvisioningStep, stored: Any) -> None:
    stored.tasks.insert_one({"_id": 1, "tenant_id": "acme"})

    await step.verify(tenant(ACME))


async def test_undelivered_events_go_with_their_tenant(step: ProvisioningStep, stored: Any) -> None:
    stored.prismicx_outbox.insert_many([{"tenant_id": owner, "name": "Won"} for owner in ("acme", "globex")])
    outbox = f"mongodb:{stored.name}.prismicx_outbox"

    assert counted(await step.contents(tenant(ACME))) == {outbox: 1}
    assert counted(await step.remove(tenant(ACME))) == {outbox: 1}
    assert [event["tenant_id"] for event in stored.prismicx_outbox.find()] == ["globex"]
