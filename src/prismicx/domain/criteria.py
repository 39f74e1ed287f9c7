"""Criteria as values: comparisons, what `&`, `|` and `~` make of them, and orders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from prismicx.domain.errors import InvalidSpecificationError

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "prefix", "contains", "is_null"]


class Specification(ABC):
    """Criteria over the attributes of one kind of entity. Combine them with `&`, `|` and `~`."""

    __slots__ = ()

    @property
    @abstractmethod
    def entities(self) -> frozenset[type]:
        """The kinds of entity whose attributes it names; a repository takes only its own."""

    @property
    @abstractmethod
    def shape(self) -> Hashable:
        """Everything but the values: specifications of one shape become one prepared statement."""

    @property
    @abstractmethod
    def values(self) -> tuple[Any, ...]:
        """The values, in the order in which the shape names them. None of them is `None`."""

    @abstractmethod
    def holds(self, value_of: Callable[[str], Any]) -> bool:
        """Tell whether it is true of the thing whose attribute values the function returns."""

    def is_satisfied_by(self, entity: object) -> bool:
        """Tell whether it is true of this entity."""
        return self.holds(lambda name: getattr(entity, name))

    def __and__(self, other: Criteria) -> Specification:
        return Conjunction((self, as_specification(other)))

    def __or__(self, other: Criteria) -> Specification:
        return Disjunction((self, as_specification(other)))

    def __invert__(self) -> Specification:
        return Negation(self)

    def __bool__(self) -> bool:
        raise InvalidSpecificationError("a specification has no truth value: combine with & | ~, not and / or / not")


Criteria: TypeAlias = Specification | int
"""What a repository takes: a specification. To a type checker `Customer.email == x` is a bool, and `~` of it an int;
a value that really is one of these is refused when the query is made."""


@dataclass(frozen=True, slots=True)
class Comparison(Specification):
    """One attribute, one operator, one value (`True` for `is_null`, a tuple for `in`)."""

    entity: type
    attribute: str
    operator: Operator
    value: Any

    @property
    def entities(self) -> frozenset[type]:
        return frozenset((self.entity,))

    @property
    def shape(self) -> Hashable:
        return (self.operator, self.attribute)

    @property
    def values(self) -> tuple[Any, ...]:
        return () if self.operator == "is_null" else (self.value,)

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        found = value_of(self.attribute)
        if self.operator == "is_null":
            return found is None
        if found is None:
            return self.operator == "ne"
        return _HOLDS[self.operator](found, self.value)


_HOLDS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda found, value: bool(found == value),
    "ne": lambda found, value: bool(found != value),
    "lt": lambda found, value: bool(found < value),
    "le": lambda found, value: bool(found <= value),
    "gt": lambda found, value: bool(found > value),
    "ge": lambda found, value: bool(found >= value),
    "in": lambda found, value: found in value,
    "prefix": lambda found, value: bool(found.startswith(value)),
    "contains": lambda found, value: value in found,
}


@dataclass(frozen=True, slots=True)
class _Combination(Specification):
    parts: tuple[Specification, ...]

    @property
    def entities(self) -> frozenset[type]:
        return frozenset().union(*(part.entities for part in self.parts))

    @property
    def shape(self) -> Hashable:
        return (type(self).__name__, *(part.shape for part in self.parts))

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(value for part in self.parts for value in part.values)


@dataclass(frozen=True, slots=True)
class Conjunction(_Combination):
    """True where all parts are; without parts, of everything."""

    def __and__(self, other: Criteria) -> Specification:
        return Conjunction((*self.parts, as_specification(other)))  # flat, however long a loop makes it

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        return all(part.holds(value_of) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Disjunction(_Combination):
    """True where any part is; without parts, of nothing."""

    def __or__(self, other: Criteria) -> Specification:
        return Disjunction((*self.parts, as_specification(other)))  # flat, however long a loop makes it

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        return any(part.holds(value_of) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Negation(Specification):
    """True exactly where its part is not, nulls included."""

    part: Specification

    @property
    def entities(self) -> frozenset[type]:
        return self.part.entities

    @property
    def shape(self) -> Hashable:
        return ("not", self.part.shape)

    @property
    def values(self) -> tuple[Any, ...]:
        return self.part.values

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        return not self.part.holds(value_of)


TENANT: Final = "tenant"
"""What orders and criteria over several tenants call the tenant; no entity that is mapped has such an attribute."""

EVERYTHING: Final[Specification] = Conjunction(())
"""True of every entity."""


@dataclass(frozen=True, slots=True)
class Order:
    """One attribute to sort by; nulls come last in both directions, but first where `nulls_first` reverses an order."""

    entity: type
    attribute: str
    descending: bool = False
    nulls_first: bool = False

    @property
    def reversed(self) -> Order:
        """The same order from its end."""
        return Order(self.entity, self.attribute, not self.descending, not self.nulls_first)


def as_specification(criteria: Criteria | None) -> Specification:
    """Return the criteria as a specification; `None` is true of everything.

    Raises:
        InvalidSpecificationError: it is a plain bool or anything else; an instance was compared, not the class.
    """
    if criteria is None:
        return EVERYTHING
    if isinstance(criteria, Specification):
        return criteria
    raise InvalidSpecificationError(
        f"{criteria!r:.80} is not a specification; compare the attribute of the class, Customer.email == value"
    )


def checked_order(entity: type, order_by: Order | Sequence[Order]) -> tuple[Order, ...]:
    """Return a total order: the one asked for, then by id.

    Raises:
        InvalidSpecificationError: it names another kind of entity, or one attribute twice.
    """
    orders = (order_by,) if isinstance(order_by, Order) else tuple(order_by)
    for order in orders:
        if not isinstance(order, Order):
            raise InvalidSpecificationError(f"{order!r:.80} is not an order; use asc(…) or desc(…)")
        if not issubclass(entity, order.entity):
            raise InvalidSpecificationError(f"{order.entity.__name__} cannot order {entity.__name__}")
    names = [order.attribute for order in orders]
    if len(set(names)) != len(names):
        raise InvalidSpecificationError(f"an attribute is named twice in the order {names}")
    return orders if "id" in names else (*orders, Order(entity, "id"))
