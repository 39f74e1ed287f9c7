"""A small service of two tenants, and how a team would have written the same without prismicx."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import PluginType, Region, TenantId, Tier
from prismicx.domain.placement import EntityMapping, Shared, TenantDatabase, TenantSchema
from prismicx.domain.ports import Repository
from prismicx.domain.tenancy import DatabaseConfig, Tenant
from prismicx.testing.databases import APPLICATION_ROLE

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
CRM = PluginType("crm")


class Item(AggregateRoot):
    name: str
    amount: int = 0


class Note(AggregateRoot):
    text: str
    item_id: UUID | None = None


class Contact(AggregateRoot):
    email: str


class Insight(AggregateRoot):
    user: str


class Items(Repository[Item]):
    pass


class Notes(Repository[Note]):
    pass


class Contacts(Repository[Contact]):
    pass


class Insights(Repository[Insight]):
    pass


MAPPINGS: Final = (
    EntityMapping(Item, "items", Shared(), unique=[["name"]]),
    EntityMapping(Note, "notes", Shared()),
    EntityMapping(Contact, "contacts", TenantSchema(CRM), unique=[["email"]]),
    EntityMapping(Insight, "insights", TenantDatabase()),
)


class Base(DeclarativeBase):
    """The team's declarative classes; a relationship joins by tenant and id, as their foreign key does."""


class ItemRow(Base):
    __tablename__ = "items"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="items_pkey"),
        UniqueConstraint("tenant_id", "name", name="items_name_key"),
        {"schema": "public"},
    )
    tenant_id: Mapped[str] = mapped_column(Text(collation="C"))
    id: Mapped[UUID] = mapped_column(Uuid)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text(collation="C"))
    amount: Mapped[int] = mapped_column(BigInteger)
    notes: Mapped[list[NoteRow]] = relationship(back_populates="item")


class NoteRow(Base):
    __tablename__ = "notes"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "id", name="notes_pkey"),
        ForeignKeyConstraint(
            ["tenant_id", "item_id"], ["public.items.tenant_id", "public.items.id"], name="notes_item_fkey"
        ),
        {"schema": "public"},
    )
    tenant_id: Mapped[str] = mapped_column(Text(collation="C"))
    id: Mapped[UUID] = mapped_column(Uuid)
    version: Mapped[int] = mapped_column(BigInteger)
    text: Mapped[str] = mapped_column(Text(collation="C"))
    item_id: Mapped[UUID | None] = mapped_column(Uuid)
    item: Mapped[ItemRow | None] = relationship(back_populates="notes")


TABLES: Final = {Item: ItemRow, Note: NoteRow}
ITEMS, NOTES = Base.metadata.tables["public.items"], Base.metadata.tables["public.notes"]
OTHER = ITEMS.alias("other")
UNMAPPED = Table("items", MetaData(), Column("tenant_id", Text), Column("name", Text), schema="public")


def tenant_record(tenant: TenantId) -> Tenant:
    """Return a tenant as the registry has it."""
    return Tenant.register(
        tenant,
        name=str(tenant),
        region=Region("eu"),
        tier=Tier("standard"),
        database_config=DatabaseConfig.of(tenant, connection="threats"),
        plugin_types=(CRM,),
        steps=(),
    )


class Bare:
    """The database as a team has it that writes its own SQL, and the application's role as that team uses it.

    It works in a schema of its own, `bare`, on one connection of the superuser's, in transactions that are rolled back.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def make(self, *statements: str) -> None:
        """Run statements as the superuser."""
        for statement in statements:
            await self.connection.execute(statement)

    async def items(self, *, policy: str | None = None, check: str | None = None, more: str = "") -> None:
        """Make `bare.items` anew, with a row of each tenant, and let the application do everything with it."""
        await self.make(
            "DROP TABLE IF EXISTS bare.items CASCADE",
            f"CREATE TABLE bare.items (tenant_id text, id int PRIMARY KEY, name text{more})",
            "INSERT INTO bare.items VALUES ('acme', 1, 'acme''s'), ('globex', 2, 'globex''s')",
            f"GRANT ALL ON bare.items TO {APPLICATION_ROLE}",
        )
        if policy is not None:
            checked = f" WITH CHECK ({check})" if check else ""
            await self.make(
                "ALTER TABLE bare.items ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE bare.items FORCE ROW LEVEL SECURITY",
                f"CREATE POLICY one ON bare.items USING ({policy}){checked}",
            )

    async def as_application(
        self, *statements: str, tenant: str | None = "acme", role: str = APPLICATION_ROLE
    ) -> list[tuple[Any, ...]]:
        """Return what the last statement finds, run as the application for a tenant; then everything is taken back."""
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await self.connection.execute(f"SET LOCAL ROLE {role}")
            if tenant is not None:
                await self.connection.execute("SELECT set_config('app.current_tenant_id', $1, true)", tenant)
            for statement in statements[:-1]:
                await self.connection.execute(statement)
            return [tuple(row) for row in await self.connection.fetch(statements[-1])]
        finally:
            await transaction.rollback()
