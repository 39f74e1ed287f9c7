"""Specifications: criteria as values, written once and answered by every backend (Evans; Fowler).

`(Customer.status == "won") & ~attribute(Customer.name).prefix("A")` says which customers; `desc(Customer.name)` in
which order. One meaning everywhere: text compares by code point; a null is a value for `==`, `!=`, `in` and `~`,
and is neither less nor greater than anything; nulls sort last in both directions.
"""

from __future__ import annotations

from prismicx.domain.attribute import Attribute, asc, attribute, desc, require_storable_text, scalar_type
from prismicx.domain.criteria import (
    EVERYTHING,
    TENANT,
    Comparison,
    Conjunction,
    Criteria,
    Disjunction,
    Negation,
    Operator,
    Order,
    Specification,
    as_specification,
    checked_order,
)

__all__ = [
    "EVERYTHING",
    "TENANT",
    "Attribute",
    "Comparison",
    "Conjunction",
    "Criteria",
    "Disjunction",
    "Negation",
    "Operator",
    "Order",
    "Specification",
    "as_specification",
    "asc",
    "attribute",
    "checked_order",
    "desc",
    "require_storable_text",
    "scalar_type",
]
