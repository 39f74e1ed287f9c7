"""Hypothesis strategies: tenant ids and texts that are none, entities from their models, criteria and orders."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache, reduce
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import Attribute, Conjunction, Disjunction, Order, Specification, scalar_type

EntityT = TypeVar("EntityT", bound=Entity)
ModelT = TypeVar("ModelT", bound=BaseModel)

_FRAGMENTS: Final = ("'", '"', "%", "_", "\\", "$", "{", "}", ".*", "^", "(", "ß", "é", "🧰", "ش", "a", "A", " ", "\n")
_SMALL_TEXTS: Final = ("", "a", "A", "b", "ab", "ä", "%", "_", "🧰")

_ORDERED: Final = (str, int, float, Decimal, datetime, date, UUID)


def tenant_ids() -> SearchStrategy[TenantId]:
    """Tenant ids of every allowed form, short ones often, so that two of them are sometimes close to each other."""
    short = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,4}[a-z0-9])?", fullmatch=True)
    long = st.from_regex(r"[a-z0-9][a-z0-9_-]{37,38}[a-z0-9]", fullmatch=True)
    named = st.sampled_from(("a", "0", "a_b", "a-b", "a__b", "db", "acme_crm", "postgres", "null", "public"))
    return st.one_of(short, named, long).map(TenantId)


def texts_that_are_no_tenant_ids() -> SearchStrategy[str]:
    """Texts that `TenantId` refuses: padded, upper case, too long, look-alikes, quotes, operators, paths, NUL."""
    known = st.sampled_from(
        (
            "",
            " acme",
            "acme\n",
            "Acme",
            "acme-",
            "_acme",
            "a" * 41,
            "\u0430cme",
            "\uff41\uff43\uff4d\uff45",
            "acme\x00",
            "acme'; DROP TABLE tenants; --",
            'acme"',
            "../acme",
            "acme/other",
            "acme.other",
            "$ne",
            "*",
            "%",
        )
    )
    return st.one_of(known, st.text(max_size=50).filter(_is_no_tenant_id))


def storable_texts(*, longest: int = 12) -> SearchStrategy[str]:
    """Texts that every database can keep, rich in what means something to SQL, regular expressions and MongoDB."""
    characters = st.characters(codec="utf-8", exclude_characters="\x00")
    hostile = st.lists(st.sampled_from(_FRAGMENTS), max_size=3).map("".join)
    return st.one_of(st.sampled_from(_SMALL_TEXTS), hostile, st.text(characters, max_size=longest))


def decimals() -> SearchStrategy[Decimal]:
    """Decimals of at most 34 digits with up to twenty places, and scales that differ for equal values."""
    small = st.sampled_from(tuple(map(Decimal, ("0", "0.00", "1", "1.0", "1.00", "-1", "0.5"))))
    digits = st.lists(st.integers(0, 9), min_size=1, max_size=34).map(tuple)
    return st.one_of(small, st.builds(_decimal, st.sampled_from((0, 1)), digits, st.integers(0, 20)))


def times() -> SearchStrategy[datetime]:
    """Times in UTC, whole milliseconds, from the year 1 to the year 9999."""
    return st.datetimes(timezones=st.just(UTC)).map(
        lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000)
    )


def structures() -> SearchStrategy[Any]:
    """What JSON can hold, with whole numbers of at most 64 bits, and floats below 1e15.

    PostgreSQL's `jsonb` knows one kind of number: from 1e16 on it returns a float that Python wrote as whole.
    """
    finite = st.floats(-1e15, 1e15)
    scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), finite, storable_texts())
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(storable_texts(), inner, max_size=3)),
        max_leaves=5,
    )


_VALUES: Final[Mapping[type, Callable[[], SearchStrategy[Any]]]] = {
    str: storable_texts,
    bool: st.booleans,
    int: lambda: st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1)),
    float: lambda: st.one_of(st.sampled_from((0.0, 1.0, -1.0, 0.5)), st.floats(allow_nan=False, allow_infinity=False)),
    bytes: lambda: st.binary(max_size=8),
    Decimal: decimals,
    datetime: times,
    date: st.dates,
    UUID: st.uuids,
}


def models(kind: type[ModelT]) -> SearchStrategy[ModelT]:
    """Instances of a pydantic model, each attribute by its annotation; constraints on attributes are kept."""
    fields = {name: _field(info) for name, info in kind.model_fields.items()}
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


def entities(kind: type[EntityT]) -> SearchStrategy[EntityT]:
    """Entities of this kind, new and without events; identities are made as usual, so no two are the same."""
    fields = {name: _field(info) for name, info in kind.model_fields.items() if name != "id"}
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


def collections(mapping: EntityMapping, *, longest: int = 6) -> SearchStrategy[list[Any]]:
    """Lists of aggregates of one mapping that one tenant can have at the same time: no unique key is there twice."""
    return st.lists(entities(mapping.entity), max_size=longest).map(lambda found: _without_collisions(mapping, found))


def specifications(kind: type[Entity], among: Sequence[Entity] = ()) -> SearchStrategy[Specification]:
    """Criteria of every operator, combined; values are often those of the entities given, so that some are met."""
    names = st.sampled_from(sorted(kind.model_fields))
    comparisons = names.flatmap(lambda name: _comparisons(kind, name, among))
    return st.recursive(
        comparisons,
        lambda inner: st.one_of(
            inner.map(lambda part: ~part),
            st.lists(inner, max_size=3).map(lambda parts: Conjunction(tuple(parts))),
            st.lists(inner, max_size=3).map(lambda parts: Disjunction(tuple(parts))),
        ),
        max_leaves=5,
    )


def orders(kind: type[Entity]) -> SearchStrategy[tuple[Order, ...]]:
    """Orders by none to three attributes."""
    names = [name for name in kind.model_fields if _is_ordered(kind, name)]
    order = st.builds(Order, st.just(kind), st.sampled_from(names), descending=st.booleans())
    return st.lists(order, max_size=3, unique_by=lambda found: found.attribute).map(tuple)


def _is_no_tenant_id(text: str) -> bool:
    return not TenantId.pattern.fullmatch(text) or len(text) > TenantId.longest


def _decimal(sign: int, digits: tuple[int, ...], places: int) -> Decimal:
    # A negative zero is equal to zero everywhere, but PostgreSQL does not keep its sign.
    return Decimal((sign if any(digits) else 0, digits, -places))


def _field(info: FieldInfo) -> SearchStrategy[Any]:
    return _constrained(info.annotation, info.metadata)


def _constrained(annotation: Any, constraints: Sequence[Any]) -> SearchStrategy[Any]:
    if not constraints:
        return values_of(annotation)
    whole: Any = reduce(lambda kind, item: Annotated[kind, item], constraints, annotation)
    adapter: TypeAdapter[Any] = TypeAdapter(whole)
    # Hypothesis draws whole numbers within their bounds; a filter would have to throw nearly all of ours away.
    values = st.from_type(whole).filter(_fits_in_64_bits) if annotation is int else values_of(annotation)
    return values.filter(lambda value: _is_accepted(adapter, value))


def _fits_in_64_bits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _is_accepted(adapter: TypeAdapter[Any], value: object) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def values_of(annotation: Any) -> SearchStrategy[Any]:
    """Values of an annotation as entities have them; what is not known here is left to `from_type` of Hypothesis."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return structures()
    if origin is Annotated:
        return _constrained(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if part is type(None) else values_of(part) for part in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (list, Sequence):
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin in (dict, Mapping):
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if isinstance(annotation, type):
        return _values_of_type(annotation)
    return st.from_type(annotation)


def _values_of_type(kind: type) -> SearchStrategy[Any]:
    if kind in _VALUES:
        return _VALUES[kind]()
    if issubclass(kind, Enum):
        return st.sampled_from(tuple(kind))
    if kind is TenantId:
        return tenant_ids()
    if issubclass(kind, BaseModel):
        return models(kind)
    return st.from_type(kind)


def _without_collisions(mapping: EntityMapping, found: Sequence[AggregateRoot]) -> list[AggregateRoot]:
    taken: set[tuple[tuple[str, ...], tuple[Any, ...]]] = set()
    kept = []
    for entity in found:
        keys = {(tuple(names), tuple(getattr(entity, name) for name in names)) for names in mapping.unique}
        keys = {key for key in keys if None not in key[1]}
        if not keys & taken:
            taken |= keys
            kept.append(entity)
    return kept


def _is_ordered(kind: type[Entity], name: str) -> bool:
    scalar = scalar_type(kind, name)
    return scalar is not None and scalar is not bool and issubclass(scalar, _ORDERED) and not issubclass(scalar, Enum)


@lru_cache(maxsize=1024)
def _fresh_values(kind: type[Entity], name: str) -> SearchStrategy[Any]:
    return values_of(kind.model_fields[name].annotation).filter(lambda value: value is not None)


def _comparisons(kind: Any, name: str, among: Sequence[Entity]) -> SearchStrategy[Specification]:
    subject, scalar = Attribute(kind, name), scalar_type(kind, name)
    is_null = st.just(subject.is_null())
    if scalar is None:
        return is_null
    held = [value for value in (getattr(entity, name) for entity in among) if value is not None]
    fresh = _fresh_values(kind, name)
    value = st.one_of(st.sampled_from(held), fresh) if held else fresh
    choices = [
        value.map(lambda found: subject == found),
        value.map(lambda found: subject != found),
        st.lists(st.one_of(st.none(), value), max_size=3).map(subject.in_),
        is_null,
    ]
    if _is_ordered(kind, name):
        choices += [
            value.map(lambda found: subject < found),
            value.map(lambda found: subject <= found),
            value.map(lambda found: subject > found),
            value.map(lambda found: subject >= found),
        ]
    if scalar is str and get_origin(kind.model_fields[name].annotation) is not Literal:
        parts = st.builds(lambda text, start, end: text[start:end], value, st.integers(0, 2), st.integers(1, 4))
        choices += [parts.map(subject.prefix), parts.map(subject.contains)]
    return st.one_of(choices)
