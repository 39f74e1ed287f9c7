"""The table of each kind of aggregate: derived from its attributes, or the team's own, found to fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from prismicx.adapters.fields import Field, Kind, fields_of
from prismicx.adapters.sqlalchemy.fitting import misfits, own_columns, own_table
from prismicx.adapters.sqlalchemy.scope import TENANT_COLUMN
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidNameError, MappingError
from prismicx.domain.identifiers import TenantId, plugin_schema_name, stored_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Placement, Reference, Shared, TenantDatabase, TenantSchema

REGISTRY_SCHEMA: Final = "prismicx"
SHARED_SCHEMA: Final = "public"
LONGEST_CONSTRAINT: Final = 52
"""Bytes of a constraint's name that are left once a Citus shard has added its number."""

COLUMN_TYPES: Final[Mapping[Kind, TypeEngine[Any]]] = {
    Kind.TEXT: Text(collation="C"),
    Kind.INTEGER: BigInteger(),
    Kind.FLOAT: Double(),
    Kind.BOOLEAN: Boolean(),
    Kind.BYTES: LargeBinary(),
    Kind.DECIMAL: Numeric(),  # without precision: decimals keep their scale
    Kind.TIMESTAMP: DateTime(timezone=True),
    Kind.DATE: Date(),
    Kind.UUID: Uuid(),
    Kind.STRUCTURE: JSONB(none_as_null=True),
}


class PlacedTable:
    """A kind of aggregate, its table, and the schema that the table has for each tenant.

    Attributes:
        columns: by the attribute that each of them keeps.
        version: the column of the version.
        tenant: the column of the tenant; `None` in the registry.
        keys: the attributes of each unique key, by the name of its constraint.
        identity: the attributes that tell apart the rows within reach.
    """

    identity: tuple[str, ...] = ("id",)

    def __init__(self, mapping: EntityMapping, table: Table, columns: Mapping[str, Column[Any]]) -> None:
        self.mapping = mapping
        self.table = table
        self.fields: tuple[Field, ...] = fields_of(mapping.entity)
        self.columns = {field.name: columns[field.name] for field in self.fields}
        self.version = columns["version"]
        self.tenant = None if isinstance(mapping.placement, Reference) else columns["tenant_id"]
        self.keys = dict(_keys(self))
        table.info["prismicx"] = _role_of(mapping.placement)
        if self.tenant is not None:
            table.info[TENANT_COLUMN] = self.tenant.name

    @property
    def is_per_tenant(self) -> bool:
        """Whether each tenant has a table of its own."""
        return isinstance(self.mapping.placement, TenantSchema | TenantDatabase)

    def schema(self, tenant: TenantId | None) -> str:
        """Return the schema in which the tenant's table is."""
        match self.mapping.placement:
            case TenantSchema(plugin_type):
                return plugin_schema_name(_given(tenant), plugin_type)
            case TenantDatabase():
                return tenant_database_name(_given(tenant))
            case Reference():
                return REGISTRY_SCHEMA
        return self.table.schema or SHARED_SCHEMA

    def table_in(self, schema: str) -> Table:
        """Return the table as it is in this schema."""
        return _in_schema(self.table, schema)

    def __repr__(self) -> str:
        return f"PlacedTable({self.mapping.entity.__name__}: {self.table.fullname})"


class Tables:
    """The tables of all mappings of a backend.

    Args:
        mappings: by entity, parents before children.
        given: the team's own declarative classes or tables, by entity; a table is derived for every other one.
            A class in tenant schemas is declared with a schema of any name, which stands for the tenant's.

    Raises:
        MappingError: with every mismatch between entities and tables.
    """

    def __init__(self, mappings: Mapping[type[AggregateRoot], EntityMapping], given: Mapping[type[Any], Any]) -> None:
        self._placed: dict[type[AggregateRoot], PlacedTable] = {}
        metadata = MetaData()
        problems = [f"{entity.__name__} has a table, but no mapping" for entity in given if entity not in mappings]
        for entity, mapping in mappings.items():
            own = given.get(entity)
            found = _derivation_problems(mapping) if own is None else misfits(mapping, own)
            problems += found
            if not found:
                table = derived_table(mapping, metadata) if own is None else own_table(own)
                self._placed[entity] = PlacedTable(mapping, table, own_columns(table if own is None else own))
        problems += self._confused_schemas()
        if problems:
            raise MappingError(problems)
        self.keys = {name: key for placed in self for name, key in placed.keys.items()}
        self._first_declared = {placed.table.schema: placed for placed in self if placed.tenant is not None}

    def __getitem__(self, entity: type[AggregateRoot]) -> PlacedTable:
        return self._placed[entity]

    def __iter__(self) -> Iterator[PlacedTable]:
        return iter(self._placed.values())

    def placed_as(self, *placements: Placement) -> Sequence[PlacedTable]:
        """Return the tables of these placements, parents before children."""
        return [placed for placed in self if placed.mapping.placement in placements]

    def schemas(self, tenant: TenantId) -> dict[str | None, str]:
        """Return the tenant's schemas by the names that tables are declared with, where these are others."""
        named = ((declared, placed.schema(tenant)) for declared, placed in self._first_declared.items())
        return {declared: schema for declared, schema in named if declared != schema}

    def _confused_schemas(self) -> Iterator[str]:
        places: dict[str | None, Placement] = {}
        for placed in self:
            placement = placed.mapping.placement
            known = places.setdefault(placed.table.schema, placement)
            if known != placement:
                yield (
                    f"{placed.table.name} is declared in schema {placed.table.schema!r}, which stands for {known}; "
                    f"give the classes of {placement} a schema name of their own"
                )


