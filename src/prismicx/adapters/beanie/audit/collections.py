"""Collections: validators, documents, indexes, views, and kinds of collection in which tenants cannot be kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from prismicx.adapters.beanie.audit.inventory import Document, ListedCollection, Place, statement
from prismicx.domain.findings import Finding
from prismicx.domain.holes import Hole

_REBUILT: Final = "_rebuilt"


def collection_findings(collection: ListedCollection, *, has_strays: bool) -> Iterator[Finding]:
    """Yield what is wrong with a collection of tenants' documents.

    Args:
        has_strays: it holds a document that does not belong there.
    """
    options, label = collection.options, collection.label
    if has_strays:
        hole = Hole.DOCUMENTS_WITHOUT_TENANT if collection.place.tenant is None else Hole.DOCUMENTS_OF_OTHERS
        removal = {"delete": collection.name, "deletes": [{"q": collection.place.strays, "limit": 0}]}
        yield Finding(hole, label, (collection.place.run(removal),))
    if "timeseries" in options:
        yield Finding(Hole.COLLECTION_TIME_SERIES, label, _rebuilding(collection))
        return
    if collection.place.is_shared:
        if options.get("capped"):
            yield Finding(Hole.COLLECTION_CAPPED, label, _rebuilding(collection))
        if options.get("collation", {}).get("locale", "simple") != "simple":
            yield Finding(Hole.COLLECTION_COLLATION, label, _rebuilding(collection))
        yield from _index_findings(collection)
    yield from _validator_findings(collection)


def view_findings(view: ListedCollection, tenants: frozenset[str]) -> Iterator[Finding]:
    """Yield a finding if the view reads one of these collections, directly or by a stage of its pipeline."""
    read = {view.options["viewOn"], *_sources(view.options.get("pipeline", []))}
    if read & tenants:
        fix = view.place.run({"drop": view.name})
        yield Finding(Hole.VIEW_OVER_TENANTS, view.label, (fix,), f"reads {', '.join(sorted(read & tenants))}")


def _validator_findings(collection: ListedCollection) -> Iterator[Finding]:
    place, validator = collection.place, collection.options.get("validator") or {}
    wanted = place.validator if not validator else {"$and": [validator, place.validator]}
    strict = {"collMod": collection.name, "validationLevel": "strict", "validationAction": "error"}
    if not validator:
        yield Finding(Hole.VALIDATOR_MISSING, collection.label, (place.run({**strict, "validator": wanted}),))
        return
    if not is_sound(validator, place):
        yield Finding(Hole.VALIDATOR_OPEN, collection.label, (place.run({**strict, "validator": wanted}),))
    level = collection.options.get("validationLevel", "strict")
    action = collection.options.get("validationAction", "error")
    if level != "strict" or action not in ("error", "errorAndLog"):
        yield Finding(Hole.VALIDATION_LAX, collection.label, (place.run(strict),), f"{level}, {action}")


def is_sound(validator: Document, place: Place) -> bool:
    """Tell whether a validator makes each document name its tenant: in a tenant's own database, that one."""
    if any(is_sound(part, place) for part in validator.get("$and", ())):
        return True
    schema = validator.get("$jsonSchema", {})
    tenant = schema.get("properties", {}).get(place.column, {})
    if place.column not in schema.get("required", ()):
        return False
    values = tenant.get("enum")
    if values is not None:
        expected = [place.tenant.value] if place.tenant is not None else values
        return bool(values == expected and all(isinstance(value, str) and value for value in values))
    is_text = tenant.get("bsonType") in ("string", ["string"])
    return place.tenant is None and is_text and tenant.get("minLength", 0) >= 1


def _index_findings(collection: ListedCollection) -> Iterator[Finding]:
    column = collection.place.column
    for index, names in collection.keys:
        label = f"{collection.label} index {index['name']}"
        if index.get("unique") and column not in names:
            yield Finding(Hole.INDEX_UNIQUE_NO_TENANT, label, _tenant_first(collection, index))
        elif names[0] != column and not _must_stand_alone(index, names):
            yield Finding(Hole.INDEX_NOT_TENANT_FIRST, label, _tenant_first(collection, index))


def _must_stand_alone(index: Document, names: Sequence[str]) -> bool:
    """Whether the server takes no other field first: what expires has one field, texts and wildcards their own form."""
    return "expireAfterSeconds" in index or "_fts" in names or any(name.endswith("$**") for name in names)


def _tenant_first(collection: ListedCollection, index: Document) -> tuple[str, ...]:
    column = collection.place.column
    rest = {name: direction for name, direction in index["key"].items() if name != column}
    made = {**_definition(index), "key": {column: 1, **rest}, "name": f"{index['name']}_by_tenant"}
    run = collection.place.run
    return (
        run({"createIndexes": collection.name, "indexes": [made]}),
        run({"dropIndexes": collection.name, "index": index["name"]}),
    )


def _rebuilding(collection: ListedCollection) -> tuple[str, ...]:
    """Return what copies the documents into an ordinary collection and puts it in the place of the old one."""
    place, name = collection.place, collection.name
    rebuilt = name + _REBUILT
    validator = collection.options.get("validator") or place.validator
    commands: list[dict[str, Any]] = [
        {"create": rebuilt, "validator": validator},
        {"aggregate": name, "pipeline": [{"$merge": {"into": rebuilt}}], "cursor": {}},
        {"drop": name},
    ]
    rename = {"renameCollection": f"{place.database}.{rebuilt}", "to": f"{place.database}.{name}"}
    indexes = [_definition(index) for index, _ in collection.keys]
    after: list[dict[str, Any]] = [{"collMod": name, "validator": validator}]
    after += [{"createIndexes": name, "indexes": indexes}] if indexes else []
    return (*map(place.run, commands), statement("admin", rename), *map(place.run, after))


def _definition(index: Document) -> dict[str, Any]:
    return {name: value for name, value in index.items() if name not in ("v", "ns", "collation")}


def _sources(stages: Any) -> Iterator[str]:
    """Yield every collection that a pipeline names, at any depth."""
    if isinstance(stages, dict):
        for key, value in stages.items():
            if key in ("from", "coll", "$unionWith") and isinstance(value, str):
                yield value
            yield from _sources(value)
    elif isinstance(stages, list):
        for stage in stages:
            yield from _sources(stage)
