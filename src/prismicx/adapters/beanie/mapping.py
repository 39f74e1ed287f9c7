"""Entities as documents and back, and the Beanie documents that stand for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import repeat
from typing import Any, Final, TypeVar, cast, get_args, get_origin
from uuid import UUID

from beanie import BackLink, Link
from pydantic import Field as DocumentField
from pydantic import create_model

from prismicx.adapters.beanie.document import FRAMEWORK_FIELDS, TenantDocument
from prismicx.adapters.beanie.layout import FROM_STORE, TO_STORE, bare_identity, layout_of
from prismicx.adapters.beanie.tenancy import collection_name
from prismicx.adapters.beanie.wire import uuid_to_wire
from prismicx.adapters.by_position import Row, row_reader
from prismicx.adapters.change_set import FIRST_VERSION, Additions
from prismicx.adapters.fields import Field, Kind, entity_from, fields_of, once_per_kind
from prismicx.adapters.tenant_guard import IDENTITY, TENANT, VERSION
from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.errors import MappingError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference, Shared

RootT = TypeVar("RootT", bound=AggregateRoot)


class Documents:
    """The documents of one mapping for one tenant, or for the registry."""

    __slots__ = ("_is_embedded", "_layout", "_scope", "fields", "mapping", "tenant")

    def __init__(self, mapping: EntityMapping, tenant: TenantId | None) -> None:
        self.mapping = mapping
        self.tenant = tenant
        self._scope: dict[str, Any] = {} if tenant is None else {TENANT: tenant.value}
        self._is_embedded = tenant is not None and isinstance(mapping.placement, Shared)
        self.fields = _fields(mapping.entity)
        self._layout = layout_of(mapping.entity)

    def scope(self) -> dict[str, Any]:
        """Return the condition that every filter begins with."""
        return self._scope.copy()

    def identity(self, identity: UUID) -> Any:
        """Return the `_id` of the document with this identity."""
        if self._is_embedded:
            return {"tenant": self._scope[TENANT], "id": uuid_to_wire(identity)}
        return uuid_to_wire(identity)

    def identity_of(self, entity: AggregateRoot) -> Any:
        """Return the `_id` of this entity's document."""
        return self.identity(entity.id)

    def bare(self, document: Mapping[str, Any]) -> UUID:
        """Return the identity of a stored document."""
        return bare_identity(document[IDENTITY])  # type: ignore[no-any-return]  # a UUID

    def one(self, identity: UUID) -> dict[str, Any]:
        """Return the filter for one document."""
        return {**self._scope, IDENTITY: {"$eq": self.identity(identity)}}

    def expected(self, entity: AggregateRoot, version: int) -> dict[str, Any]:
        """Return the filter for an entity's document, if it still has this version."""
        return {**self._scope, IDENTITY: {"$eq": self.identity_of(entity)}, VERSION: version}

    def stored(self, name: str, value: Any) -> tuple[str, Any]:
        """Return an attribute's key and one of its plain values as documents have them."""
        if name == "id":
            return IDENTITY, None if value is None else self.identity(value)
        convert = TO_STORE.get(self.fields[name].kind)
        return name, value if convert is None or value is None else convert(value)

    def new(self, entities: Additions) -> list[dict[str, Any]]:
        """Return the documents of new entities."""
        identities, *columns = self._layout.stored(entities.columns)
        if self._is_embedded:
            tenant = self._scope[TENANT]
            identities = [{"tenant": tenant, "id": identity} for identity in identities]
        keys = (IDENTITY, *self._scope, VERSION, *self._layout.names[1:])
        equal = [repeat(value) for value in (*self._scope.values(), FIRST_VERSION)]
        return [dict(zip(keys, values, strict=True)) for values in zip(identities, *equal, *columns, strict=False)]

    def values(self, entity: AggregateRoot, names: tuple[str, ...]) -> dict[str, Any]:
        """Return these attributes of an entity as documents have them, by key."""
        held = entity.__dict__
        return dict(self.stored(name, self.fields[name].plain(held[name])) for name in names)

    def stored_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return attributes, given as every backend has them, as documents have them, by key."""
        return dict(self.stored(name, value) for name, value in values.items())

    def plain(self, document: Mapping[str, Any], name: str) -> Any:
        """Return an attribute of a stored document as every backend has it; a key that is not there is a null."""
        if name == "id":
            return self.bare(document)
        stored = document.get(name)
        convert = FROM_STORE.get(self.fields[name].kind)
        return stored if convert is None or stored is None else convert(stored)

    def entity(self, kind: type[RootT], document: Mapping[str, Any]) -> RootT:
        """Return the entity of a stored document; a key that is not there is a null."""
        return self._whole(kind, self._layout.row(document), self.tenant_of(document))

    def entities(self, kind: type[RootT], documents: Iterable[Mapping[str, Any]]) -> Iterator[RootT]:
        """Yield the entities of stored documents, each as `entity` returns it."""
        tenant = self.tenant
        rows = map(self._layout.row, documents)
        return row_reader(kind)(rows, tenant, lambda row: self._whole(kind, row, tenant))

    def _whole(self, kind: type[RootT], row: Row, tenant: TenantId | None) -> RootT:
        *values, version = row
        return entity_from(kind, dict(zip(self._layout.names, values, strict=True)), version=version, tenant=tenant)

    def tenant_of(self, document: Mapping[str, Any]) -> TenantId | None:
        """Return whose a stored document is."""
        return self.tenant


@once_per_kind
def _fields(entity: type[AggregateRoot]) -> Mapping[str, Field]:
    return {field.name: field for field in fields_of(entity)}


# --- Beanie documents. ---

_PLAIN_TYPES: Final[Mapping[Kind, Any]] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.FLOAT: float,
    Kind.BOOLEAN: bool,
    Kind.BYTES: bytes,
    Kind.DECIMAL: Decimal,
    Kind.TIMESTAMP: datetime,
    Kind.DATE: date,
    Kind.UUID: UUID,
    Kind.STRUCTURE: Any,
}


def beanie_documents(
    mappings: Mapping[type[AggregateRoot], EntityMapping], given: Mapping[type[Any], type[TenantDocument]]
) -> dict[type[AggregateRoot], type[TenantDocument]]:
    """Return the Beanie document of each mapping of a tenant: the one given, or one derived from the entity.

    Raises:
        MappingError: with every mismatch between the given documents and their entities.
    """
    problems = [f"{entity.__name__} is not mapped, but has a document" for entity in given if entity not in mappings]
    documents: dict[type[AggregateRoot], type[TenantDocument]] = {}
    for entity, mapping in mappings.items():
        if isinstance(mapping.placement, Reference):
            continue
        document = given.get(entity)
        if document is None:
            documents[entity] = _derived(mapping)
        else:
            problems += _mismatches(mapping, document)
            documents[entity] = document
    problems += [
        f"{document.__name__} is given for more than one entity"
        for document in dict.fromkeys(given.values())
        if list(given.values()).count(document) > 1
    ]
    if problems:
        raise MappingError(problems)
    return documents


def _derived(mapping: EntityMapping) -> type[TenantDocument]:
    definitions: dict[str, Any] = {}
    for field in fields_of(mapping.entity):
        if field.name != "id":
            plain = _PLAIN_TYPES[field.kind]
            definitions[field.name] = (plain | None, None) if field.nullable else (plain, DocumentField())
    settings = type("Settings", (), {"name": collection_name(mapping)})
    document = create_model(
        f"{mapping.entity.__name__}Document", __base__=TenantDocument, __module__=__name__, **definitions
    )
    document.Settings = settings  # pyright: ignore[reportAttributeAccessIssue]  # Beanie looks for it by this name
    return document


def _mismatches(mapping: EntityMapping, document: type[Any]) -> list[str]:
    if not issubclass(document, TenantDocument):
        return [f"{document.__name__} is not a TenantDocument"]
    subject, entity = document.__name__, mapping.entity
    wanted = {field.name: field for field in fields_of(entity)}
    as_entity = cast("type[Entity]", document)  # a pydantic model too, which is all that is asked of it
    has = {field.name: field for field in fields_of(as_entity) if field.name not in FRAMEWORK_FIELDS}
    problems = [f"{subject} has no field {name!r} of {entity.__name__}" for name in wanted if name not in {*has, "id"}]
    problems += [f"{subject}.{name} is no attribute of {entity.__name__}" for name in has if name not in wanted]
    for name in [name for name in has if name in wanted]:
        alias = document.model_fields[name].alias
        if alias not in (None, name):
            problems.append(f"{subject}.{name} has the alias {alias!r}; keys are the attributes' own names")
        if _holds_link(document.model_fields[name].annotation):
            problems.append(f"{subject}.{name} is a link; aggregates name one another by id")
        problems += [f"{subject}.{name} {problem}" for problem in _field_mismatches(has[name], wanted[name])]
    return problems + [f"{subject}.Settings: {problem}" for problem in _setting_mismatches(mapping, document)]


def _field_mismatches(has: Field, wanted: Field) -> list[str]:
    problems = []
    if has.kind is not wanted.kind and Kind.STRUCTURE not in (has.kind, wanted.kind):
        problems.append(f"holds {has.kind.value}, the entity's attribute {wanted.kind.value}")
    if wanted.nullable and not has.nullable:
        problems.append("does not take None, the entity's attribute does")
    return problems


def _holds_link(annotation: Any) -> bool:
    parts = (get_origin(annotation), *get_args(annotation))
    return annotation in (Link, BackLink) or any(_holds_link(part) for part in parts if part is not None)


def _setting_mismatches(mapping: EntityMapping, document: type[TenantDocument]) -> list[str]:
    settings = getattr(document, "Settings", None)
    name = getattr(settings, "name", None)
    problems = []
    if name not in (None, collection_name(mapping)):
        problems.append(f"name is {name!r}, the mapping's {collection_name(mapping)!r}")
    problems += [
        f"{option} is not supported: {reason}"
        for option, reason in _REFUSED_SETTINGS.items()
        if getattr(settings, option, None)
    ]
    return problems


_REFUSED_SETTINGS: Final = {
    "use_cache": "a cache knows no tenant",
    "use_revision": "the version is the framework's",
    "union_doc": "one collection holds one kind of entity",
    "is_root": "one collection holds one kind of entity",
    "timeseries": "its documents cannot be updated one by one",
}
