"""Strategies for isolation histories: attributes, drafts of aggregates, criteria and orders, all from small pools."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.placement import EntityMapping
from prismicx.domain.specification import Attribute, Order, scalar_type
from prismicx.testing.isolation.recipes import IDENTITIES, NOBODY, OWN, Criterion, Draft, Text
from prismicx.testing.strategies import values_of

_MARKED_FORMS: Final = ("{word} of {tenant}", "{word}-{tenant}", "{word}@{tenant}.test", "{tenant}")
_PLAIN_FORMS: Final = ("{word}", "{word} of {tenant}", "{word}@{tenant}.test", "{tenant}")
_WORDS: Final = ("ada", "bob")
_KEY_WORDS: Final = ("x", "y", "z")
_SAMPLE_TENANT: Final = "globex-a1b2c3"
_FURTHER_ATTRIBUTES: Final = 3

_POOLS: Final[Mapping[type, tuple[Any, ...]]] = {
    bool: (False, True),
    int: (0, 1, 2),
    float: (0.0, 0.5, 1.0),
    Decimal: (Decimal("0.00"), Decimal("1.50"), Decimal("2.50")),
    UUID: IDENTITIES,
    datetime: tuple(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)),
    date: tuple(date(2026, 1, day) for day in (1, 2, 3)),
    bytes: (b"", b"x"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What histories know of one kind of aggregate: its mapping, and how its attributes are drawn."""

    mapping: EntityMapping
    keys: frozenset[str]
    attributes: Mapping[str, SearchStrategy[Any]]
    texts: tuple[Text, ...]

    @property
    def kind(self) -> type[AggregateRoot]:
        """The aggregate's class."""
        return self.mapping.entity

    def drafts(self) -> SearchStrategy[Draft]:
        """Aggregates to be made, with identities and keys that collide."""
        strategies = {"id": st.sampled_from(IDENTITIES), **self.attributes}
        names = tuple(strategies)
        return st.tuples(*strategies.values()).map(lambda found: Draft(self.kind, dict(zip(names, found, strict=True))))

    def changes(self, *, of_keys: bool) -> SearchStrategy[dict[str, Any]]:
        """New values of one attribute; of an attribute of a unique key, or of another one."""
        chosen = {name: found for name, found in self.attributes.items() if (name in self.keys) is of_keys}
        if not chosen:
            return st.just({})
        return st.sampled_from(sorted(chosen)).flatmap(lambda name: chosen[name].map(lambda value: {name: value}))

    def criteria(self, tenants: int) -> SearchStrategy[Criterion]:
        """Criteria over what is drawn; texts are the asking tenant's, another's, or everybody's."""
        everything = st.just(Criterion(self.kind, "id", "any", None))
        comparisons = [self._comparisons(name, tenants) for name in ("id", *self.attributes)]
        known = [found for found in comparisons if found is not None]
        return st.sampled_from([*[everything] * len(known), *known]).flatmap(lambda chosen: chosen)

    def orders(self) -> SearchStrategy[tuple[Order, ...]]:
        """Orders by none or one attribute."""
        known = [(), *((order,) for name in self.attributes for order in _orders(self.kind, name))]
        return st.sampled_from(known)

    def _comparisons(self, name: str, tenants: int) -> SearchStrategy[Criterion] | None:
        scalar = scalar_type(self.kind, name)
        if name != "id" and scalar is not None and scalar is not str and not _is_pooled(scalar):
            return None
        if scalar is None:
            return st.just(Criterion(self.kind, name, "is_null", None))
        annotation = self.kind.model_fields[name].annotation
        is_text = scalar is str and get_origin(annotation) is not Literal
        pool = st.sampled_from(arguments(annotation, self.texts, tenants) or (None,)).filter(lambda v: v is not None)
        one = ["eq", "ne", "not", "or_null", *(["prefix", "contains"] if is_text else [])]
        one += ["ge"] if _orders(self.kind, name) else []
        compared = st.builds(Criterion, st.just(self.kind), st.just(name), st.sampled_from(one), pool)
        several = st.lists(pool, max_size=2)
        return st.one_of(compared, st.builds(Criterion, st.just(self.kind), st.just(name), st.just("in"), several))


