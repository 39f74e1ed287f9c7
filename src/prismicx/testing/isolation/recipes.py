"""Recipes: values as histories draw them, before it is known for which tenant; few of each, so that they collide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import EVERYTHING, Attribute, Specification

IDENTITIES: Final = tuple(UUID(int=number) for number in (1, 2, 3))
"""The identities that all tenants' aggregates share."""

OWN: Final = -1
"""Stands for the tenant that stores a text, whoever it is."""
NOBODY: Final = -2
"""Stands for no tenant: every tenant stores and asks for this very text."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with the mark of a tenant, by its number, or with none."""

    form: str
    word: str
    whose: int


@dataclass(frozen=True, slots=True)
class Whose:
    """A tenant's id, by the tenant's number."""

    number: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An aggregate to be made; what it does not name is the entity's own default."""

    kind: type[AggregateRoot]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One comparison of one attribute; `any` is true of everything."""

    kind: type[AggregateRoot]
    attribute: str
    operator: str
    value: Any


Recipe: TypeAlias = Any
"""One of these, a value that is the same for everybody, or a sequence or mapping of recipes."""


def made(recipe: Recipe, tenants: Sequence[TenantId], own: TenantId) -> Any:
    """Return what the recipe stands for when this tenant asks.

    Raises:
        pydantic.ValidationError: the entity takes the values one by one, but not together.
    """
    match recipe:
        case Text(form, word, whose):
            return form.format(word=word, tenant=_name(whose, tenants, own))
        case Whose(number):
            return tenants[number]
        case Draft(kind, values):
            return kind(**made(values, tenants, own))
        case Criterion(kind, attribute, operator, value):
            return _OPERATORS[operator](Attribute(kind, attribute), made(value, tenants, own))
        case list() | tuple():
            return type(recipe)(made(item, tenants, own) for item in recipe)
        case dict():
            return {key: made(item, tenants, own) for key, item in recipe.items()}
    return recipe


def _name(whose: int, tenants: Sequence[TenantId], own: TenantId) -> str:
    if whose == NOBODY:
        return "everybody"
    return str(own if whose == OWN else tenants[whose])


_OPERATORS: Final[Mapping[str, Callable[[Attribute, Any], Specification]]] = {
    "any": lambda attribute, value: EVERYTHING,
    "eq": lambda attribute, value: attribute == value,
    "ne": lambda attribute, value: attribute != value,
    "not": lambda attribute, value: ~(attribute == value),
    "or_null": lambda attribute, value: attribute.is_null() | (attribute == value),
    "in": lambda attribute, value: attribute.in_(value),
    "is_null": lambda attribute, value: attribute.is_null(),
    "ge": lambda attribute, value: attribute >= value,
    "prefix": lambda attribute, value: attribute.prefix(value),
    "contains": lambda attribute, value: attribute.contains(value),
}
