"""Smaller models of an aggregate: which attributes they need, and how they are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from prismicx.adapters.fields import once_per_kind
from prismicx.domain.entity import AggregateRoot, Entity
from prismicx.domain.errors import MappingError

ModelT = TypeVar("ModelT", bound=BaseModel)


class Projection(Generic[ModelT]):
    """A model made of some of an aggregate's attributes.

    Attributes:
        names: the attributes, as the model has them.

    Raises:
        MappingError: it is no such model; every mismatch is listed.
    """

    __slots__ = ("_kind", "_model", "_validator", "names")

    def __init__(self, kind: type[AggregateRoot], model: type[ModelT]) -> None:
        problems = list(_problems(kind, model))
        if problems:
            raise MappingError(problems)
        self.names = tuple(model.model_fields)
        self._kind = kind
        self._model = model
        self._validator = model.__pydantic_validator__

    def made(self, values: Mapping[str, Any]) -> ModelT:
        """Return the model of these plain values.

        Raises:
            MappingError: it refuses them.
        """
        try:
            made: ModelT = self._validator.validate_python(values, strict=False, by_alias=False, by_name=True)
        except ValidationError as error:
            subject = f"stored {self._kind.__name__} as {self._model.__name__}"
            raise MappingError(
                [f"{subject}, {'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
            ) from error
        return made


def projection(kind: type[AggregateRoot], model: type[ModelT]) -> Projection[ModelT]:
    """Return the projection of aggregates of this kind into a model.

    Raises:
        MappingError: the model does not fit.
    """
    known = _known(kind)
    if model not in known:
        known[model] = Projection(kind, model)
    return known[model]


@once_per_kind
def _known(kind: type[AggregateRoot]) -> dict[Any, Projection[Any]]:
    return {}


def _problems(kind: type[AggregateRoot], model: Any) -> Iterator[str]:
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        yield f"{model!r:.80} is no pydantic model"
    elif issubclass(model, Entity):
        yield f"{model.__name__} is an entity: what is read into a smaller model has no version, and is not tracked"
    elif not model.model_fields:
        yield f"{model.__name__} has no attributes"
    else:
        known = kind.model_fields
        missing = [name for name in model.model_fields if name not in known]
        yield from (f"{model.__name__}.{name} is no attribute of {kind.__name__}" for name in missing)
