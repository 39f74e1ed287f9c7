"""What an entity's attributes become in storage: one reading of the annotations for all backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from prismicx.adapters.plain import (
    Subject,
    are_bare,
    are_plain_texts,
    are_small_integers,
    bare,
    not_plain,
    plain_decimal,
    plain_integer,
    plain_scalar,
    plain_structure,
    plain_text,
)
from prismicx.domain.entity import Entity, stamp
from prismicx.domain.errors import InvalidSpecificationError, MappingError
from prismicx.domain.following import Following
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import (
    TENANT,
    Comparison,
    Conjunction,
    Disjunction,
    Negation,
    Specification,
    scalar_type,
)

EntityT = TypeVar("EntityT", bound=Entity)
KindT = TypeVar("KindT")
ResultT = TypeVar("ResultT")


class Kind(Enum):
    """How one attribute is stored."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    DECIMAL = "decimal"
    TIMESTAMP = "timestamp"
    DATE = "date"
    UUID = "uuid"
    STRUCTURE = "structure"


_KINDS: Final[tuple[tuple[type, Kind], ...]] = (  # bool before int, datetime before date: subclasses first
    (bool, Kind.BOOLEAN),
    (int, Kind.INTEGER),
    (str, Kind.TEXT),
    (float, Kind.FLOAT),
    (Decimal, Kind.DECIMAL),
    (datetime, Kind.TIMESTAMP),
    (date, Kind.DATE),
    (UUID, Kind.UUID),
    (bytes, Kind.BYTES),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute of an entity as it is stored.

    `plain` turns its value into what drivers take: str, int, float, bool, bytes, Decimal, datetime, date or UUID; for a
    `STRUCTURE`, fresh dicts, lists and JSON scalars. `None` stays `None`. It raises `UnstorableValueError` for what
    not every database can keep.
    """

    name: str
    kind: Kind
    nullable: bool
    plain: Callable[[Any], Any]

    def column(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return `plain` of each of many values; where a look at all of them shows that they are plain, themselves."""
        return values if _ARE_PLAIN[self.kind](values) else [self.plain(value) for value in values]


def once_per_kind(read: Callable[[KindT], ResultT]) -> Callable[[KindT], ResultT]:
    """Let a function of a kind of entity read each kind once.

    A plain `lru_cache` says the same, but pyright takes a class for unhashable when its instances are.
    """
    return lru_cache(maxsize=1024)(read)


@once_per_kind
def fields_of(entity: type[Entity]) -> tuple[Field, ...]:
    """Return the stored attributes of an entity, `id` first, then in the order of their declaration."""
    return tuple(_field(entity, name) for name in entity.model_fields)


def plain_values(entity: Entity) -> dict[str, Any]:
    """Return all attributes of an entity as they are stored, by name.

    Raises:
        UnstorableValueError: one of them holds what not every database can keep.
    """
    held = entity.__dict__
    return {field.name: field.plain(held[field.name]) for field in fields_of(type(entity))}


def columns_of(entities: Sequence[Entity]) -> Sequence[Sequence[Any]]:
    """Return the attributes of one or more entities of one kind as they are stored, a list for each field.

    Raises:
        UnstorableValueError: one of them holds what not every database can keep.
    """
    fields = fields_of(type(entities[0]))
    if len(entities) == 1:
        held = entities[0].__dict__
        return [[field.plain(held[field.name])] for field in fields]
    rows = [entity.__dict__ for entity in entities]
    return [field.column([held[field.name] for held in rows]) for field in fields]


def entity_from(entity: type[EntityT], values: Mapping[str, Any], *, version: int, tenant: TenantId | None) -> EntityT:
    """Return the entity that was stored as these plain values.

    Raises:
        MappingError: what is stored no longer fits the entity.
    """
    try:
        made = entity.__pydantic_validator__.validate_python(values, strict=False, by_alias=False, by_name=True)
    except ValidationError as error:
        subject = f"stored {entity.__name__} {values.get('id')}"
        problems = [f"{subject}, {'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise MappingError(problems) from error
    return stamp(made, version=version, tenant=tenant)  # type: ignore[no-any-return]  # the validator makes this class


def stored_specification(entity: type[Entity], specification: Specification) -> Specification:
    """Return the specification with each value as it is stored."""
    match specification:
        case Comparison(operator="is_null") | Following():
            return specification
        case Comparison(attribute=name, operator="in", value=values):
            return replace(specification, value=tuple(map(_plain_by_name(entity)[name], values)))
        case Comparison(attribute=name, value=value):
            plain = _plain_by_name(entity)[name](value)
            return specification if plain is value else replace(specification, value=plain)
        case Conjunction(parts=parts):
            return Conjunction(tuple(stored_specification(entity, part) for part in parts))
        case Disjunction(parts=parts):
            return Disjunction(tuple(stored_specification(entity, part) for part in parts))
        case Negation(part=part):
            return Negation(stored_specification(entity, part))
    raise InvalidSpecificationError(f"{type(specification).__name__} is not a specification that a backend knows")


def plain_value(entity: type[Entity], name: str, value: Any) -> Any:
    """Return a value of an attribute as it is stored."""
    return _plain_by_name(entity)[name](value)


@once_per_kind
def _plain_by_name(entity: type[Entity]) -> Mapping[str, Callable[[Any], Any]]:
    return {field.name: field.plain for field in (*fields_of(entity), TENANT_FIELD)}


def _field(entity: type[Entity], name: str) -> Field:
    annotation: Any = entity.model_fields[name].annotation
    adapter = _adapter(annotation)
    scalar = scalar_type(entity, name)
    kind = Kind.STRUCTURE if scalar is None else _kind(scalar)
    subject = (entity.__name__, name)
    return Field(name, kind, _accepts_none(adapter), _PLAIN[kind](subject, adapter))


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        # Otherwise an infinity inside an untyped structure would be stored as null, silently.
        return TypeAdapter(annotation, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError:  # a model has a configuration of its own
        return TypeAdapter(annotation)


def _kind(scalar: type) -> Kind:
    if issubclass(scalar, Enum):
        kinds = {_kind(type(member.value)) for member in scalar}
        return kinds.pop() if len(kinds) == 1 else Kind.STRUCTURE
    return next((kind for known, kind in _KINDS if issubclass(scalar, known)), Kind.TEXT)


def _accepts_none(adapter: TypeAdapter[Any]) -> bool:
    try:
        adapter.validate_python(None)
    except ValidationError:
        return False
    return True


_PLAIN: Final[Mapping[Kind, Callable[[Subject, TypeAdapter[Any]], Callable[[Any], Any]]]] = {
    **dict.fromkeys(Kind, plain_scalar),
    Kind.TEXT: plain_text,
    Kind.INTEGER: plain_integer,
    Kind.DECIMAL: plain_decimal,
    Kind.STRUCTURE: plain_structure,
}

_ARE_PLAIN: Final[Mapping[Kind, Callable[[Sequence[Any]], bool]]] = {
    **dict.fromkeys(Kind, are_bare),
    Kind.TEXT: are_plain_texts,
    Kind.INTEGER: are_small_integers,
    Kind.DECIMAL: not_plain,
    Kind.STRUCTURE: not_plain,
}


TENANT_FIELD: Final = Field(TENANT, Kind.TEXT, nullable=False, plain=bare)
"""The tenant, where orders and criteria span several of them; no entity has it among its attributes."""
