"""How each collection is defined: its validator, its indexes; and what is missing of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bson import Binary
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from prismicx.adapters.fields import Kind, fields_of
from prismicx.adapters.tenant_guard import IDENTITY, TENANT
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Shared

Document = dict[str, Any]
Database = AsyncDatabase[Document]
BeforeWrite = Callable[[], Awaitable[None]]
"""Awaited before each write; where it raises, the write does not happen."""

# The smallest value of each kind: "at least this" is true of every value and of no null, and the planner sees that a
# condition on the attribute implies it, so the partial index serves queries too.
_SMALLEST: Final[Mapping[Kind, Any]] = {
    Kind.TEXT: "",
    Kind.DATE: "",
    Kind.INTEGER: float("-inf"),
    Kind.FLOAT: float("-inf"),
    Kind.DECIMAL: float("-inf"),
    Kind.BOOLEAN: False,
    Kind.BYTES: Binary(b""),
    Kind.UUID: Binary(b""),
    Kind.TIMESTAMP: datetime(1, 1, 1),  # noqa: DTZ001  # BSON has no zones, and this one has no earlier hour
}


def _validator(tenant: Document) -> Document:
    return {"$jsonSchema": {"bsonType": "object", "required": [TENANT], "properties": {TENANT: tenant}}}


SHARED_VALIDATOR: Final = _validator({"bsonType": "string", "minLength": 1})
"""Every document in a shared collection names some tenant."""


def own_validator(tenant: TenantId) -> Document:
    """Return the validator of a collection in a tenant's own database: every document names that tenant."""
    return _validator({"enum": [tenant.value]})


def indexes_of(mapping: EntityMapping) -> list[IndexModel]:
    """Return the indexes of a mapping's collection.

    In a shared collection each begins with the tenant, and there is one over tenant and identity (by which it can be
    sharded); in a collection of one tenant they are as declared. In a unique one, nulls never collide.
    """
    shared = isinstance(mapping.placement, Shared)
    before = [(TENANT, 1)] if shared else []
    nullable = {field.name: field.kind for field in fields_of(mapping.entity) if field.nullable}
    indexes = [IndexModel([*before, (IDENTITY, 1)])] if shared else []
    for key in mapping.unique:
        present = {
            name: {"$gte": _SMALLEST[nullable[name]]} if nullable[name] in _SMALLEST else {"$exists": True}
            for name in key
            if name in nullable
        }
        options: Document = {"partialFilterExpression": present} if present else {}
        indexes.append(IndexModel([*before, *_ascending(key)], unique=True, **options))
    indexes += [IndexModel([*before, *_ascending(key)]) for key in mapping.indexes]
    return indexes


def _ascending(key: Sequence[str]) -> list[tuple[str, int]]:
    return [(IDENTITY if name == "id" else name, 1) for name in key]


async def ensure_collection(
    database: Database,
    name: str,
    *,
    validator: Document | None = None,
    indexes: Sequence[IndexModel] = (),
    before_write: BeforeWrite,
) -> None:
    """Make what is missing of a collection; what is right is left alone."""
    present = (await listed(database, [name])).get(name)
    options: dict[str, Any] = {} if validator is None else {"validator": validator}
    if present is None:
        await before_write()
        await database.create_collection(name, check_exists=False, **options)
    elif validator is not None and present.get("validator") != validator:
        await before_write()
        await database.command("collMod", name, **options)
    missing = await missing_indexes(database, name, indexes)
    if missing:
        await before_write()
        await database[name].create_indexes(missing)


async def listed(database: Database, names: Iterable[str] | None = None) -> dict[str, Document]:
    """Return the options of the collections of these names, or of all, by name; views have the option `viewOn`."""
    wanted: Document = {} if names is None else {"name": {"$in": list(names)}}
    found = await (await database.list_collections(filter=wanted)).to_list()
    return {collection["name"]: collection.get("options", {}) for collection in found}


async def flaws(
    database: Database, name: str, options: Document | None, *, validator: Document, indexes: Sequence[IndexModel]
) -> list[str]:
    """Return what is missing of a collection, of which these options were listed."""
    label = f"{database.name}.{name}"
    if options is None:
        return [f"there is no collection {label}"]
    if options.get("validator") != validator:
        return [f"{label} does not have its validator"]
    missing = await missing_indexes(database, name, indexes)
    return [f"{label} does not have its index {_readable(index.document)}" for index in missing]


async def missing_indexes(database: Database, name: str, wanted: Sequence[IndexModel]) -> list[IndexModel]:
    """Return the indexes that a collection does not have, under whatever name."""
    if not wanted:
        return []
    present = {_key(index) for index in await (await database[name].list_indexes()).to_list()}
    return [index for index in wanted if _key(index.document) not in present]


def _key(index: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], bool, tuple[str, ...]]:
    partial = index.get("partialFilterExpression", {})
    return tuple(index["key"].items()), bool(index.get("unique")), tuple(sorted(partial))


def _readable(index: Mapping[str, Any]) -> str:
    names = ", ".join(index["key"])
    return f"unique ({names})" if index.get("unique") else f"({names})"