def derived_table(mapping: EntityMapping, metadata: MetaData) -> Table:
    """Return the table that an entity gets by itself: tenant, id, version, and a column for each attribute."""
    has_tenant = not isinstance(mapping.placement, Reference)
    tenant = [Column("tenant_id", Text(collation="C"), nullable=False)] if has_tenant else []
    key = [*(column.name for column in tenant), "id"]
    fields = fields_of(mapping.entity)
    table = Table(
        mapping.name,
        metadata,
        *tenant,
        Column("id", Uuid(), nullable=False),
        Column("version", BigInteger(), nullable=False),
        *(
            Column(field.name, COLUMN_TYPES[field.kind], nullable=field.nullable)
            for field in fields
            if field.name != "id"
        ),
        PrimaryKeyConstraint(*key, name=constraint_name("pk", mapping.name)),
        *(
            UniqueConstraint(*key[:-1], *attributes, name=constraint_name("uq", mapping.name, *attributes))
            for attributes in mapping.unique
        ),
        schema=_declared_schema(mapping.placement),
    )
    if has_tenant:
        table.append_constraint(CheckConstraint("tenant_id <> ''", name=constraint_name("ck", mapping.name, "tenant")))
    for attributes in mapping.indexes:
        _index(table, attributes, key[:-1])
    return table


def constraint_name(kind: str, *parts: str) -> str:
    """Return a name for a constraint or an index: readable, at most 52 bytes, hashed where it would be longer."""
    name = "_".join((kind, *parts))
    if len(name) <= LONGEST_CONSTRAINT:
        return name
    return f"{name[: LONGEST_CONSTRAINT - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _index(table: Table, attributes: Sequence[str], tenant: Sequence[str]) -> None:
    """Index the attributes, tenant first; what a dot reaches for is found through an inverted index."""
    whole = [attribute for attribute in attributes if "." not in attribute]
    if whole:
        Index(constraint_name("ix", table.name, *whole), *(table.c[name] for name in (*tenant, *whole)))
    for root in dict.fromkeys(attribute.split(".")[0] for attribute in attributes if "." in attribute):
        name = constraint_name("ix", table.name, root, "gin")
        Index(name, table.c[root], postgresql_using="gin", postgresql_ops={root: "jsonb_path_ops"})


def _derivation_problems(mapping: EntityMapping) -> list[str]:
    entity = mapping.entity.__name__
    fields = {field.name: field for field in fields_of(mapping.entity)}
    problems: list[str] = []
    for name in fields:
        try:
            stored_name("column name", name)
        except InvalidNameError as error:
            problems.append(f"{entity}: {error}")
    for attributes in mapping.unique:
        problems += [f"{entity}: a unique key cannot reach into {name}" for name in attributes if "." in name]
    for attributes in mapping.indexes:
        problems += [
            f"{entity}: the index on {name} reaches into what is no structure"
            for name in attributes
            if "." in name and fields[name.split(".")[0]].kind is not Kind.STRUCTURE
        ]
    return problems


def _declared_schema(placement: Placement) -> str:
    match placement:
        case TenantSchema(plugin_type):
            return f"tenant:{plugin_type}"  # a colon is in no schema of ours: it stands for the tenant's
        case TenantDatabase():
            return "tenant"
        case Reference():
            return REGISTRY_SCHEMA
    return SHARED_SCHEMA


def _role_of(placement: Placement) -> str:
    match placement:
        case Shared():
            return "shared"
        case Reference():
            return "reference"
    return "plugin"


def _keys(placed: PlacedTable) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    attributes = {column.name: attribute for attribute, column in placed.columns.items()}
    table, entity = placed.table, placed.mapping.entity.__name__
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            names = [column.name for column in constraint.columns]
            key = tuple(attributes[name] for name in names if name in attributes)
            by_postgres = "_".join((table.name, *names, "key"))
            if isinstance(constraint, PrimaryKeyConstraint):
                by_postgres = f"{table.name}_pkey"
            yield str(constraint.name or by_postgres), (entity, key)
    for index in table.indexes:
        if index.unique:
            names = [column.name for column in index.columns]
            yield str(index.name), (entity, tuple(attributes[name] for name in names if name in attributes))


def _given(tenant: TenantId | None) -> TenantId:
    assert tenant is not None, "units of the registry reach no tenant's schema"
    return tenant


@lru_cache(maxsize=4096)
def _in_schema(table: Table, schema: str) -> Table:
    if table.schema == schema:
        return table
    copy = table.to_metadata(MetaData(), schema=schema)
    copy.info.update(table.info)
    return copy
