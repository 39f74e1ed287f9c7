"""Attributes as expressions: what `Customer.email` is on the class, and which values it can be compared with."""

from __future__ import annotations

import types
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from prismicx.domain.criteria import Comparison, Operator, Order, Specification
from prismicx.domain.errors import InvalidSpecificationError, UnknownAttributeError
from prismicx.domain.moments import utc_milliseconds

_ORDERED: Final = (str, int, float, Decimal, datetime, date, UUID)


class Attribute:
    """An attribute of a kind of entity, as an expression: `Customer.email` on the class.

    Type checkers see the attribute's own type there; `attribute(Customer.email)` shows them this one.
    """

    __slots__ = ("entity", "name")

    def __init__(self, entity: type, name: str) -> None:
        """Name an attribute, checked against the entity's fields.

        Raises:
            UnknownAttributeError: the entity has no such attribute.
        """
        fields = entity.__pydantic_fields__  # type: ignore[attr-defined]  # every entity is a pydantic model
        if name not in fields:
            raise UnknownAttributeError(entity.__name__, name, tuple(fields))
        self.entity = entity
        self.name = name

    def __eq__(self, other: object) -> Specification:  # type: ignore[override]  # an expression, as in SQLAlchemy
        return self.is_null() if other is None else self._compare("eq", other)

    def __ne__(self, other: object) -> Specification:  # type: ignore[override]  # an expression, as in SQLAlchemy
        return ~self.is_null() if other is None else self._compare("ne", other)

    def __lt__(self, other: object) -> Specification:
        return self._compare("lt", other)

    def __le__(self, other: object) -> Specification:
        return self._compare("le", other)

    def __gt__(self, other: object) -> Specification:
        return self._compare("gt", other)

    def __ge__(self, other: object) -> Specification:
        return self._compare("ge", other)

    def in_(self, values: Iterable[object]) -> Specification:
        """The attribute is one of these; `None` among them stands for null; none of them is true of nothing."""
        if isinstance(values, (str, bytes)):
            raise InvalidSpecificationError(f"{self!r}.in_() takes several values, not one text")
        given = tuple(values)
        known = tuple(self._checked(value, "in") for value in given if value is not None)
        found = Comparison(self.entity, self.name, "in", known)
        return found if len(known) == len(given) else found | self.is_null()

    def prefix(self, text: str) -> Specification:
        """The text begins with these characters, case and all."""
        return self._compare("prefix", text)

    def contains(self, text: str) -> Specification:
        """The text holds these characters somewhere, case and all."""
        return self._compare("contains", text)

    def is_null(self) -> Specification:
        """The attribute is `None`."""
        return Comparison(self.entity, self.name, "is_null", True)

    def asc(self) -> Order:
        """Sort by it, smallest first, nulls last."""
        self._require_ordered("sort by")
        return Order(self.entity, self.name)

    def desc(self) -> Order:
        """Sort by it, largest first, nulls last."""
        self._require_ordered("sort by")
        return Order(self.entity, self.name, descending=True)

    def __hash__(self) -> int:
        return hash((self.entity, self.name))

    def __bool__(self) -> bool:
        raise InvalidSpecificationError(f"{self!r} has no truth value: compare it, or read it from an instance")

    def __repr__(self) -> str:
        return f"{self.entity.__name__}.{self.name}"

    def _compare(self, operator: Operator, value: object) -> Specification:
        return Comparison(self.entity, self.name, operator, self._checked(value, operator))

    def _checked(self, value: object, operator: Operator) -> Any:
        if isinstance(value, Attribute):
            raise InvalidSpecificationError(f"{self!r} can be compared with a value, not with {value!r}")
        if value is None:
            raise InvalidSpecificationError(f"{self!r}: nothing is {operator} null; use is_null()")
        scalar = scalar_type(self.entity, self.name)
        if scalar is None:
            raise InvalidSpecificationError(f"{self!r} holds a structure; only is_null() can be asked of it")
        if operator in ("prefix", "contains"):
            if scalar is not str:
                raise InvalidSpecificationError(f"{operator} needs text, and {self!r} is {scalar.__name__}")
            scalar_check: TypeAdapter[Any] = _TEXT
        else:
            if operator in ("lt", "le", "gt", "ge"):
                self._require_ordered(operator)
            scalar_check = _value_check(self.entity, self.name)
        try:
            checked = scalar_check.validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InvalidSpecificationError(f"{self!r} cannot be compared with {value!r:.80}: {reason}") from error
        if isinstance(checked, datetime):
            try:
                return utc_milliseconds(checked)
            except ValueError as error:
                raise InvalidSpecificationError(f"{self!r}: {error}") from error
        if isinstance(checked, str):
            require_storable_text(checked, repr(self))
        return checked

    def _require_ordered(self, purpose: str) -> None:
        scalar = scalar_type(self.entity, self.name)
        if scalar is None or scalar is bool or issubclass(scalar, Enum) or not issubclass(scalar, _ORDERED):
            raise InvalidSpecificationError(f"{self!r} has no order to {purpose}")


def require_storable_text(text: str, subject: str) -> None:
    """Refuse what no database takes as text.

    Raises:
        InvalidSpecificationError: the text holds a NUL or half of a surrogate pair.
    """
    if "\x00" in text:
        raise InvalidSpecificationError(f"{subject}: a text must not hold a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidSpecificationError(f"{subject}: the text is not valid Unicode") from error


def attribute(expression: object) -> Attribute:
    """Return the attribute that `Customer.email` is at run time, so that type checkers see its operators too.

    Raises:
        InvalidSpecificationError: it is not an attribute taken from an entity class.
    """
    if not isinstance(expression, Attribute):
        raise InvalidSpecificationError(f"{expression!r:.80} is no attribute; take it from the class: Customer.name")
    return expression


def asc(expression: object) -> Order:
    """Sort by this attribute, smallest first, nulls last: `asc(Customer.name)`."""
    return attribute(expression).asc()


def desc(expression: object) -> Order:
    """Sort by this attribute, largest first, nulls last: `desc(Customer.name)`."""
    return attribute(expression).desc()


def scalar_type(entity: type, name: str) -> type | None:
    """Return the Python type of an attribute's single values, without `None`; `None` itself for a structure."""
    field = entity.__pydantic_fields__[name]  # type: ignore[attr-defined]  # every entity is a pydantic model
    return _scalar(field.annotation)


def _scalar(annotation: Any) -> type | None:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _scalar(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        members = {_scalar(member) for member in get_args(annotation) if member is not type(None)}
        return members.pop() if len(members) == 1 else None
    if origin is Literal:
        kinds = {type(value) for value in get_args(annotation) if value is not None}
        return kinds.pop() if len(kinds) == 1 else None
    if not isinstance(annotation, type) or origin is not None:
        return None
    if issubclass(annotation, (*_ORDERED, bool, bytes, Enum)):
        return annotation
    if hasattr(annotation, "value") and not issubclass(annotation, BaseModel):  # a value object around one text
        return annotation
    return None


_TEXT: Final[TypeAdapter[Any]] = TypeAdapter(str)


@lru_cache(maxsize=4096)
def _value_check(entity: type, name: str) -> TypeAdapter[Any]:
    # The bare annotation: looking for a text shorter than any that may be stored finds nothing, and is no mistake.
    annotation = entity.__pydantic_fields__[name].annotation  # type: ignore[attr-defined]  # a pydantic model
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
