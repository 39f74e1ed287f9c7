"""Holes for a sound MongoDB, each alone, as commands of an administrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SHARED = "shared"
"""Stands for the database that the tenants of a test share."""

OF_ACME = "tenant_acme_db"
OF_GLOBEX = "tenant_globex_db"

Command = Mapping[str, Any]

TENANT = {"bsonType": "string", "minLength": 1}


def schema(tenant: Mapping[str, Any], *, required: Sequence[str] = ("tenant_id",)) -> dict[str, Any]:
    return {"$jsonSchema": {"bsonType": "object", "required": list(required), "properties": {"tenant_id": tenant}}}


@dataclass(frozen=True)
class PlantedCommands:
    """A hole, as commands, each for a database, and the code by which the audit must name it."""

    name: str
    commands: Sequence[tuple[str, Command]]
    code: str


def _in_tasks(name: str, code: str, **command: Any) -> PlantedCommands:
    return PlantedCommands(name, [(SHARED, {"collMod": "tasks", **command})], code)


def _document(name: str, document: Command) -> PlantedCommands:
    insert = {"insert": "tasks", "documents": [document], "bypassDocumentValidation": True}
    return PlantedCommands(name, [(SHARED, insert)], "DOCUMENTS_WITHOUT_TENANT")


def _index(title: str, code: str, **index: Any) -> PlantedCommands:
    return PlantedCommands(title, [(SHARED, {"createIndexes": "tasks", "indexes": [index]})], code)


def _created(name: str, code: str, *further: tuple[str, Command], **options: Any) -> PlantedCommands:
    return PlantedCommands(name, [(SHARED, {"create": "orders", **options}), *further], code)


def _user(name: str, *roles: tuple[str, str], of: str = SHARED) -> PlantedCommands:
    granted = [{"role": role, "db": database} for role, database in roles]
    return PlantedCommands(name, [(of, {"createUser": "eve", "pwd": "pa55word", "roles": granted})], "USER_OF_TENANTS")


PLANTED = (
    _in_tasks("no validator", "VALIDATOR_MISSING", validator={}),
    _in_tasks("a validator of something else", "VALIDATOR_OPEN", validator={"title": {"$exists": True}}),
    _in_tasks("a tenant that may be missing", "VALIDATOR_OPEN", validator=schema(TENANT, required=())),
    _in_tasks("a tenant that may be empty", "VALIDATOR_OPEN", validator=schema({"bsonType": "string"})),
    _in_tasks(
        "a tenant of any type", "VALIDATOR_OPEN", validator=schema({"bsonType": ["string", "null"], "minLength": 1})
    ),
    _in_tasks("a tenant that may be null", "VALIDATOR_OPEN", validator=schema({"enum": ["acme", None]})),
    _in_tasks("validation of new documents only", "VALIDATION_LAX", validationLevel="moderate"),
    _in_tasks("validation switched off", "VALIDATION_LAX", validationLevel="off"),
    _in_tasks("validation that warns", "VALIDATION_LAX", validationAction="warn"),
    PlantedCommands(
        "a tenant's collection without a validator",
        [(OF_ACME, {"collMod": "user_insights", "validator": {}})],
        "VALIDATOR_MISSING",
    ),
    PlantedCommands(
        "a tenant's collection that takes any tenant",
        [(OF_ACME, {"collMod": "user_insights", "validator": schema(TENANT)})],
        "VALIDATOR_OPEN",
    ),
    PlantedCommands(
        "a tenant's collection that takes another's",
        [(OF_ACME, {"collMod": "user_insights", "validator": schema({"enum": ["acme", "globex"]})})],
        "VALIDATOR_OPEN",
    ),
    PlantedCommands("a new collection in a tenant's database", [(OF_ACME, {"create": "drafts"})], "VALIDATOR_MISSING"),
    _created(
        "a collection with documents that nobody mapped",
        "VALIDATOR_MISSING",
        (SHARED, {"insert": "orders", "documents": [{"tenant_id": "acme"}]}),
    ),
    _created(
        "a collection with keys that nobody mapped",
        "VALIDATOR_MISSING",
        (SHARED, {"createIndexes": "orders", "indexes": [{"key": {"tenant_id": 1, "at": 1}, "name": "by_tenant"}]}),
    ),
    _document("a document without a tenant", {"title": "x"}),
    _document("a document of an empty tenant", {"tenant_id": "", "title": "x"}),
    _document("a document of two tenants", {"tenant_id": ["acme", "globex"], "title": "x"}),
    _document("a document of tenant 7", {"tenant_id": 7, "title": "x"}),
    PlantedCommands(
        "another tenant's document in a tenant's database",
        [
            (
                OF_ACME,
                {"insert": "user_insights", "documents": [{"tenant_id": "globex"}], "bypassDocumentValidation": True},
            )
        ],
        "DOCUMENTS_OF_OTHERS",
    ),
    PlantedCommands(
        "a document of two in a tenant's database",
        [
            (
                OF_ACME,
                {
                    "insert": "user_insights",
                    "documents": [{"tenant_id": ["acme", "globex"]}],
                    "bypassDocumentValidation": True,
                },
            )
        ],
        "DOCUMENTS_OF_OTHERS",
    ),
    _created(
        "a collation by letters only",
        "COLLECTION_COLLATION",
        (SHARED, {"createIndexes": "orders", "indexes": [{"key": {"tenant_id": 1}, "name": "by_tenant"}]}),
        validator=schema(TENANT),
        collation={"locale": "en", "strength": 1},
    ),
    _created(
        "a capped collection",
        "COLLECTION_CAPPED",
        (SHARED, {"insert": "orders", "documents": [{"tenant_id": "acme"}]}),
        capped=True,
        size=4096,
        validator=schema(TENANT),
    ),
    _created(
        "a time series",
        "COLLECTION_TIME_SERIES",
        (SHARED, {"insert": "orders", "documents": [{"at": datetime(2026, 1, 1, tzinfo=UTC), "tenant_id": "acme"}]}),
        timeseries={"timeField": "at"},
    ),
    _index(
        "a unique index without the tenant", "INDEX_UNIQUE_NO_TENANT", key={"title": 1}, name="title_1", unique=True
    ),
    _index(
        "a unique index of some documents without the tenant",
        "INDEX_UNIQUE_NO_TENANT",
        key={"due": 1},
        name="due_1",
        unique=True,
        partialFilterExpression={"due": {"$gte": datetime(2026, 1, 1, tzinfo=UTC)}},
    ),
    _index("an index without the tenant", "INDEX_NOT_TENANT_FIRST", key={"title": 1}, name="title_1"),
    _index(
        "an index with the tenant last",
        "INDEX_NOT_TENANT_FIRST",
        key={"title": -1, "tenant_id": 1},
        name="title_tenant",
        unique=True,
    ),
    PlantedCommands("a view", [(SHARED, {"create": "all", "viewOn": "tasks", "pipeline": []})], "VIEW_OVER_TENANTS"),
    PlantedCommands(
        "a view that looks tasks up",
        [
            (SHARED, {"create": "years", "validator": schema(TENANT)}),
            (
                SHARED,
                {
                    "create": "all",
                    "viewOn": "prismicx_plugins",
                    "pipeline": [{"$facet": {"one": [{"$lookup": {"from": "tasks", "pipeline": [], "as": "tasks"}}]}}],
                },
            ),
        ],
        "VIEW_OVER_TENANTS",
    ),
    PlantedCommands("a database of nobody", [("tenant_gone_db", {"create": "user_insights"})], "DATABASE_UNOWNED"),
    _user("a tenant's user with another tenant's rights", ("readWrite", OF_ACME), ("read", OF_GLOBEX)),
    _user("a tenant's user with everybody's rights", ("readWrite", OF_ACME), ("readAnyDatabase", "admin")),
    _user("a tenant's user with rights where tenants share", ("readWrite", OF_ACME), ("read", SHARED)),
)
