"""Specifications and orders as MongoDB's filters and stages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from prismicx.adapters.fields import Field, Kind
from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.following import Following
from prismicx.domain.specification import Comparison, Conjunction, Disjunction, Negation, Order, Specification

Filter = dict[str, Any]

NOTHING: Final[Mapping[str, Any]] = {"_id": {"$in": []}}
"""True of no document."""

_RANK: Final = "__rank_"


class Keys(Protocol):
    """What a filter has to know of the documents that it is for."""

    fields: Mapping[str, Field]

    def stored(self, name: str, value: Any) -> tuple[str, Any]:
        """Return an attribute's key and one of its plain values as documents have them."""
        ...


def matching(specification: Specification, keys: Keys) -> Filter:
    """Return the filter that is true of exactly the documents that meet the specification.

    Its values are plain ones. Conditions stand side by side where their keys differ: an `$and` around them would keep
    some planners from the index.
    """
    match specification:
        case Comparison():
            return _comparison(specification, keys)
        case Conjunction(parts=parts):
            return _conjunction([matching(part, keys) for part in parts])
        case Disjunction(parts=()):
            return dict(NOTHING)
        case Disjunction(parts=parts):
            return {"$or": [matching(part, keys) for part in parts]}
        case Negation(part=part):
            return {"$nor": [matching(part, keys)]}
        case Following():
            return matching(specification.spelled_out(), keys)
    raise InvalidSpecificationError(f"{type(specification).__name__} is not a specification that a backend knows")


def _conjunction(parts: Sequence[Filter]) -> Filter:
    together: Filter = {}
    apart: list[Filter] = []
    for part in parts:
        if together.keys().isdisjoint(part):
            together.update(part)
        else:
            apart.append(part)
    return {**together, "$and": [*together.get("$and", ()), *apart]} if apart else together


def _comparison(comparison: Comparison, keys: Keys) -> Filter:
    name, value = comparison.attribute, comparison.value
    if comparison.operator == "is_null":
        key, _ = keys.stored(name, None)
        # A list that holds a null equals null as well, as far as MongoDB is concerned.
        is_list = {"$not": {"$type": "array"}} if keys.fields[name].kind is Kind.STRUCTURE else {}
        return {key: {"$eq": None, **is_list}}
    if comparison.operator == "in":
        key, _ = keys.stored(name, None)
        return {key: {"$in": [keys.stored(name, item)[1] for item in value]}}
    if comparison.operator == "contains":
        return _containing(name, value)
    key, stored = keys.stored(name, value)
    return {key: _CONDITIONS[comparison.operator](stored)}


def _containing(key: str, text: str) -> Filter:
    return {"$expr": {"$gte": [{"$indexOfBytes": [f"${key}", {"$literal": text}]}, 0]}}


_LAST: Final = chr(sys.maxunicode)
_SURROGATES: Final = range(0xD800, 0xE000)


def _range_of_prefix(text: str) -> Filter:
    """Return the texts from this one up to the next that does not begin with it; a regular expression has a longest."""
    following = text.rstrip(_LAST)
    if not following:
        return {"$gte": text}
    successor = ord(following[-1]) + 1
    if successor in _SURROGATES:
        successor = _SURROGATES.stop
    return {"$gte": text, "$lt": following[:-1] + chr(successor)}


_CONDITIONS: Final[Mapping[str, Callable[[Any], Filter]]] = {
    "eq": lambda value: {"$eq": value},
    "ne": lambda value: {"$ne": value},
    "lt": lambda value: {"$lt": value},
    "le": lambda value: {"$lte": value},
    "gt": lambda value: {"$gt": value},
    "ge": lambda value: {"$gte": value},
    "prefix": _range_of_prefix,
}


def sorting(order: Sequence[Order], keys: Keys) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Return fields to compute first, and the sort order.

    MongoDB has nulls before everything else, so an attribute that may be null needs a computed rank where they come
    last and it ascends, or first and it descends.
    """
    ranks: dict[str, Any] = {}
    sort: list[tuple[str, int]] = []
    for position, key in enumerate(order):
        name, _ = keys.stored(key.attribute, None)
        if keys.fields[key.attribute].nullable and key.descending is key.nulls_first:
            rank = f"{_RANK}{position}"
            ranks[rank] = {"$cond": [{"$eq": [{"$ifNull": [f"${name}", None]}, None]}, 1, 0]}
            sort.append((rank, -1 if key.nulls_first else 1))
        sort.append((name, -1 if key.descending else 1))
    return ranks, sort
