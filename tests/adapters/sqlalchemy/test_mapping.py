"""Tables: derived from entities, or the team's own, with every mismatch reported at once."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.mapping import LONGEST_CONSTRAINT, Tables, constraint_name
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import MappingError
from prismicx.domain.identifiers import PluginType, TenantId
from prismicx.domain.placement import (
    EntityMapping,
    Placement,
    Reference,
    Shared,
    TenantDatabase,
    TenantSchema,
    by_entity,
)
from prismicx.domain.ports import Repository
from prismicx.testing.databases import PostgresDatabase


class Crate(AggregateRoot):
    """One attribute of every kind."""

    label: str
    count: int = 0
    weight: float = 0.0
    sealed: bool = False
    stamp: bytes = b""
    price: Decimal = Decimal("0.00")
    packed_at: datetime | None = None
    due: date | None = None
    owner: UUID | None = None
    tags: list[str] = []  # noqa: RUF012 -- pydantic copies it


class Crates(Repository[Crate]):
    """The crates."""


def columns(**changed: Any) -> list[Column[Any]]:
    """Return the columns of a table that fits crates, but for these."""
    fitting: dict[str, Any] = {
        "tenant_id": Column("tenant_id", Text, primary_key=True),
        "id": Column("id", Uuid, primary_key=True),
        "version": Column("version", BigInteger, nullable=False),
        "label": Column("label", Text, nullable=False),
        "count": Column("count", BigInteger, nullable=False),
        "weight": Column("weight", Double, nullable=False),
        "sealed": Column("sealed", Boolean, nullable=False),
        "stamp": Column("stamp", LargeBinary, nullable=False),
        "price": Column("price", Numeric, nullable=False),
        "packed_at": Column("packed_at", DateTime(timezone=True)),
        "due": Column("due", Date),
        "owner": Column("owner", Uuid),
        "tags": Column("tags", JSONB, nullable=False),
    }
    return [column for column in (fitting | changed).values() if column is not None]


def tables(table: Any, *mappings: EntityMapping, unique: tuple[tuple[str, ...], ...] = ()) -> Tables:
    mapping = EntityMapping(Crate, "crates", Shared(), unique=unique)
    return Tables(by_entity((mapping, *mappings)), {Crate: table})


def problems(table: Any, *, unique: tuple[tuple[str, ...], ...] = ()) -> str:
    with pytest.raises(MappingError) as caught:
        tables(table, unique=unique)
    return "\n".join(caught.value.problems)


def test_a_table_that_fits_is_taken() -> None:
    table = Table("crates", MetaData(), *columns(note=Column("note", Text, nullable=False, server_default="")))

    assert next(iter(tables(table))).table is table
    assert table.info["prismicx"] == "shared"


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("label", None, "Crate.label has no column in crates"),
        ("label", Column("label", Integer, nullable=False), "Crate.label is text"),
        ("label", Column("label", Text), "cannot be None, but its column takes null"),
        ("packed_at", Column("packed_at", DateTime(timezone=True), nullable=False), "can be None, but its column"),
        ("packed_at", Column("packed_at", DateTime), "DateTime(timezone=True)"),
        ("count", Column("count", Integer, nullable=False), "integers have 64 bits"),
        ("weight", Column("weight", REAL, nullable=False), "use Double"),
        ("price", Column("price", Numeric(10, 2), nullable=False), "decimals keep their own"),
        ("price", Column("price", Double, nullable=False), "decimals keep their own"),
        ("owner", Column("owner", Uuid(as_uuid=False)), "use Uuid"),
        ("due", Column("due", Text), "use Date"),
        ("sealed", Column("sealed", BigInteger, nullable=False), "use Boolean"),
        ("stamp", Column("stamp", Text, nullable=False), "use LargeBinary"),
        ("tags", Column("tags", Text, nullable=False), "use JSONB or JSON"),
        ("version", None, "needs a column version"),
        ("version", Column("version", Text, nullable=False), "needs a column version"),
        ("tenant_id", None, "needs a column tenant_id"),
        ("tenant_id", Column("tenant_id", Uuid, primary_key=True), "needs a column tenant_id"),
        ("more", Column("more", Text, nullable=False), "crates.more takes no null"),
    ],
)
def test_a_column_that_does_not_fit_is_named(name: str, column: Column[Any] | None, reason: str) -> None:
    given = None if column is None else column._copy()
    assert reason in problems(Table("crates", MetaData(), *columns(**{name: given})))


def test_every_mismatch_is_reported_at_once() -> None:
    table = Table("crates", MetaData(), Column("id", Uuid, primary_key=True), UniqueConstraint("id"))
    found = problems(table, unique=(("label",),))

    for attribute in ("label", "count", "weight", "sealed", "stamp", "price", "packed_at", "due", "owner", "tags"):
        assert f"Crate.{attribute} has no column" in found
    assert "needs a column version" in found
    assert "needs a column tenant_id" in found
    assert "the primary key of crates is (id), it must be (tenant_id, id)" in found
    assert "the unique key (id) of crates does not begin with tenant_id" in found
    assert "crates has no unique key for label" in found


def test_a_unique_index_is_a_unique_key_too() -> None:
    table = Table("crates", MetaData(), *columns(), Index("ux", "tenant_id", "label", unique=True))

    placed = next(iter(tables(table, unique=(("label",),))))
    assert placed.keys == {"crates_pkey": ("Crate", ("id",)), "ux": ("Crate", ("label",))}
    assert "does not begin with tenant_id" in problems(
        Table("crates", MetaData(), *columns(), Index("ux", "label", unique=True))
    )


def test_what_is_no_table_is_refused() -> None:
    assert "neither a declarative class nor a Table" in problems(object())
    assert "neither a declarative class nor a Table" in problems(int)
    with pytest.raises(MappingError, match="Crate has a table, but no mapping"):
        Tables({}, {Crate: Table("crates", MetaData(), *columns())})


def test_one_schema_name_stands_for_one_placement() -> None:
    class Other(AggregateRoot):
        name: str

    other = Table(
        "others",
        MetaData(),
        Column("tenant_id", Text, primary_key=True),
        Column("id", Uuid, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("name", String(50), nullable=False),
    )
    mapping = EntityMapping(Other, "others", TenantSchema(PluginType("crm")))
    crates = Table("crates", MetaData(), *columns())

    with pytest.raises(MappingError, match="give the classes of"):
        Tables(by_entity((EntityMapping(Crate, "crates", Shared()), mapping)), {Crate: crates, Other: other})


@pytest.mark.parametrize(
    ("placement", "role", "schema"),
    [
        (Shared(), "shared", "public"),
        (Reference(), "reference", "prismicx"),
        (TenantSchema(PluginType("crm")), "plugin", "tenant_acme_crm"),
        (TenantDatabase(), "plugin", "tenant_acme_db"),
    ],
)
def test_each_placement_has_its_role_and_its_schema(placement: Placement, role: str, schema: str) -> None:
    placed = next(iter(Tables(by_entity((EntityMapping(Crate, "crates", placement),)), {})))

    assert placed.table.info["prismicx"] == role
    assert placed.schema(TenantId("acme")) == schema
    assert repr(placed).startswith("PlacedTable(Crate: ")


def test_an_attribute_that_no_column_can_be_called_after_is_refused() -> None:
    class Camel(AggregateRoot):
        camelCase: str = ""

    with pytest.raises(MappingError, match="is not a column name"):
        Tables(by_entity((EntityMapping(Camel, "camels"),)), {})


def test_keys_that_reach_into_a_structure_are_indexes_only() -> None:
    mapping = EntityMapping(
        Crate, "crates", unique=(("tags.name",),), indexes=(("tags.name",), ("label.first",), ("count", "tags.x"))
    )
    with pytest.raises(MappingError) as caught:
        Tables(by_entity((mapping,)), {})

    assert len(caught.value.problems) == 2


def test_a_table_of_the_registry_has_no_tenant() -> None:
    table = Table("crates", MetaData(), *columns(tenant_id=None))
    placed = next(iter(Tables(by_entity((EntityMapping(Crate, "crates", Reference()),)), {Crate: table})))

    assert placed.tenant is None


async def test_what_a_dot_reaches_for_is_indexed_inversely(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    mapping = EntityMapping(Crate, "indexed_crates", indexes=(("tags.name",), ("label", "due")))
    await SqlAlchemyBackend(client, (mapping,), admin=admin).initialise_database()

    connection = await admin.connect()
    query = "SELECT indexdef FROM pg_indexes WHERE tablename = 'indexed_crates' AND indexname LIKE 'ix%' ORDER BY 1"
    found = [row[0].partition(" USING ")[2] for row in await connection.fetch(query)]
    await connection.close()
    assert found == ["btree (tenant_id, label, due)", "gin (tags jsonb_path_ops)"]


def test_constraint_names_are_short_enough_for_a_shard_and_never_shared() -> None:
    long = [constraint_name("uq", "t" * 52, name) for name in ("a", "b")]

    assert long[0] != long[1]
    assert all(len(name) == LONGEST_CONSTRAINT for name in long)


class Shouting(TypeDecorator[str]):
    """Kept in capitals."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.lower()


