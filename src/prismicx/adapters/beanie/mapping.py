"""Entities as documents and back, and the Beanie documents that stand for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, cast, get_args, get_origin
from uuid import UUID

from beanie import BackLink, Link
from bson import Decimal128
from pydantic import Field as DocumentField
from pydantic import create_model

from prismicx.adapters.beanie.document import FRAMEWORK_FIELDS, TenantDocument, with_pythons_numbers
from prismicx.adapters.beanie.tenancy import collection_name
from prismicx.adapters.fields import Field, Kind, entity_from, fields_of, once_per_kind
from prismicx.adapters.tenant_guard import IDENTITY, TENANT, VERSION
from prismicx.adapters.tracking import FIRST_VERSION
from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.errors import MappingError
from prismicx.domain.identifiers import TenantId
from prismicx.domain.placement import EntityMapping, Reference, Shared

RootT = TypeVar("RootT", bound=AggregateRoot)

_TO_STORE: Final[Mapping[Kind, Callable[[Any], Any]]] = {Kind.DECIMAL: Decimal128, Kind.DATE: date.isoformat}
_FROM_STORE: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.DECIMAL: Decimal128.to_decimal,
    Kind.STRUCTURE: with_pythons_numbers,  # Beanie writes decimals inside of structures as numbers
}


class Documents:
    """The documents of one mapping for one tenant, or for the registry."""

    __slots__ = ("_loaded", "fields", "mapping", "tenant")

    def __init__(self, mapping: EntityMapping, tenant: TenantId | None) -> None:
        self.mapping = mapping
        self.tenant = tenant
        self.fields = _fields(mapping.entity)
        self._loaded = _loaded(mapping.entity)

    def scope(self) -> dict[str, Any]:
        """Return the condition that every filter begins with."""
        return {} if self.tenant is None else {TENANT: self.tenant.value}

    def identity(self, identity: UUID) -> Any:
        """Return the `_id` of the document with this identity."""
        if self.tenant is not None and isinstance(self.mapping.placement, Shared):
            return {"tenant": self.tenant.value, "id": identity}
        return identity

    def identity_of(self, entity: AggregateRoot) -> Any:
        """Return the `_id` of this entity's document."""
        return self.identity(entity.id)

    def bare(self, document: Mapping[str, Any]) -> UUID:
        """Return the identity of a stored document."""
        stored = document[IDENTITY]
        return stored["id"] if isinstance(stored, dict) else stored  # type: ignore[no-any-return]  # UUIDs both

    def one(self, identity: UUID) -> dict[str, Any]:
        """Return the filter for one document."""
        return {**self.scope(), IDENTITY: {"$eq": self.identity(identity)}}

    def expected(self, entity: AggregateRoot, version: int) -> dict[str, Any]:
        """Return the filter for an entity's document, if it still has this version."""
        return {**self.scope(), IDENTITY: {"$eq": self.identity_of(entity)}, VERSION: version}

    def stored(self, name: str, value: Any) -> tuple[str, Any]:
        """Return an attribute's key and one of its plain values as documents have them."""
        if name == "id":
            return IDENTITY, None if value is None else self.identity(value)
        convert = _TO_STORE.get(self.fields[name].kind)
        return name, value if convert is None or value is None else convert(value)

    def document(self, entity: AggregateRoot) -> dict[str, Any]:
        """Return the document of a new entity."""
        names = tuple(name for name in self.fields if name != "id")
        return {
            IDENTITY: self.identity(entity.id),
            **self.scope(),
            VERSION: FIRST_VERSION,
            **self.values(entity, names),
        }

    def values(self, entity: AggregateRoot, names: tuple[str, ...]) -> dict[str, Any]:
        """Return these attributes of an entity as documents have them, by key."""
        held = entity.__dict__
        return dict(self.stored(name, self.fields[name].plain(held[name])) for name in names)

    def entity(self, kind: type[RootT], document: Mapping[str, Any]) -> RootT:
        """Return the entity of a stored document; a key that is not there is a null."""
        values: dict[str, Any] = {"id": self.bare(document)}
        for name, convert in self._loaded:
            stored = document.get(name)
            values[name] = stored if convert is None or stored is None else convert(stored)
        return entity_from(kind, values, version=document[VERSION], tenant=self.tenant_of(document))

    def tenant_of(self, document: Mapping[str, Any]) -> TenantId | None:
        """Return whose a stored document is."""
        return self.tenant


@once_per_kind
def _fields(entity: type[AggregateRoot]) -> Mapping[str, Field]:
    return {field.name: field for field in fields_of(entity)}


@once_per_kind
def _loaded(entity: type[AggregateRoot]) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    return tuple((field.name, _FROM_STORE.get(field.kind)) for field in fields_of(entity) if field.name != "id")


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
