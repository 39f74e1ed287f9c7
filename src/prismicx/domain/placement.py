"""Where a tenant's entities live, declared once with the mapping of each kind of entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import MappingError
from prismicx.domain.identifiers import PluginType, stored_name


@dataclass(frozen=True, slots=True)
class Shared:
    """One table for all tenants behind row-level security; on MongoDB, one collection behind the tenant guard."""


@dataclass(frozen=True, slots=True)
class TenantSchema:
    """A schema of its own for each tenant and plugin type, `tenant_<id>_<plugin>`; on MongoDB, a database."""

    plugin_type: PluginType


@dataclass(frozen=True, slots=True)
class TenantDatabase:
    """A database of its own for each tenant, `tenant_<id>_db`; on PostgreSQL a schema, so one transaction spans all."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One table or collection of the registry, outside every tenant: reached by `backend.registry()` only."""


Placement: TypeAlias = Shared | TenantSchema | TenantDatabase | Reference


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """How one kind of aggregate is kept, the same for every backend.

    Args:
        entity: the aggregate root.
        name: of its table or collection: `[a-z][a-z0-9_]*`, at most 52 bytes.
        placement: where a tenant's rows live.
        unique: keys, each a sequence of attributes, that no two entities of one tenant share; nulls never collide.
        indexes: further attribute sequences to index; a dot reaches into a structure (`topics.name`).
        migrated: the table is made by a plugin's migrations, so provisioning leaves it alone. Only in a `TenantSchema`,
            and only where there are scripts: MongoDB's collections are always made by provisioning.

    Raises:
        InvalidNameError: the name is not one that every backend takes.
        MappingError: a key names an attribute that the entity does not have.
    """

    entity: type[AggregateRoot]
    name: str
    placement: Placement = field(default_factory=Shared)
    unique: Sequence[Sequence[str]] = ()
    indexes: Sequence[Sequence[str]] = ()
    migrated: bool = False

    def __post_init__(self) -> None:
        stored_name("table or collection name", self.name)
        fields = self.entity.model_fields
        keys = [*self.unique, *self.indexes]
        problems = [
            f"{self.entity.__name__} has no attribute {attribute!r} for a key of {self.name}"
            for key in keys
            for attribute in key
            if attribute.split(".")[0] not in fields
        ]
        problems += [f"a key of {self.name} is one text; give a sequence" for key in keys if isinstance(key, str)]
        reserved = {"version", "tenant"}
        if not isinstance(self.placement, Reference):
            reserved.add("tenant_id")
        problems += [
            f"{self.entity.__name__}.{attribute} has a name that is the framework's: call it something else"
            for attribute in sorted(reserved & set(fields))
        ]
        if self.migrated and not isinstance(self.placement, TenantSchema):
            problems.append(f"{self.name} cannot be made by a plugin's migrations: it is not in a TenantSchema")
        if problems:
            raise MappingError(problems)


def by_entity(mappings: Sequence[EntityMapping]) -> Mapping[type[AggregateRoot], EntityMapping]:
    """Return the mappings by entity.

    Raises:
        MappingError: two of them share an entity, or a name in one placement.
    """
    problems = []
    entities: dict[type[AggregateRoot], EntityMapping] = {}
    places: set[tuple[Placement, str]] = set()
    for mapping in mappings:
        if mapping.entity in entities:
            problems.append(f"{mapping.entity.__name__} is mapped twice")
        if (mapping.placement, mapping.name) in places:
            problems.append(f"{mapping.name} is used twice in {mapping.placement}")
        entities[mapping.entity] = mapping
        places.add((mapping.placement, mapping.name))
    if problems:
        raise MappingError(problems)
    return entities
