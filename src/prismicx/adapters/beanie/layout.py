"""Where an entity's values are in its documents, and what they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Any, Final

from bson import Decimal128

from prismicx.adapters.beanie.wire import (
    date_from_wire,
    moment_from_wire,
    structure_from_wire,
    uuid_from_wire,
    uuid_to_wire,
)
from prismicx.adapters.by_position import Row
from prismicx.adapters.fields import Kind, fields_of, once_per_kind
from prismicx.adapters.tenant_guard import IDENTITY, VERSION
from prismicx.domain.entity import AggregateRoot

TO_STORE: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.DECIMAL: Decimal128,
    Kind.DATE: date.isoformat,
    Kind.UUID: uuid_to_wire,
}
"""What makes plain values the ones that documents have, where they differ."""
FROM_STORE: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.DECIMAL: Decimal128.to_decimal,
    Kind.STRUCTURE: structure_from_wire,  # Beanie writes decimals inside of structures as numbers
    Kind.TIMESTAMP: moment_from_wire,
    Kind.UUID: uuid_from_wire,
    Kind.DATE: date_from_wire,
}
"""The way back."""


def bare_identity(stored: Any) -> Any:
    """Return the identity that is in an `_id`."""
    return uuid_from_wire(stored["id"] if type(stored) is dict else stored)


class Layout:
    """Where the values of one kind of entity are in its documents."""

    def __init__(self, entity: type[AggregateRoot]) -> None:
        fields = fields_of(entity)
        self.names = tuple(field.name for field in fields)
        self._keys = (IDENTITY, *self.names[1:], VERSION)
        self._pick = itemgetter(*self._keys)
        self._converted = [
            (place, bare_identity if place == 0 else FROM_STORE[field.kind])
            for place, field in enumerate(fields)
            if field.kind in FROM_STORE
        ]
        self._stored = [(place, TO_STORE[field.kind]) for place, field in enumerate(fields) if field.kind in TO_STORE]

    def stored(self, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return plain values, a list for each attribute, as documents have them."""
        stored = [*columns]
        for place, convert in self._stored:
            stored[place] = [None if value is None else convert(value) for value in stored[place]]
        return stored

    def row(self, document: Mapping[str, Any]) -> Row:
        """Return a stored document as a row."""
        try:
            row = [*self._pick(document)]
        except KeyError:
            row = [*map(document.get, self._keys[:-1]), document[VERSION]]
        for place, convert in self._converted:
            if row[place] is not None:
                row[place] = convert(row[place])
        return row


@once_per_kind
def layout_of(entity: type[AggregateRoot]) -> Layout:
    """Return the layout of the documents of this kind."""
    return Layout(entity)
