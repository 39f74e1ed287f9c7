"""Repositories over an identity map: one implementation over a few primitives that each backend supplies."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from types import new_class
from typing import Any, cast, get_args, get_origin

from prismicx.adapters.writing import Writing
from prismicx.domain.entity import AggregateRoot
from prismicx.domain.errors import NotMappedError
from prismicx.domain.ports import Repository, RootT


class TrackedRepository(Writing[RootT]):
    """A repository whose aggregates are tracked by its unit of work."""

    def add(self, aggregate: RootT) -> None:
        self.add_many((aggregate,))

    def add_many(self, aggregates: Iterable[RootT]) -> None:
        self._unit.require_writable("add")
        given = tuple(aggregates)
        self._require_kind(given)
        self._unit.claim(given)
        self._unit.tracker.add(given)
        self._unit.mark(given)

    def remove(self, aggregate: RootT) -> None:
        self._unit.require_writable("remove")
        self._require_kind((aggregate,))
        self._unit.claim((aggregate,))
        self._unit.tracker.remove(aggregate)


@lru_cache(maxsize=1024)
def entity_of(port: type) -> type[AggregateRoot]:
    """Return the aggregate of a repository class: the argument of `Repository[…]` among its ancestors.

    Raises:
        NotMappedError: it is not a subclass of `Repository[…]`.
    """
    if not isinstance(port, type):
        raise NotMappedError(f"{port!r:.80}", "it is not a class")
    for ancestor in port.__mro__:
        for parent in getattr(ancestor, "__orig_bases__", ()):
            origin, arguments = get_origin(parent), get_args(parent)
            if isinstance(origin, type) and issubclass(origin, Repository) and isinstance(arguments[0], type):
                return cast("type[AggregateRoot]", arguments[0])  # the bound of RootT
    raise NotMappedError(port.__name__, "it does not say of what it is a Repository[…]")


@lru_cache(maxsize=1024)
def compose(port: type, backend: type[TrackedRepository[Any]]) -> type[TrackedRepository[Any]]:
    """Return the port's own queries over the backend's machinery, as one class; a class that has both is left alone."""
    if issubclass(port, backend):
        return port
    return cast("type[TrackedRepository[Any]]", new_class(port.__name__, (port, backend)))  # made of a subclass of it
