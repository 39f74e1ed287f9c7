"""A team's own SQL and its own declarative classes, beside the repositories."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Text, Uuid, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.adapters.sqlalchemy.conftest import GLOBEX, make_places
from tests.adapters.sqlalchemy.test_session import store, unit

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyRepository, raw_sql
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import (
    DatabaseError,
    DuplicateEntityError,
)
from prismicx.domain.placement import EntityMapping, Shared
from prismicx.domain.ports import Repository
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Gadget, Gadgets, Widget, Widgets


class SqlWidgets(Widgets, SqlAlchemyRepository[Widget]):
    """The widgets with a query in SQL."""

    async def heaviest(self) -> list[Widget]:
        """Return the two heaviest."""
        return await self.entities(select(self.table).order_by(self.table.c.weight.desc()).limit(2))

    async def broken(self) -> list[Widget]:
        """Divide by zero."""
        return await self.entities(select(self.table).where(raw_sql("1 / 0 = 1")))

    async def total(self) -> object:
        """Return the sum of all amounts."""
        return await self.session.scalar(raw_sql("SELECT sum(amount)::bigint FROM public.widgets"))


class SqlGadgets(Gadgets, SqlAlchemyRepository[Gadget]):
    """The gadgets, in a schema of the tenant's, with a query in SQL."""

    async def all_by_sql(self) -> list[Gadget]:
        """Return all of them."""
        return await self.entities(select(self.table.c.id))


class Base(DeclarativeBase):
    """The team's base."""


class WidgetRow(Base):
    """What the team maps itself: other names, and the ORM beside the repository."""

    __tablename__ = "parcels"
    tenant_id: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    label: Mapped[str] = mapped_column("label_text", Text)


class Parcel(AggregateRoot):
    """An aggregate with a class of the team's."""

    label: str


class Parcels(Repository[Parcel]):
    """The parcels."""


@pytest.fixture
async def own(database: PostgresDatabase) -> SqlAlchemyBackend:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    mappings = (*EXAMPLE_MAPPINGS, EntityMapping(Parcel, "parcels", Shared()))
    repositories: dict[type, type] = {Widgets: SqlWidgets, Gadgets: SqlGadgets}
    backend = SqlAlchemyBackend(client, mappings, admin=admin, tables={Parcel: WidgetRow}, repositories=repositories)
    await backend.initialise_database()
    return backend


async def test_a_teams_own_sql_returns_tracked_aggregates(own: SqlAlchemyBackend) -> None:
    async with own:
        await store(own, GLOBEX, Widget(weight=99.0))
        async with unit(own) as uow:
            widgets = uow.repository(SqlWidgets)
            widgets.add_many(Widget(name=str(weight), weight=float(weight), amount=weight) for weight in range(4))
            heaviest = await widgets.heaviest()
            assert [widget.name for widget in heaviest] == ["3", "2"]
            assert await widgets.total() == 6
            heaviest[0].amount = 10
            assert await uow.repository(Widgets).exists(Widget.amount == 10)
            await uow.commit()

        async with unit(own) as uow:
            assert [found.price for found in await uow.repository(SqlWidgets).heaviest()] == [Widget().price] * 2
            with pytest.raises(DatabaseError, match="22012"):
                await uow.repository(SqlWidgets).broken()


async def test_a_teams_own_sql_reaches_the_tenants_schema(own: SqlAlchemyBackend) -> None:
    async with own:
        await make_places(own)
        async with unit(own) as uow:
            uow.repository(Gadgets).add(Gadget(name="here"))
            gadgets = uow.repository(SqlGadgets)
            assert [gadget.name for gadget in await gadgets.all_by_sql()] == ["here"]
            assert gadgets.table.schema == "tenant_acme_crm"


async def test_a_declarative_class_is_written_by_key_and_by_criteria(own: SqlAlchemyBackend) -> None:
    parcel = Parcel(label="first")
    async with own:
        async with unit(own) as uow:
            parcels = uow.repository(Parcels)
            uow.session.add(WidgetRow(tenant_id="acme", id=parcel.id, version=1, label="made by the ORM"))
            found, was_created = await parcels.get_or_create(parcel)
            assert (found.label, was_created) == ("made by the ORM", False)
            assert await parcels.upsert(Parcel(id=parcel.id, label="second")) is found
            assert await parcels.update_where(Parcel.label == "second", label="third") == 1
            assert (found.label, found.version) == ("third", 3)
            await uow.commit()

        async with unit(own) as uow:
            assert await uow.repository(Parcels).delete_where(Parcel.label == "third") == 1
            await uow.commit()


async def test_a_declarative_class_serves_the_repository_and_the_orm_alike(own: SqlAlchemyBackend) -> None:
    parcel = Parcel(label="made by the repository")
    async with own:
        async with unit(own) as uow:
            uow.repository(Parcels).add(parcel)
            row = await uow.session.get(WidgetRow, ("acme", parcel.id))
            assert row
            assert row.label == parcel.label
            uow.session.add(WidgetRow(tenant_id="acme", id=UUID(int=1), version=1, label="made by the ORM"))
            assert await uow.repository(Parcels).count() == 2
            await uow.commit()

        async with unit(own, GLOBEX) as uow:
            assert await uow.repository(Parcels).count() == 0
        async with unit(own) as uow:
            uow.session.add(WidgetRow(tenant_id="acme", id=parcel.id, version=1, label="taken"))
            with pytest.raises(DuplicateEntityError) as caught:
                await uow.commit()
            assert caught.value.key == ("id",)
