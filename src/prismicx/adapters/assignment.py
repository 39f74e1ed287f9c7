"""New values of attributes without an entity that has them: checked one by one, as when they are assigned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from prismicx.adapters.fields import once_per_kind
from prismicx.domain.entity import Entity
from prismicx.domain.errors import InvalidSpecificationError
from prismicx.domain.specification import Attribute


def checked_changes(entity: type[Entity], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as the entity's attributes would have them after an assignment.

    Raises:
        InvalidSpecificationError: there are none, or the identity is among them.
        UnknownAttributeError: the entity has no such attribute.
        pydantic.ValidationError: an attribute does not take its value.
    """
    if not changes:
        raise InvalidSpecificationError(f"no attribute of {entity.__name__} is given a new value")
    for name in changes:
        if Attribute(entity, name).name == "id":
            raise InvalidSpecificationError(f"{entity.__name__}.id stays what it is")
    validator = _validator(entity)
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        found: Any = validator.validate_assignment({}, name, value)  # attributes, what is beside them, which were set
        checked[name] = found[0][name]
    return checked


@once_per_kind
def _validator(entity: type[Entity]) -> SchemaValidator:
    """Return what validates an entity's attributes, without what it checks across several of them."""
    schema: Any = entity.__pydantic_core_schema__
    definitions: list[CoreSchema] = []
    config: Any = None
    while schema["type"] != "model-fields":  # the model, and what its own validators have put around it
        definitions += schema.get("definitions", ())
        config = schema.get("config", config)
        schema = schema["schema"]
    return SchemaValidator(core_schema.definitions_schema(schema, definitions) if definitions else schema, config)
