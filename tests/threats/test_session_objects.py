"""Rows and objects of another tenant in SQLAlchemy's session, with the walls of the database away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm.exc import StaleDataError
from tests.threats.attacking import id_of_globex, leaks, unit
from tests.threats.service import GLOBEX, ITEMS, OTHER, Item, ItemRow, Items, NoteRow

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import (
    CrossTenantError,
    UnitOfWorkClosedError,
    UnsupportedOperationError,
)
from prismicx.testing.databases import PostgresDatabase


def row_of(tenant: str | None, **values: Any) -> ItemRow:
    given = {"id": uuid4(), "version": 1, "name": "new", "amount": 1, **values}
    return ItemRow(**given) if tenant is None else ItemRow(tenant_id=tenant, **given)


VALUES = {"id": UUID(int=5), "version": 1, "name": "new", "amount": 1}
INSERTS: dict[str, tuple[Any, Any]] = {
    "values": (insert(ITEMS).values(tenant_id="globex", **VALUES), None),
    "parameters": (insert(ITEMS), {"tenant_id": "globex", **VALUES}),
    "several parameters": (
        insert(ITEMS),
        [{"tenant_id": "acme", **VALUES}, {"tenant_id": "globex", **VALUES}],
    ),
    "several rows of values": (insert(ITEMS).values([{"tenant_id": "globex", **VALUES}]), None),
    "a class": (insert(ItemRow), [{"tenant_id": "globex", **VALUES}]),
    "an upsert": (upsert(ITEMS).values(tenant_id="globex", **VALUES).on_conflict_do_nothing(), None),
}


@pytest.mark.parametrize(("statement", "parameters"), INSERTS.values(), ids=INSERTS)
async def test_a_row_of_another_tenant_is_refused(
    open_database: SqlAlchemyBackend, statement: Any, parameters: Any
) -> None:
    async with unit(open_database) as uow:
        with pytest.raises(CrossTenantError):
            await uow.session.execute(statement, parameters)


async def test_rows_of_the_tenant_are_inserted(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        await uow.session.execute(insert(ITEMS).values(tenant_id="acme", **VALUES))
        await uow.session.execute(insert(ITEMS), [{"tenant_id": "acme", **VALUES, "id": uuid4(), "name": "more"}])
        update_it = upsert(ITEMS).values(tenant_id="acme", **VALUES)
        await uow.session.execute(
            update_it.on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"amount": 5})
        )
        copied = select(OTHER.c.tenant_id, func.gen_random_uuid(), OTHER.c.version, OTHER.c.name + "!", OTHER.c.amount)
        await uow.session.execute(insert(ITEMS).from_select(["tenant_id", "id", "version", "name", "amount"], copied))
        assert {item.name for item in await uow.repository(Items).list()} == {
            *("acme's", "new", "more"),
            *("acme's!", "new!", "more!"),
        }


MOVES: dict[str, Callable[[], Any]] = {
    "values": lambda: update(ITEMS).values(tenant_id="globex"),
    "a class": lambda: update(ItemRow).values(tenant_id="globex"),
    "in order": lambda: update(ITEMS).ordered_values((ITEMS.c.tenant_id, "globex")),
    "to the same": lambda: update(ITEMS).values(tenant_id="acme"),
    "inside of a read": lambda: select(
        update(ITEMS).values(tenant_id="globex").returning(ITEMS.c.name).cte("moved").c.name
    ),
    "an upsert": lambda: (
        upsert(ITEMS)
        .values(tenant_id="acme", **VALUES)
        .on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"tenant_id": "globex"})
    ),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_row_does_not_change_its_tenant(open_database: SqlAlchemyBackend, move: Callable[[], Any]) -> None:
    async with unit(open_database) as uow:
        with pytest.raises(UnsupportedOperationError, match="tenant_id"):
            await uow.session.execute(move())


async def test_neither_does_one_of_many_rows(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        statement = update(ITEMS).where(ITEMS.c.name == bindparam("its_name"))
        with pytest.raises(UnsupportedOperationError, match="tenant_id"):
            await uow.session.execute(
                statement, [{"its_name": "x", "tenant_id": "globex"}], execution_options={"synchronize_session": False}
            )


async def test_new_objects_are_stamped(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        row = row_of(None, notes=[NoteRow(id=uuid4(), version=1, text="beside it")])
        uow.session.add(row)
        await uow.commit()
    async with unit(open_database) as uow:
        assert await uow.repository(Items).exists(Item.name == "new")


async def test_an_object_of_another_tenant_is_refused(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        session = uow.session
        with pytest.raises(CrossTenantError):
            session.add(row_of("globex"))
        with pytest.raises(CrossTenantError):
            session.add_all([row_of("acme"), row_of("globex")])
        session.expunge_all()
        await session.merge(row_of("globex"))
        with pytest.raises(CrossTenantError):
            await session.flush()
        session.expunge_all()
        late = row_of("acme")
        session.add(late)
        late.tenant_id = "globex"
        with pytest.raises(CrossTenantError):
            await session.flush()


async def test_an_object_does_not_change_its_tenant(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        row = (await uow.session.scalars(select(ItemRow))).one()
        row.tenant_id = "globex"
        with pytest.raises(UnsupportedOperationError, match="tenant_id"):
            await uow.session.flush()


async def test_an_object_that_another_tenants_session_has_left_behind_is_refused(
    open_database: SqlAlchemyBackend,
) -> None:
    async with unit(open_database, GLOBEX) as uow:
        foreign = (await uow.session.scalars(select(ItemRow))).one()
    async with unit(open_database) as uow:
        with pytest.raises(CrossTenantError):
            uow.session.add(foreign)
        with pytest.raises(CrossTenantError):
            await uow.session.delete(foreign)
        merged = await uow.session.merge(foreign)
        merged.name = "acme has it"
        with pytest.raises(CrossTenantError):
            await uow.session.flush()


async def test_bulk_writes_past_the_flush_keep_to_the_tenant(open_database: SqlAlchemyBackend) -> None:
    foreign = {"tenant_id": "globex", "id": await id_of_globex(open_database), "name": "acme has it"}

    async with unit(open_database) as uow:
        with pytest.raises(StaleDataError):
            await uow.session.run_sync(lambda session: session.bulk_update_mappings(ItemRow, [foreign]))
    async with unit(open_database) as uow:
        with pytest.raises(CrossTenantError):
            await uow.session.run_sync(lambda session: session.bulk_save_objects([row_of("globex")]))
    async with unit(open_database) as uow:
        with pytest.raises(CrossTenantError):
            await uow.session.run_sync(lambda session: session.bulk_insert_mappings(ItemRow, [{**VALUES, **foreign}]))


async def test_bulk_updates_of_the_tenants_own_pass(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        own = (await uow.repository(Items).list())[0]
        await uow.session.execute(update(ItemRow), [{"tenant_id": "acme", "id": own.id, "name": "renamed"}])
        assert await uow.session.scalar(select(ItemRow.name)) == "renamed"


# --- After the unit. ---


@asynccontextmanager
async def engine_of(database: PostgresDatabase) -> AsyncIterator[Any]:
    engine = create_async_engine(database.dsn.replace("postgresql://", "postgresql+asyncpg://"))
    yield engine
    await engine.dispose()


async def test_a_session_that_was_kept_reads_on_and_ours_does_not(
    open_database: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with engine_of(database) as engine:
        async with AsyncSession(engine) as kept:
            await kept.execute(select(ItemRow))
        assert leaks((await kept.execute(select(ITEMS.c.name))).all())
        await kept.close()

    async with unit(open_database) as uow:
        ours = uow.session
        row = (await ours.scalars(select(ItemRow))).one()
    for attempt in (ours.execute(select(ITEMS.c.name)), ours.get(ItemRow, ("acme", row.id)), ours.scalar(select(1))):
        with pytest.raises(UnitOfWorkClosedError):
            await attempt
    assert row.name == "acme's"
    assert row not in ours


async def test_a_session_that_changes_its_tenant_hands_out_the_first_ones_objects(
    open_database: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with engine_of(database) as engine, AsyncSession(engine) as shared:
        first = (await shared.scalars(select(ItemRow).where(ItemRow.tenant_id == "globex"))).one()
        await shared.execute(text("SELECT set_config('app.current_tenant_id', 'acme', true)"))
        assert await shared.get(ItemRow, ("globex", first.id)) is first

    async with unit(open_database, GLOBEX) as other, unit(open_database) as uow:
        theirs = (await other.session.scalars(select(ItemRow))).one()
        assert await uow.session.get(ItemRow, ("globex", theirs.id)) is None
        assert other.session is not uow.session


async def test_the_same_name_for_two_tenants_collides_for_one_only(open_database: SqlAlchemyBackend) -> None:
    async with unit(open_database) as uow:
        uow.session.add(row_of(None, name="globex's"))
        await uow.session.flush()
        with pytest.raises(IntegrityError):
            async with uow.session.begin_nested():
                uow.session.add(row_of(None, name="globex's"))