def subject_of(mapping: EntityMapping, values: Mapping[str, SearchStrategy[Any]]) -> Subject:
    """Return how aggregates of a mapping are drawn: its keys, its texts, what it requires, and a few more scalars.

    Args:
        mapping: of the aggregate.
        values: strategies for attributes by name, `Customer.email`; the others are drawn by their annotations.
    """
    kind, keys = mapping.entity, frozenset(name.split(".")[0] for key in mapping.unique for name in key)
    attributes: dict[str, SearchStrategy[Any]] = {}
    texts: dict[Text, None] = {}
    further = 0
    for name, info in kind.model_fields.items():
        given = values.get(f"{kind.__name__}.{name}")
        if given is not None:
            attributes[name] = given
            continue
        if name == "id":
            continue
        pool = _stored(info, is_key=name in keys)
        needed = name in keys or info.is_required() or any(isinstance(value, Text) for value in pool)
        if pool and (needed or further < _FURTHER_ATTRIBUTES):
            further += not needed
            attributes[name] = st.sampled_from(pool)
            texts |= {value: None for value in pool if isinstance(value, Text)}
        elif needed:
            attributes[name] = _constrained(info)
    return Subject(mapping, keys, attributes, tuple(texts))


def arguments(annotation: Any, stored: Sequence[Text], tenants: int) -> tuple[Any, ...]:
    """Return values of an annotation to ask for: what is stored, by whichever tenant; empty where none is known."""
    texts = [text for text in stored if text.whose == NOBODY]
    texts += [replace(text, whose=number) for text in stored if text.whose == OWN for number in range(tenants)]
    texts += [Text("{tenant}", "", number) for number in range(tenants)]
    return _pool(annotation, texts)


def _stored(info: FieldInfo, *, is_key: bool) -> tuple[Any, ...]:
    texts: list[Any] = []
    adapter = _adapter(info)
    if is_key:
        plain = _accepted_form(adapter, _PLAIN_FORMS)
        texts += [Text(plain, word, NOBODY) for word in _KEY_WORDS if plain]
    marked = _accepted_form(adapter, _MARKED_FORMS)
    if marked is not None:
        texts += [Text(marked, word, OWN) for word in (_KEY_WORDS[:1] if is_key else _WORDS)]
    elif not is_key and _accepted_form(adapter, ("{word}",)):
        texts += [Text("{word}", word, OWN) for word in _WORDS]
    return tuple(
        value for value in _pool(info.annotation, texts) if isinstance(value, Text) or _is_accepted(adapter, value)
    )


def _pool(annotation: Any, texts: Sequence[Any]) -> tuple[Any, ...]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _pool(parts[0], texts)
    if origin in (Union, types.UnionType):
        return tuple(value for part in parts for value in _pool(part, texts))
    if origin is Literal:
        return parts
    if annotation is type(None):
        return (None,)
    if annotation is str:
        return tuple(texts)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(annotation)
    return _POOLS.get(annotation, ()) if isinstance(annotation, type) else ()


def _is_pooled(scalar: type) -> bool:
    return scalar in _POOLS or issubclass(scalar, Enum)


def _orders(kind: type[AggregateRoot], name: str) -> tuple[Order, ...]:
    try:
        return Attribute(kind, name).asc(), Attribute(kind, name).desc()
    except InvalidSpecificationError:
        return ()


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    constrained: Any = info.annotation
    for item in info.metadata:
        constrained = Annotated[constrained, item]
    return TypeAdapter(constrained)


def _accepted_form(adapter: TypeAdapter[Any], forms: Sequence[str]) -> str | None:
    words = (*_WORDS, *_KEY_WORDS)
    for form in forms:
        if all(_is_accepted(adapter, form.format(word=word, tenant=_SAMPLE_TENANT)) for word in words):
            return form
    return None


def _constrained(info: FieldInfo) -> SearchStrategy[Any]:
    adapter = _adapter(info)
    patterns = [item.pattern for item in info.metadata if getattr(item, "pattern", None)]
    values = st.from_regex(patterns[0]) if patterns else values_of(info.annotation)
    return values.filter(lambda value: _is_accepted(adapter, value))


def _is_accepted(adapter: TypeAdapter[Any], value: object) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True
