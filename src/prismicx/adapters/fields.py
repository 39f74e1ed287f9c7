"""What an entity's attributes become in storage: one reading of the annotations for all backends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from prismicx.domain.entity import Entity, stamp
from prismicx.domain.errors import InvalidSpecificationError, MappingError, UnstorableValueError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import (
    TENANT,
    Comparison,
    Conjunction,
    Disjunction,
    Negation,
    Specification,
    require_storable_text,
    scalar_type,
)

EntityT = TypeVar("EntityT", bound=Entity)
KindT = TypeVar("KindT")
ResultT = TypeVar("ResultT")

_LARGEST_INTEGER: Final = 2**63 - 1
_DECIMAL_DIGITS: Final = 34  # of MongoDB's Decimal128; PostgreSQL's numeric holds more
_REPLACED: Final = "\ufffd" * 3  # what pydantic makes of half a surrogate pair in a key, silently
_DECIMAL_EXPONENTS: Final = range(-6176, 6112)


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
        case Comparison(operator="is_null"):
            return specification
        case Comparison(attribute=name, operator="in", value=values):
            plain = _plain_by_name(entity)[name]
            return replace(specification, value=tuple(map(plain, values)))
        case Comparison(attribute=name, value=value):
            return replace(specification, value=_plain_by_name(entity)[name](value))
        case Conjunction(parts=parts):
            return Conjunction(tuple(stored_specification(entity, part) for part in parts))
        case Disjunction(parts=parts):
            return Disjunction(tuple(stored_specification(entity, part) for part in parts))
        case Negation(part=part):
            return Negation(stored_specification(entity, part))
    raise InvalidSpecificationError(f"{type(specification).__name__} is not a specification that a backend knows")


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


_Subject = tuple[str, str]


def _bare(value: Any) -> Any:
    """Take the value out of an enumeration's member or a value object."""
    return value if type(value) in _BARE else getattr(value, "value", value)


_BARE: Final = frozenset((str, int, float, bool, bytes, Decimal, datetime, date, UUID, type(None)))


TENANT_FIELD: Final = Field(TENANT, Kind.TEXT, nullable=False, plain=_bare)
"""The tenant, where orders and criteria span several of them; no entity has it among its attributes."""


def _plain_scalar(subject: _Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    return _bare


def _plain_text(subject: _Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        text = _bare(value)
        if text is not None:
            _require_text(subject, text)
        return text

    return plain


def _plain_integer(subject: _Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        number = _bare(value)
        if number is not None:
            _require_integer(subject, number)
        return number

    return plain


def _plain_decimal(subject: _Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        number: Decimal | None = _bare(value)
        if number is not None:
            _, digits, exponent = number.as_tuple()
            if not isinstance(exponent, int):
                raise UnstorableValueError(*subject, f"{number} is not a number")
            if len(digits) > _DECIMAL_DIGITS or exponent not in _DECIMAL_EXPONENTS:
                raise UnstorableValueError(*subject, f"{number!s:.60} has more than {_DECIMAL_DIGITS} digits")
        return number

    return plain


def _plain_structure(subject: _Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        _require_finite(subject, adapter.dump_python(value, warnings=False))  # as JSON an infinity becomes a null
        try:
            structure = adapter.dump_python(value, mode="json", warnings="error")
        except ValueError as error:
            raise UnstorableValueError(*subject, str(error)) from error
        _require_structure(subject, structure)
        return structure

    return plain


_PLAIN: Final[Mapping[Kind, Callable[[_Subject, TypeAdapter[Any]], Callable[[Any], Any]]]] = {
    **dict.fromkeys(Kind, _plain_scalar),
    Kind.TEXT: _plain_text,
    Kind.INTEGER: _plain_integer,
    Kind.DECIMAL: _plain_decimal,
    Kind.STRUCTURE: _plain_structure,
}


def _require_text(subject: _Subject, text: str) -> None:
    try:
        require_storable_text(text, ".".join(subject))
    except InvalidSpecificationError as error:
        raise UnstorableValueError(*subject, "the text holds a NUL or is not valid Unicode") from error


def _require_integer(subject: _Subject, number: int) -> None:
    if not -_LARGEST_INTEGER - 1 <= number <= _LARGEST_INTEGER:
        raise UnstorableValueError(*subject, "the number does not fit in 64 bits")


def _require_structure(subject: _Subject, value: Any) -> None:
    match value:
        case dict():
            for key, item in value.items():
                _require_text(subject, key)
                if _REPLACED in key:
                    raise UnstorableValueError(*subject, "a key of it is not valid Unicode")
                _require_structure(subject, item)
        case list():
            for item in value:
                _require_structure(subject, item)
        case str():
            _require_text(subject, value)
        case bool() | None:
            pass
        case int():
            _require_integer(subject, value)
        case _:  # a float: JSON has nothing else
            _require_finite(subject, value)


def _require_finite(subject: _Subject, value: Any) -> None:
    match value:
        case dict():
            for item in value.values():
                _require_finite(subject, item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                _require_finite(subject, item)
        case float():
            if not math.isfinite(value):
                raise UnstorableValueError(*subject, f"{value} is not a number")
