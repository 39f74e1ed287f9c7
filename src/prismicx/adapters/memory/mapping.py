"""Rows in memory: an aggregate's plain values under its tenant and identity, in the place of its mapping."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from prismicx.domain.identifiers import TenantId, plugin_schema_name, tenant_database_name
from prismicx.domain.placement import EntityMapping, Reference, Shared, TenantDatabase, TenantSchema


class Row(NamedTuple):
    """One stored aggregate; never changed, only replaced."""

    version: int
    values: dict[str, Any]


class Place(NamedTuple):
    """One table: the namespace that it is in, and its name."""

    namespace: str
    name: str


class Key(NamedTuple):
    """One row of a table; the registry's rows have no tenant."""

    tenant: TenantId | None
    identity: UUID


@dataclass(slots=True)
class Table:
    """Rows in one place, no two of which share a tenant and a unique key; a key with a null is nobody's."""

    unique: tuple[tuple[str, ...], ...]
    rows: dict[Key, Row] = field(default_factory=dict)
    _owners: dict[tuple[Hashable, ...], Key] = field(default_factory=dict)

    def taken_key(self, key: Key, row: Row) -> tuple[str, ...] | None:
        """Return the unique key of this row that another row has."""
        for attributes in self.unique:
            if self._owners.get(_entry(key, attributes, row), key) != key:
                return attributes
        return None

    def owner(self, attributes: tuple[str, ...], key: Key, row: Row) -> Key | None:
        """Return who has the values that a row, which need not be here, has in this unique key."""
        if attributes == ("id",):
            return key if key in self.rows else None
        return self._owners.get(_entry(key, attributes, row))

    def put(self, key: Key, row: Row | None) -> None:
        """Write a row, or delete it (`None`)."""
        before = self.rows.pop(key, None)
        for attributes in self.unique:
            if before is not None and self._owners.get(_entry(key, attributes, before)) == key:
                del self._owners[_entry(key, attributes, before)]
            if row is not None and all(row.values[attribute] is not None for attribute in attributes):
                self._owners.setdefault(_entry(key, attributes, row), key)  # who had it first keeps it
        if row is not None:
            self.rows[key] = row


def place_of(mapping: EntityMapping, tenant: TenantId | None) -> Place:
    """Return where this tenant's rows of the mapping are."""
    match mapping.placement, tenant:
        case TenantSchema(plugin_type=plugin_type), TenantId():
            return Place(plugin_schema_name(tenant, plugin_type), mapping.name)
        case TenantDatabase(), TenantId():
            return Place(tenant_database_name(tenant), mapping.name)
        case Reference(), None:
            return Place("prismicx", mapping.name)
        case Shared(), _:
            return Place("public", mapping.name)
    raise AssertionError(f"{mapping.placement} is not within reach of {tenant}")  # the unit of work has checked it


def _entry(key: Key, attributes: tuple[str, ...], row: Row) -> tuple[Hashable, ...]:
    return key.tenant, attributes, *(_hashable(row.values[attribute]) for attribute in attributes)


def _hashable(value: Any) -> Hashable:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
