"""Beanie: documents, links and states know no tenant by themselves; inside a unit of work they know one only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from beanie import Document, Link, init_beanie
from bson import DBRef
from pymongo import AsyncMongoClient
from tests.threats.conftest import make_places, store
from tests.threats.service import ACME, GLOBEX, MAPPINGS, Item

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient, TenantDocument
from prismicx.domain.errors import CrossTenantError, MappingError, TenantContextMissingError, UnitOfWorkClosedError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import MongoServer


class ItemDocument(TenantDocument):
    """The team's own document."""

    name: str
    amount: int = 0

    class Settings:
        """Beanie keeps what was read, so that it can save changes only."""

        name = "items"
        use_state_management = True


class BareItem(Document):
    """An item as a team has it without prismicx."""

    tenant_id: str
    name: str

    class Settings:
        name = "bare_items"


class BareNote(Document):
    tenant_id: str
    item: Link[BareItem]

    class Settings:
        name = "bare_notes"


@pytest.fixture(scope="module")
async def opened(prismicx_mongo_server: MongoServer) -> AsyncIterator[BeanieBackend]:
    name = f"threats_beanie_{prismicx_mongo_server.run}"
    async with AsyncMongoClient[dict[str, Any]](prismicx_mongo_server.uri) as driver:
        before = set(await driver.list_database_names())
        await init_beanie(driver[name], document_models=[BareItem, BareNote])
        client = MongoDBClient(prismicx_mongo_server.uri, name)
        async with BeanieBackend(client, MAPPINGS, documents={Item: ItemDocument}) as backend:
            await backend.initialise_database()
            await make_places(backend)
            yield backend
        for made in set(await driver.list_database_names()) - before:
            await driver.drop_database(made)


@pytest.fixture
async def stored(opened: BeanieBackend) -> dict[TenantId, Item]:
    """An item of each tenant, and nothing else: by prismicx and without it."""
    for tenant in (ACME, GLOBEX):
        async with opened.unit_of_work(tenant) as uow:
            await ItemDocument.delete_all()
            await uow.commit()
    for bare in (BareItem, BareNote):
        await bare.delete_all()
    for tenant in (ACME, GLOBEX):
        await BareItem(tenant_id=str(tenant), name=f"{tenant}'s").insert()
    return await store(opened)


async def test_get_and_find_all_know_no_tenant(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    foreign = await BareItem.find_one(BareItem.tenant_id == "globex")
    assert foreign is not None
    assert (await BareItem.get(foreign.id)) is not None
    assert len(await BareItem.find_all().to_list()) == 2

    async with opened.unit_of_work(ACME):
        assert await ItemDocument.get(stored[GLOBEX].id) is None
        assert [item.name for item in await ItemDocument.find_all().to_list()] == ["acme's"]
        assert await ItemDocument.find(ItemDocument.name == "globex's").to_list() == []
        assert await ItemDocument.count() == 1
        assert await ItemDocument.find_all().max(ItemDocument.amount) == 1
        with pytest.raises(CrossTenantError):
            await ItemDocument.find({"tenant_id": "globex"}).to_list()


async def test_delete_all_knows_no_tenant(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    await BareItem.delete_all()
    assert await BareItem.count() == 0

    async with opened.unit_of_work(ACME) as uow:
        await ItemDocument.delete_all()
        await uow.commit()
    async with opened.unit_of_work(GLOBEX):
        assert await ItemDocument.count() == 1


async def test_update_all_knows_no_tenant(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    await BareItem.update_all({"$set": {"name": "x"}})
    assert await BareItem.find(BareItem.name == "x").count() == 2

    async with opened.unit_of_work(ACME) as uow:
        await ItemDocument.update_all({"$set": {"name": "x"}})
        await uow.commit()
    async with opened.unit_of_work(GLOBEX):
        assert [item.name for item in await ItemDocument.find_all().to_list()] == ["globex's"]


async def test_a_link_reaches_whatever_it_names(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    foreign = await BareItem.find_one(BareItem.tenant_id == "globex")
    assert foreign is not None
    note = BareNote(tenant_id="acme", item=Link(DBRef("bare_items", foreign.id), BareItem))
    await note.insert()
    await note.fetch_all_links()  # type: ignore[no-untyped-call]  # Beanie's
    assert isinstance(note.item, BareItem)
    assert note.item.tenant_id == "globex"

    async with opened.unit_of_work(ACME):
        for database in (None, "tenant_globex_db"):
            link = Link(DBRef("items", stored[GLOBEX].id, database), ItemDocument)
            assert not isinstance(await link.fetch(), ItemDocument)
            own = await Link(DBRef("items", stored[ACME].id, database), ItemDocument).fetch()
            assert isinstance(own, ItemDocument)
            assert own.name == "acme's"


def test_a_document_of_a_tenant_has_no_links() -> None:
    """An aggregate names another by its id; a link would be fetched past it."""

    class Linked(TenantDocument):
        name: str
        amount: list[Link[ItemDocument]] | None

        class Settings:
            name = "items"

    with pytest.raises(MappingError, match="a link"):
        BeanieBackend(MongoDBClient("mongodb://localhost", "threats"), MAPPINGS, documents={Item: Linked})


async def test_a_kept_document_writes_to_the_open_tenant_or_to_none(
    opened: BeanieBackend, stored: dict[TenantId, Item]
) -> None:
    foreign = await BareItem.find_one(BareItem.tenant_id == "globex")
    assert foreign is not None
    foreign.name = "kept by acme"
    await foreign.save()
    assert await BareItem.find(BareItem.name == "kept by acme").count() == 1

    async with opened.unit_of_work(GLOBEX):
        kept = await ItemDocument.find_all().first_or_none()
    assert kept is not None
    kept.name = "kept by acme"
    for write in (kept.save, kept.save_changes, kept.replace, kept.delete):
        with pytest.raises(TenantContextMissingError):
            await write()
    async with opened.unit_of_work(ACME) as uow:
        for write in (kept.save, kept.save_changes, kept.replace, kept.delete):
            with suppress(Exception):  # whichever it is: what counts is what is stored
                await write()
        with suppress(UnitOfWorkClosedError):
            await uow.commit()
    async with opened.unit_of_work(GLOBEX):
        assert [item.name for item in await ItemDocument.find_all().to_list()] == ["globex's"]


async def test_saving_changes_keeps_the_tenant(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    async with opened.unit_of_work(ACME) as uow:
        own = await ItemDocument.find_all().first_or_none()
        assert own is not None
        own.name = "renamed"
        own.tenant_id = "globex"
        await own.save_changes()
        await uow.commit()

    async with opened.unit_of_work(ACME):
        assert [(item.name, item.tenant_id) for item in await ItemDocument.find_all().to_list()] == [
            ("renamed", "acme")
        ]
    async with opened.unit_of_work(GLOBEX):
        assert await ItemDocument.count() == 1


async def test_outside_of_a_unit_nothing_is_reached(opened: BeanieBackend, stored: dict[TenantId, Item]) -> None:
    assert await BareItem.count() == 2

    for attempt in (ItemDocument.count, ItemDocument.find_all().to_list, ItemDocument.delete_all):
        with pytest.raises(TenantContextMissingError):
            await attempt()
