"""Whether a team's own table fits its entity: every mismatch is found before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    inspect,
)
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from prismicx.adapters.fields import Field, Kind, fields_of
from prismicx.domain.placement import EntityMapping, Reference

_HOLDS: Final[Mapping[Kind, tuple[str, Callable[[Any], bool]]]] = {
    Kind.TEXT: ("Text or String", lambda held: isinstance(held, String) and not isinstance(held, Enum)),
    Kind.INTEGER: ("BigInteger: integers have 64 bits", lambda held: isinstance(held, BigInteger)),
    Kind.FLOAT: ("Double", lambda held: isinstance(held, Float) and not isinstance(held, REAL) and not held.asdecimal),
    Kind.BOOLEAN: ("Boolean", lambda held: isinstance(held, Boolean)),
    Kind.BYTES: ("LargeBinary", lambda held: isinstance(held, LargeBinary)),
    Kind.DECIMAL: (
        "Numeric without a scale: decimals keep their own",
        lambda held: (
            isinstance(held, Numeric) and not isinstance(held, Float) and held.scale is None and held.asdecimal
        ),
    ),
    Kind.TIMESTAMP: ("DateTime(timezone=True)", lambda held: isinstance(held, DateTime) and held.timezone),
    Kind.DATE: ("Date", lambda held: isinstance(held, Date)),
    Kind.UUID: ("Uuid", lambda held: isinstance(held, Uuid) and held.as_uuid),
    Kind.STRUCTURE: ("JSONB or JSON", lambda held: isinstance(held, JSON)),
}


def own_table(own: Any) -> Table:
    """Return the table of a declarative class, or the table itself."""
    return own if isinstance(own, Table) else own.__table__


def own_columns(own: Any) -> dict[str, Column[Any]]:
    """Return its columns by attribute: the names of a declarative class, or the table's keys."""
    if isinstance(own, Table):
        return dict(own.c.items())
    return dict(inspect(own).columns.items())


def misfits(mapping: EntityMapping, own: Any) -> list[str]:
    """Return what is wrong with a team's table for this entity, in words; nothing where it fits."""
    if not isinstance(own, Table):
        try:
            inspect(own).columns  # noqa: B018 -- it is asked whether there are any
        except (NoInspectionAvailable, AttributeError):
            return [f"{own!r:.80} for {mapping.entity.__name__} is neither a declarative class nor a Table"]
    return [*_attribute_misfits(mapping, own), *_framework_misfits(mapping, own), *_key_misfits(mapping, own)]


def _attribute_misfits(mapping: EntityMapping, own: Any) -> Iterator[str]:
    columns = own_columns(own)
    for field in fields_of(mapping.entity):
        subject = f"{mapping.entity.__name__}.{field.name}"
        column = columns.get(field.name)
        if column is None:
            yield f"{subject} has no column in {own_table(own).name}"
        else:
            yield from _column_misfits(subject, field, column)
    known = {field.name for field in fields_of(mapping.entity)} | {"tenant_id", "version"}
    for name, column in columns.items():
        filled = column.nullable or column.server_default is not None or column.identity or column.computed
        if name not in known and not filled:
            yield f"{own_table(own).name}.{column.name} takes no null, has no server default, and no attribute fills it"


def _column_misfits(subject: str, field: Field, column: Column[Any]) -> Iterator[str]:
    wanted, holds = _HOLDS[field.kind]
    held: TypeEngine[Any] = column.type
    if not isinstance(held, TypeDecorator) and not holds(held):  # a decorator's own code says what it holds
        yield f"{subject} is {field.kind.value}, which {held!r} cannot hold; use {wanted}"
    if field.nullable and not column.nullable:
        yield f"{subject} can be None, but its column takes no null"
    if column.nullable and not field.nullable:
        yield f"{subject} cannot be None, but its column takes null"


def _framework_misfits(mapping: EntityMapping, own: Any) -> Iterator[str]:
    table, columns = own_table(own), own_columns(own)
    version = columns.get("version")
    if version is None or not isinstance(version.type, Integer) or version.nullable:
        yield f"{table.name} needs a column version, BigInteger and not null"
    if isinstance(mapping.placement, Reference):
        return
    tenant = columns.get("tenant_id")
    if tenant is None or not isinstance(tenant.type, String) or tenant.nullable:
        yield f"{table.name} needs a column tenant_id, Text and not null"


def _key_misfits(mapping: EntityMapping, own: Any) -> Iterator[str]:
    table, columns = own_table(own), own_columns(own)
    tenant = () if isinstance(mapping.placement, Reference) else ("tenant_id",)
    named = {attribute: column.name for attribute, column in columns.items()}
    wanted = tuple(named.get(attribute, attribute) for attribute in (*tenant, "id"))
    primary = tuple(column.name for column in table.primary_key.columns)
    if primary != wanted:
        yield f"the primary key of {table.name} is ({', '.join(primary)}), it must be ({', '.join(wanted)})"
    unique = [
        tuple(column.name for column in key.columns) for key in table.constraints if isinstance(key, UniqueConstraint)
    ]
    unique += [tuple(column.name for column in index.columns) for index in table.indexes if index.unique]
    for key in unique:
        if tenant and key[0] != wanted[0]:
            yield f"the unique key ({', '.join(key)}) of {table.name} does not begin with {wanted[0]}"
    for attributes in mapping.unique:
        columns_of_key = {*wanted[: len(tenant)], *(named.get(attribute, attribute) for attribute in attributes)}
        if columns_of_key not in [set(key) for key in unique]:
            yield f"{table.name} has no unique key for {', '.join(attributes)}"
