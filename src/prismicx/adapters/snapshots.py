"""What an aggregate was when it was read or written, and what has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prismicx.adapters.fields import Kind, fields_of, once_per_kind
from prismicx.domain.entity import AggregateRoot


@once_per_kind
def _compared_by_form(kind: type[AggregateRoot]) -> tuple[tuple[str, Any], ...]:
    # A structure can change in place, and 1.0 equals 1.00: these are compared in their stored form.
    forms: dict[Kind, Any] = {Kind.DECIMAL: lambda _: str, Kind.STRUCTURE: lambda found: found.plain}
    return tuple((found.name, forms[found.kind](found)) for found in fields_of(kind) if found.kind in forms)


def snapshot_of(entity: AggregateRoot) -> dict[str, Any]:
    """Return what `changed_since` compares an aggregate with."""
    snapshot = entity.__dict__.copy()
    for name, form in _compared_by_form(type(entity)):
        snapshot[name] = form(snapshot[name])
    return snapshot


def changed_since(entity: AggregateRoot, before: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the attributes that are not as they were.

    Raises:
        UnstorableValueError: one of them holds what not every database can keep.
    """
    now = snapshot_of(entity) if _compared_by_form(type(entity)) else entity.__dict__
    if now == before:
        return ()
    fields = fields_of(type(entity))
    changed = tuple(found.name for found in fields if now[found.name] != before[found.name])
    for found in fields:
        if found.name in changed:
            found.plain(entity.__dict__[found.name])
    return changed
