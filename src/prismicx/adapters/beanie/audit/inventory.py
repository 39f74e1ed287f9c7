"""What the audit looks at on MongoDB: databases, the collections in them, and how a fix is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson import json_util

from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.identifiers import TenantId

Document = Mapping[str, Any]

_OTHER_TYPES: Final = (
    *("double", "object", "array", "binData", "objectId", "bool", "date", "regex", "dbPointer", "javascript", "symbol"),
    *("int", "timestamp", "long", "decimal", "minKey", "maxKey"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database: the one that tenants share, or a tenant's own one.

    Attributes:
        tenant: the owner; `None` for the shared one, and where nobody can say.
    """

    database: str
    is_shared: bool
    tenant: TenantId | None
    column: str

    def run(self, command: Document) -> str:
        """Return a command on this database, as mongosh takes it."""
        return statement(self.database, command)

    @property
    def validator(self) -> Document:
        """The validator that a collection here should have."""
        tenant = {"bsonType": "string", "minLength": 1} if self.tenant is None else {"enum": [self.tenant.value]}
        return {"$jsonSchema": {"bsonType": "object", "required": [self.column], "properties": {self.column: tenant}}}

    @property
    def strays(self) -> Document:
        """The filter for documents that do not belong here; an index on the tenant serves it."""
        kind: Document = {self.column: {"$type": list(_OTHER_TYPES)}}
        if self.tenant is not None:
            return {"$or": [{self.column: {"$ne": self.tenant.value}}, kind]}
        return {"$or": [{self.column: None}, {self.column: ""}, kind]}


@dataclass(frozen=True, slots=True)
class ListedCollection:
    """A collection or view, as the server lists it."""

    place: Place
    name: str
    options: Document
    indexes: Sequence[Document]

    @property
    def label(self) -> str:
        """The collection for people."""
        return f"{self.place.database}.{self.name}"

    @property
    def is_view(self) -> bool:
        """Whether it stores nothing itself."""
        return "viewOn" in self.options

    @property
    def is_internal(self) -> bool:
        """Whether it is the server's or the registry's, and no tenant's."""
        return self.name.startswith("system.") or (self.place.is_shared and self.name.startswith(REGISTRY_PREFIX))

    @property
    def keys(self) -> Iterator[tuple[Document, tuple[str, ...]]]:
        """Each index that somebody made, with the names in its key."""
        for index in self.indexes:
            if index["name"] != "_id_":
                yield index, tuple(index["key"])


def statement(database: str, command: Document) -> str:
    """Return a command as mongosh takes it; values that JSON does not have are in MongoDB's Extended JSON."""
    try:
        text = json.dumps(command)
    except TypeError:
        text = f"EJSON.deserialize({json_util.dumps(command)})"
    return f"db.getSiblingDB({json.dumps(database)}).runCommand({text})"
