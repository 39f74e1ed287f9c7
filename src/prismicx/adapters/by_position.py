"""Rows become aggregates by position: the same aggregates that pydantic makes of the same values, several times faster.

Most values of a row need no validation: a text in a column of texts is what the entity's attribute holds. What pydantic
would leave as it is, is recognised by its type; it is asked about each other value; and a row in which anything does
not fit is left to it as a whole, so that it says what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from prismicx.adapters.fields import once_per_kind
from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.identifiers import TenantId
from prismicx.domain.moments import utc_milliseconds

Row: TypeAlias = Sequence[Any]
"""The plain values of an entity's attributes, in the order of their declaration, and its version."""

WholeRow: TypeAlias = Callable[[Row], Any]
"""Makes an entity of a row, with a validation of all of it."""

RowReader: TypeAlias = Callable[[Iterable[Row], TenantId | None, WholeRow], Iterator[Any]]
"""Makes the entities of rows, one after the other, each stamped with its version and the tenant.

What does not fit goes to `WholeRow`, which raises or knows better.
"""

_EXACT: Final[Mapping[str, str]] = {  # by pydantic's name of a type: when it leaves a value as it is
    "str": "type({0}) is str",
    "int": "type({0}) is int",
    "bool": "type({0}) is bool",
    "bytes": "type({0}) is bytes",
    "date": "type({0}) is date",
    "uuid": "isinstance({0}, UUID)",
    "float": "type({0}) is float and isfinite({0})",
    "decimal": "type({0}) is Decimal and {0}.is_finite()",
}
_TIME: Final = "type({0}) is datetime and {0}.tzinfo is UTC and not {0}.microsecond % 1000"
_WITHOUT_EFFECT: Final = frozenset(("title", "extra_fields_behavior", "allow_inf_nan"))
"""Settings of a model that change nothing about a value that fits exactly."""

_NAMES: Final[Mapping[str, Any]] = {
    "UTC": UTC,
    "UUID": UUID,
    "Decimal": Decimal,
    "ValidationError": ValidationError,
    "date": date,
    "datetime": datetime,
    "isfinite": math.isfinite,
    "new": object.__new__,
    "set_attributes": BaseModel.__dict__["__dict__"].__set__,
    "set_given": BaseModel.__dict__["__pydantic_fields_set__"].__set__,
    "set_extra": BaseModel.__dict__["__pydantic_extra__"].__set__,
    "set_private": BaseModel.__dict__["__pydantic_private__"].__set__,
    "set_version": Entity.__dict__["_version"].__set__,
    "set_tenant": Entity.__dict__["_tenant"].__set__,
    "set_events": AggregateRoot.__dict__["_events"].__set__,
}

_READER: Final = """\
def read(rows, tenant, whole):
    for row in rows:
        {values}, version = row
        try:
            fits = {fits}
            {checks}
        except ValidationError:
            fits = False
        if not fits:
            yield whole(row)
            continue
        entity = new(kind)
        set_attributes(entity, {{{attributes}}})
        set_given(entity, given.copy())
        set_extra(entity, None)
        set_private(entity, None)
        set_version(entity, version)
        set_tenant(entity, tenant)
        set_events(entity, ())
        yield entity
"""


@once_per_kind
def row_reader(entity: type[AggregateRoot]) -> RowReader:
    """Return what makes entities of this kind of rows.

    It is written out for the kind and compiled, as `dataclasses` does it: to name each value takes a third less time
    than to go through them. Nothing of a row becomes code. Where the entity has a hand of its own in how it is made
    (validators of the model, private attributes, a constructor), every row is left to pydantic.
    """
    fields = _fields_made_one_by_one(entity)
    if fields is None:
        return lambda rows, tenant, whole: map(whole, rows)
    config: Any = entity.__pydantic_core_schema__.get("config", {})
    names = {name: f"value_{place}" for place, name in enumerate(fields)}
    fits, checks, known = ["True"], [], dict(_NAMES, kind=entity, given=set(fields))
    for name, schema in fields.items():
        exact = _exactly(schema, names[name]) if config.keys() <= _WITHOUT_EFFECT else None
        if exact is None:
            known[f"check_{names[name]}"] = SchemaValidator(schema, config).validate_python
            checks.append(f"{names[name]} = check_{names[name]}({names[name]}, strict=False)")
        else:
            fits.append(exact)
    source = _READER.format(
        values=", ".join(names.values()),
        fits=" and ".join(fits),
        checks="; ".join(checks) or "pass",
        attributes=", ".join(f"{name!r}: {value}" for name, value in names.items()),
    )
    exec(compile(source, f"<rows of {entity.__name__}>", "exec"), known)  # noqa: S102 -- made of our own words only
    read: RowReader = known["read"]
    return read


def _fields_made_one_by_one(entity: type[AggregateRoot]) -> Mapping[str, Any] | None:
    """Return the schema of each field, if validating an entity is validating its fields, and nothing else."""
    schema: Any = entity.__pydantic_core_schema__
    validator: Any = entity.__pydantic_validator__
    if type(validator) is not SchemaValidator or entity.__new__ is not object.__new__:
        return None
    if not isinstance(schema, dict) or schema["type"] != "model" or schema["schema"]["type"] != "model-fields":
        return None
    if any(schema.get(key) for key in ("post_init", "custom_init", "root_model", "strict")):
        return None
    if schema.get("config", {}).get("extra_fields_behavior") == "allow" or not _is_independent(schema["schema"]):
        return None
    return {name: field["schema"] for name, field in schema["schema"]["fields"].items()}


def _is_independent(schema: Any) -> bool:
    """Tell whether each field can be validated without what pydantic knows of the others."""
    if isinstance(schema, Mapping):
        if schema.get("type") in ("with-info", "definition-ref") or schema.get("on_error") == "omit":
            return False
        return all(_is_independent(part) for part in schema.values())
    if isinstance(schema, list | tuple):
        return all(_is_independent(part) for part in schema)
    return True


def _exactly(schema: Mapping[str, Any], value: str) -> str | None:
    """Return when pydantic leaves a value as it is, as an expression; `None` where that is not so easily told."""
    match schema:
        case {"type": "default", "schema": inner}:
            return _exactly(inner, value)
        case {"type": "nullable", "schema": inner}:
            exact = _exactly(inner, value)
            return None if exact is None else f"({value} is None or {exact})"
        case {"type": "function-after", "function": {"function": function}, "schema": {"type": "datetime"} as time}:
            is_ours = function is utc_milliseconds and time.keys() <= {"type", "microseconds_precision"}
            return _TIME.format(value) if is_ours else None
        case {"type": kind, **rest}:
            return _EXACT[kind].format(value) if kind in _EXACT and not rest else None
    return None
