"""What a proof of isolation finds, in words for the team whose repository it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from prismicx.domain.cursors import Cursor
from prismicx.domain.entity import Entity
from prismicx.domain.specification import (
    Comparison,
    Conjunction,
    Disjunction,
    Negation,
    Order,
    Specification,
)
from prismicx.testing.isolation.oracle import Seen

_SMALL = 1 << 32


class IsolationBrokenError(AssertionError):
    """One tenant's answers depend on another tenant.

    Attributes:
        method: the repository's method, or the unit's, that betrayed it, as `CustomerRepository.count`.
        finding: what was wrong with its answer.
        history: what had been done, in order; the last line is the betrayal.
    """

    def __init__(self, method: str, finding: str, history: Sequence[str]) -> None:
        super().__init__(method, finding, tuple(history))
        self.method = method
        self.finding = finding
        self.history = tuple(history)

    def __str__(self) -> str:
        width = len(str(len(self.history)))
        lines = [f"  {number:>{width}}. {line}" for number, line in enumerate(self.history, start=1)]
        return "\n".join([f"{self.method} {self.finding}", "the history that shows it:", *lines])


class NothingProvenError(AssertionError):
    """All went well, but part of what was to be proven was never put to the test; the message says which part."""


def in_words(value: object) -> str:
    """Return a value in the words of a report; the same for values that are equal, wherever they come from."""
    match value:
        case UUID(int=number) if number < _SMALL:
            return f"id {number}"
        case Seen():
            return _entity_in_words(value.kind, value.version, value.values)
        case Entity():
            return _entity_in_words(type(value), value.version, value.__dict__)
        case BaseModel():
            return f"{type(value).__name__}({_pairs_in_words(value.__dict__)})"
        case Cursor():
            return "a cursor"
        case Specification():
            return _specification_in_words(value)
        case Order():
            return f"{'desc' if value.descending else 'asc'}({value.attribute})"
        case str() | bytes():
            return repr(value)
        case Mapping() | Sequence() | AbstractSet():
            return _collection_in_words(value)
    if type(value).__repr__ is object.__repr__:
        return f"{type(value).__name__}({_pairs_in_words(getattr(value, '__dict__', {}))})"
    return repr(value)


def _collection_in_words(value: Mapping[Any, Any] | Sequence[Any] | AbstractSet[Any]) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{in_words(key)}: {in_words(item)}" for key, item in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(in_words, value)) + "]"
    return "{" + ", ".join(sorted(map(in_words, value))) + "}"


def _entity_in_words(kind: type[Entity], version: int, values: Mapping[str, Any]) -> str:
    said = {name: value for name, value in values.items() if value != kind.model_fields[name].default}
    return f"{kind.__name__}({_pairs_in_words({**said, 'version': version} if version else said)})"


def _pairs_in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(in_words(item) if name == "id" else f"{name}={in_words(item)}" for name, item in values.items())


def _specification_in_words(specification: Specification) -> str:
    match specification:
        case Comparison(attribute=attribute, operator="is_null"):
            return f"{attribute} is null"
        case Comparison(attribute=attribute, operator=operator, value=value):
            return f"{attribute} {operator} {in_words(value)}"
        case Negation(part):
            return f"not ({_specification_in_words(part)})"
        case Conjunction(parts) | Disjunction(parts):
            word = " and " if isinstance(specification, Conjunction) else " or "
            return word.join(map(_specification_in_words, parts)) or "everything"
    return repr(specification)
