"""Keyset pages: a bounded slice in a stated order, and an opaque place in it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from prismicx.domain.errors import InvalidCursorError, InvalidSpecificationError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.specification import (
    TENANT,
    Attribute,
    Comparison,
    Conjunction,
    Disjunction,
    Order,
    Specification,
)

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Cursor:
    """An opaque place in one query of one tenant: pass it on as `text`, take it back with `Cursor(text)`."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """A slice of a list: `items` in order, and `next`, the place to go on from; `None` where nothing follows."""

    items: tuple[ItemT, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a cursor belongs to: one tenant's query of one kind, in one total order (its last key is the id)."""

    scope: str
    entity: type
    specification: Specification
    order: tuple[Order, ...]

    def cursor_after(self, item: object) -> Cursor:
        """Return the place right behind this item."""
        keys = [self._adapter(order).dump_python(getattr(item, order.attribute), mode="json") for order in self.order]
        body = json.dumps([self._fingerprint(), keys], separators=(",", ":"))
        return Cursor(base64.urlsafe_b64encode(body.encode()).decode("ascii").rstrip("="))

    def following(self, cursor: Cursor) -> Specification:
        """Return what is true of everything behind the place.

        Raises:
            InvalidCursorError: the cursor is damaged, or of another query, order or tenant.
        """
        try:
            return _behind(self.order, self._keys(cursor))
        except InvalidSpecificationError as error:
            raise InvalidCursorError("the cursor names a value that no attribute has") from error

    def _keys(self, cursor: Cursor) -> list[Any]:
        try:
            padded = cursor.text + "=" * (-len(cursor.text) % 4)
            fingerprint, texts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            keys = [
                self._adapter(order).validate_json(json.dumps(text))
                for order, text in zip(self.order, texts, strict=True)
            ]
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise InvalidCursorError("this is not a cursor of prismicx, or it was damaged on the way") from error
        if fingerprint != self._fingerprint():
            raise InvalidCursorError("the cursor belongs to another query, order or tenant")
        return keys

    def _adapter(self, order: Order) -> TypeAdapter[Any]:
        if order.attribute == TENANT:
            return TypeAdapter(TenantId)
        return TypeAdapter(self.entity.__pydantic_fields__[order.attribute].annotation)  # type: ignore[attr-defined]  # a pydantic model

    def _fingerprint(self) -> str:
        order = [(key.attribute, key.descending) for key in self.order]
        whole = (self.scope, self.entity.__qualname__, self.specification.shape, self.specification.values, order)
        return hashlib.sha256(repr(whole).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _behind(order: Sequence[Order], keys: Sequence[Any]) -> Specification:
    if order[0].attribute == TENANT:  # it comes last, where there is any
        return Comparison(order[0].entity, TENANT, "gt", keys[0])
    first, key = Attribute(order[0].entity, order[0].attribute), keys[0]
    rest = _behind(order[1:], keys[1:]) if len(order) > 1 else Disjunction(())
    if key is None:  # nulls are last: only other nulls can follow
        return first.is_null() & rest
    beyond = first < key if order[0].descending else first > key
    not_before = first <= key if order[0].descending else first >= key
    within = Conjunction((not_before, beyond | ((first == key) & rest)))
    nullable = _is_nullable(order[0])
    return within | first.is_null() if nullable else within


def _is_nullable(order: Order) -> bool:
    annotation = order.entity.__pydantic_fields__[order.attribute].annotation  # type: ignore[attr-defined]  # a pydantic model
    try:
        TypeAdapter(annotation).validate_python(None)
    except ValidationError:
        return False
    return True
