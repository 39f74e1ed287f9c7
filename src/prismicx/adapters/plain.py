"""What the values of an attribute become in storage, and which values not every database can keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import repeat
from operator import contains
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter

from prismicx.domain.errors import InvalidSpecificationError, UnstorableValueError
from prismicx.domain.specification import require_storable_text

_LARGEST_INTEGER: Final = 2**63 - 1
_DECIMAL_DIGITS: Final = 34  # of MongoDB's Decimal128; PostgreSQL's numeric holds more
_REPLACED: Final = "\ufffd" * 3  # what pydantic makes of half a surrogate pair in a key, silently
_DECIMAL_EXPONENTS: Final = range(-6176, 6112)
_TEXTS: Final = frozenset((str,))
_INTEGERS: Final = frozenset((int,))


Subject = tuple[str, str]
"""An entity and its attribute, as errors name them."""


def bare(value: Any) -> Any:
    """Take the value out of an enumeration's member or a value object."""
    return value if type(value) in BARE else getattr(value, "value", value)


BARE: Final = frozenset((str, int, float, bool, bytes, Decimal, datetime, date, UUID, type(None)))


def plain_scalar(subject: Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes a value plain that every database takes."""
    return bare


def plain_text(subject: Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes a text plain: without NUL, and valid Unicode."""

    def plain(value: Any) -> Any:
        text = bare(value)
        if text is not None:
            _require_text(subject, text)
        return text

    return plain


def plain_integer(subject: Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes an integer plain: of 64 bits."""

    def plain(value: Any) -> Any:
        number = bare(value)
        if number is not None:
            _require_integer(subject, number)
        return number

    return plain


def plain_decimal(subject: Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes a decimal plain: a number, of as many digits as MongoDB keeps."""

    def plain(value: Any) -> Any:
        number: Decimal | None = bare(value)
        if number is not None:
            _, digits, exponent = number.as_tuple()
            if not isinstance(exponent, int):
                raise UnstorableValueError(*subject, f"{number} is not a number")
            if len(digits) > _DECIMAL_DIGITS or exponent not in _DECIMAL_EXPONENTS:
                raise UnstorableValueError(*subject, f"{number!s:.60} has more than {_DECIMAL_DIGITS} digits")
        return number

    return plain


def plain_structure(subject: Subject, adapter: TypeAdapter[Any]) -> Callable[[Any], Any]:
    """Return what makes a structure plain: fresh dicts, lists and JSON scalars."""

    def plain(value: Any) -> Any:
        _require_finite(subject, adapter.dump_python(value, warnings=False))  # as JSON an infinity becomes a null
        try:
            structure = adapter.dump_python(value, mode="json", warnings="error")
        except ValueError as error:
            raise UnstorableValueError(*subject, str(error)) from error
        _require_structure(subject, structure)
        return structure

    return plain


def are_bare(values: Sequence[Any]) -> bool:
    """Tell whether all of them are stored as they are, as far as a look at each type can tell."""
    return BARE.issuperset(map(type, values))


def are_plain_texts(values: Sequence[Any]) -> bool:
    """Tell whether all of them are texts that every database takes, as far as a quick look can tell."""
    is_ascii = _TEXTS.issuperset(map(type, values)) and all(map(str.isascii, values))
    return is_ascii and not any(map(contains, values, repeat("\0")))


def are_small_integers(values: Sequence[Any]) -> bool:
    """Tell whether all of them are integers of 64 bits."""
    if not _INTEGERS.issuperset(map(type, values)):
        return False
    least, most = int(min(values)), int(max(values))
    return least >= -_LARGEST_INTEGER - 1 and most <= _LARGEST_INTEGER


def not_plain(values: Sequence[Any]) -> bool:
    """Tell that each of them has to be looked at for itself."""
    return False


def _require_text(subject: Subject, text: str) -> None:
    try:
        require_storable_text(text, ".".join(subject))
    except InvalidSpecificationError as error:
        raise UnstorableValueError(*subject, "the text holds a NUL or is not valid Unicode") from error


def _require_integer(subject: Subject, number: int) -> None:
    if not -_LARGEST_INTEGER - 1 <= number <= _LARGEST_INTEGER:
        raise UnstorableValueError(*subject, "the number does not fit in 64 bits")


def _require_structure(subject: Subject, value: Any) -> None:
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


def _require_finite(subject: Subject, value: Any) -> None:
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
