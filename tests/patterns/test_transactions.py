"""Source document, "Transaction Management": several changes of one tenant, all or none."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from prismicx import ConcurrencyError, EntityNotFoundError, TenantId
from prismicx.adapters.beanie import MongoDBClient
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.container import Container
from prismicx.demo.domain import AccountRepository, CategoryRepository, InsufficientFundsError
from prismicx.demo.service import ReferenceService

ACME, GLOBEX = TenantId("tenant-ab12cd34"), TenantId("tenant-ef56ab78")


async def test_a_transfer_happens_wholly_or_not_at_all(service: ReferenceService) -> None:
    source = await service.open_account(ACME, owner="Ada", balance=Decimal("100.00"))
    target = await service.open_account(ACME, owner="Grace", balance=Decimal("0.00"))

    await service.transfer(ACME, source=source, target=target, amount=Decimal("30.00"))
    with pytest.raises(InsufficientFundsError):
        await service.transfer(ACME, source=source, target=target, amount=Decimal("100.00"))

    assert await service.money(ACME) == Decimal("100.00")


async def test_the_documents_transfer_changes_money_of_whoever_has_the_id_and_ours_does_not(
    service: ReferenceService, database: DatabaseClient
) -> None:
    source = await service.open_account(ACME, owner="Ada", balance=Decimal("100.00"))
    target = await service.open_account(GLOBEX, owner="Barbara", balance=Decimal("0.00"))

    with pytest.raises(EntityNotFoundError):
        await service.transfer(ACME, source=source, target=target, amount=Decimal("30.00"))
    async with database.session(ACME) as session:  # the document's own statement, which names no tenant
        found = await session.execute(
            text("UPDATE accounts SET balance = balance + :amount WHERE id = :id RETURNING id"),
            {"amount": Decimal("30.00"), "id": target},
        )
        assert found.all() == []
        await session.commit()

    assert (await service.money(ACME), await service.money(GLOBEX)) == (Decimal("100.00"), Decimal("0.00"))


async def test_the_second_of_two_transfers_from_one_account_is_told_and_loses_nothing(
    service: ReferenceService, wired: Container
) -> None:
    source = await service.open_account(ACME, owner="Ada", balance=Decimal("100.00"))

    async with wired.postgres().unit_of_work(ACME) as first, wired.postgres().unit_of_work(ACME) as second:
        for unit in (first, second):
            (await unit.repository(AccountRepository).get(source)).withdraw(Decimal("80.00"))
        await first.commit()
        with pytest.raises(ConcurrencyError):
            await second.commit()

    assert await service.money(ACME) == Decimal("20.00")


async def test_categories_change_in_one_transaction(service: ReferenceService) -> None:
    await service.update_categories(ACME, {"new": "New", "old": "Regular"})
    await service.update_categories(ACME, {"new": "Newcomers", "old": "Friends", "vip": "VIP"})

    assert await service.categories(ACME) == {"new": "Newcomers", "old": "Friends", "vip": "VIP"}
    assert await service.categories(GLOBEX) == {}


async def test_no_category_changes_if_one_of_them_fails(
    service: ReferenceService, wired: Container, documents: MongoDBClient
) -> None:
    await service.update_categories(ACME, {"new": "New", "old": "Regular"})

    async with wired.mongo().unit_of_work(ACME) as uow:
        for category in await uow.repository(CategoryRepository).list():
            category.label = "changed"
        await documents.db["categories"].update_one({"code": "old"}, {"$inc": {"version": 1}})
        with pytest.raises(ConcurrencyError):
            await uow.commit()

    assert await service.categories(ACME) == {"new": "New", "old": "Regular"}
