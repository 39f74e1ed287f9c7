"""What comes behind a place in an order: the condition of keyset pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from prismicx.domain.criteria import Comparison, Conjunction, Disjunction, Order, Specification


@dataclass(frozen=True, slots=True)
class Following(Specification):
    """True of everything behind a place in an order, and of nothing at the place itself.

    Args:
        order: a total one, of one kind of entity.
        place: what each of its attributes is there, as it is stored.
        nullable: those of its attributes that may be null.
    """

    order: tuple[Order, ...]
    place: tuple[Any, ...]
    nullable: frozenset[str]

    @property
    def entities(self) -> frozenset[type]:
        return frozenset(order.entity for order in self.order)

    @property
    def shape(self) -> Hashable:
        keys = zip(self.order, self.place, strict=True)
        return "following", *((key.attribute, key.descending, key.nulls_first, at is None) for key, at in keys)

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(at for at in self.place if at is not None)

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        for key, at in zip(self.order, self.place, strict=True):
            found = value_of(key.attribute)
            if found == at:
                continue
            if found is None or at is None:
                return (found is None) is not key.nulls_first
            return bool(found < at if key.descending else found > at)
        return False

    def spelled_out(self) -> Specification:
        """Return the same in comparisons of one attribute each, the first by itself where an index serves it."""
        return self._behind(0)

    def _behind(self, position: int) -> Specification:
        if position == len(self.order):
            return Disjunction(())
        key, at, rest = self.order[position], self.place[position], self._behind(position + 1)
        is_null = Comparison(key.entity, key.attribute, "is_null", True)
        if at is None:
            there = Conjunction((is_null, rest))
            return ~is_null | there if key.nulls_first else there
        beyond = Comparison(key.entity, key.attribute, "lt" if key.descending else "gt", at)
        not_before = Comparison(key.entity, key.attribute, "le" if key.descending else "ge", at)
        there = Conjunction((Comparison(key.entity, key.attribute, "eq", at), rest))
        last = position + 1 == len(self.order)
        within = beyond if last else Conjunction((not_before, beyond | there))
        return within | is_null if key.attribute in self.nullable and not key.nulls_first else within
