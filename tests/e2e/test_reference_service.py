"""The reference service: these tests know no database, and run unchanged on each."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import UUID

import pytest

from prismicx import DuplicateEntityError, EntityNotFoundError, TenantId, TenantNotActiveError, TenantNotFoundError
from prismicx.application.plugins import PluginInstallation
from prismicx.container import Container
from prismicx.demo.domain import Customer, InsufficientFundsError, Note, NoteRepository, Task, Topic
from prismicx.demo.service import ReferenceService
from prismicx.domain.identifiers import new_id

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


async def test_a_user_is_found_by_its_id(service: ReferenceService) -> None:
    user_id = await service.register_user(ACME, email="ada@acme.test", name="Ada")

    user = await service.user_by_id(ACME, user_id)

    assert (user.name, user.tenant, user.version) == ("Ada", ACME, 1)


async def test_another_tenants_user_counts_as_none(service: ReferenceService) -> None:
    user_id = await service.register_user(ACME, email="ada@acme.test", name="Ada")

    with pytest.raises(EntityNotFoundError):
        await service.user_by_id(GLOBEX, user_id)


async def test_an_address_is_taken_once_in_a_tenant_and_free_in_the_other(service: ReferenceService) -> None:
    await service.register_user(ACME, email="ada@acme.test", name="Ada")

    with pytest.raises(DuplicateEntityError) as refused:
        await service.register_user(ACME, email="ada@acme.test", name="Another Ada")
    await service.register_user(GLOBEX, email="ada@acme.test", name="Ada, who works for both")

    assert refused.value.key == ("email",)


async def test_customers_live_in_the_schema_of_their_tenant(service: ReferenceService) -> None:
    ada = Customer(email="ada@customers.test", name="Ada")
    await service.add_customers(ACME, [ada, Customer(email="bob@customers.test", name="Bob")])

    found = await service.crm_customer(ACME, ada.id)

    assert found is not None
    assert found.name == "Ada"
    assert await service.crm_customer(GLOBEX, ada.id) is None


async def test_winning_a_customer_is_written_without_saying_so(service: ReferenceService) -> None:
    await service.add_customers(ACME, [Customer(email="ada@customers.test", name="Ada")])

    won = await service.win_customer(ACME, "ada@customers.test")

    assert won is not None
    assert [customer.version for customer in await service.won_customers(ACME)] == [2]
    assert await service.win_customer(ACME, "nobody@customers.test") is None


async def test_insights_live_in_the_database_of_their_tenant(service: ReferenceService) -> None:
    user_id = new_id()
    await service.learn(ACME, user_id, Topic(name="pricing", score=0.25))
    await service.learn(ACME, user_id, Topic(name="support", score=0.5))
    await service.learn(ACME, user_id, Topic(name="pricing", score=0.75))

    insight = await service.user_insights(ACME, user_id)

    assert insight is not None
    assert insight.topics == (Topic(name="support", score=0.5), Topic(name="pricing", score=0.75))
    assert await service.user_insights(GLOBEX, user_id) is None


async def test_all_open_tasks_are_listed_and_not_the_first_hundred(service: ReferenceService) -> None:
    await service.add_tasks(ACME, [Task(title=f"task {number}") for number in range(250)])
    await service.add_tasks(GLOBEX, [Task(title="theirs")])

    assert len(await service.tenant_tasks(ACME)) == 250
    assert [task.title for task in await service.tenant_tasks(GLOBEX)] == ["theirs"]


async def accounts(service: ReferenceService, tenant: TenantId) -> tuple[UUID, UUID]:
    source = await service.open_account(tenant, owner="Ada", balance=Decimal("100.00"))
    return source, await service.open_account(tenant, owner="Bob", balance=Decimal("0.00"))


async def test_a_transfer_moves_money_and_makes_none(service: ReferenceService) -> None:
    source, target = await accounts(service, ACME)
    await accounts(service, GLOBEX)

    await service.transfer(ACME, source=source, target=target, amount=Decimal("30.50"))

    assert str(await service.money(ACME)) == "100.00"
    with pytest.raises(InsufficientFundsError):
        await service.transfer(ACME, source=source, target=target, amount=Decimal("69.51"))


async def test_a_transfer_that_fails_half_way_leaves_nothing(service: ReferenceService) -> None:
    source, _ = await accounts(service, ACME)
    _, elsewhere = await accounts(service, GLOBEX)

    with pytest.raises(EntityNotFoundError):
        await service.transfer(ACME, source=source, target=elsewhere, amount=Decimal(10))

    assert await service.money(ACME) == await service.money(GLOBEX) == Decimal(100)


async def test_transfers_at_the_same_time_all_happen_once(service: ReferenceService) -> None:
    source, target = await accounts(service, ACME)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(service.transfer(ACME, source=source, target=target, amount=Decimal("10.00")))

    await service.transfer(ACME, source=target, target=source, amount=Decimal("30.00"))
    with pytest.raises(InsufficientFundsError):
        await service.transfer(ACME, source=target, target=source, amount=Decimal("0.01"))


async def test_categories_change_together(service: ReferenceService) -> None:
    await service.update_categories(ACME, {"new": "New", "vip": "VIP"})
    await service.update_categories(ACME, {"new": "Newcomers", "vip": "Friends", "old": "Regulars"})

    assert await service.categories(ACME) == {"new": "Newcomers", "vip": "Friends", "old": "Regulars"}
    assert await service.categories(GLOBEX) == {}


async def test_a_suspended_or_unknown_tenant_gets_nowhere(service: ReferenceService, wired: Container) -> None:
    await wired.tenants().suspend(GLOBEX)

    with pytest.raises(TenantNotActiveError) as refused:
        await service.won_customers(GLOBEX)
    with pytest.raises(TenantNotFoundError):
        await service.won_customers(TenantId("initech"))

    assert refused.value.status == "suspended"


async def test_an_upgraded_plugin_has_its_new_table(service: ReferenceService, wired: Container) -> None:
    ada = Customer(email="ada@customers.test", name="Ada")
    await service.add_customers(ACME, [ada])

    async with wired.backends()[0].unit_of_work(ACME) as uow:
        uow.repository(NoteRepository).add(Note(customer_id=ada.id, text="likes tea"))
        await uow.commit()
    async with wired.backends()[0].unit_of_work(ACME) as uow:
        notes = await uow.repository(NoteRepository).about(ada.id)

    assert [note.text for note in notes] == ["likes tea"]


async def test_the_plugin_is_recorded_with_its_version(wired: Container) -> None:
    plugins: PluginInstallation = wired.plugins()

    recorded = {tenant: (await plugins.list(tenant))[0] for tenant in (ACME, GLOBEX)}

    assert [str(found.installed_version) for found in recorded.values()] == ["1.1.0", "1.0.0"]