async def test_a_teams_own_types_read_and_write(database: PostgresDatabase) -> None:
    table = Table(
        "own_crates",
        MetaData(),
        *columns(label=Column("label", Shouting, nullable=False), owner=Column("keeper", Uuid, key="owner")),
    )
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1)
    mapping = EntityMapping(Crate, "own_crates", indexes=(("label", "tags.name"),))
    backend = SqlAlchemyBackend(client, (mapping,), admin=admin, tables={Crate: table})
    await backend.initialise_database()
    crate = Crate(label="quiet", tags=["a"], price=Decimal("1.50"), packed_at=None, owner=UUID(int=7))
    async with backend:
        async with backend.unit_of_work(TenantId("acme")) as uow:
            uow.repository(Crates).add(crate)
            await uow.commit()
        async with backend.unit_of_work(TenantId("acme")) as uow:
            found = await uow.repository(Crates).find_one(Crate.label == "quiet")
            assert found == crate
            assert found is not None
            found.label, found.price = "still quiet", Decimal("2.00")
            await uow.commit()

        async with admin.connection() as connection:
            await connection.execute("BEGIN; SELECT prismicx.set_tenant('acme')")
            row = await connection.fetchrow("SELECT label, keeper, version, price::text FROM public.own_crates")
            assert tuple(row) == ("STILL QUIET", UUID(int=7), 2, "2.00")
