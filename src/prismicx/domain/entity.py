"""Entities and aggregate roots: identity, version, recorded events, and expressions over class attributes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic._internal._model_construction import ModelMetaclass
from pydantic_core import CoreSchema

from prismicx.domain.events import DomainEvent
from prismicx.domain.identifiers import TenantId, new_id
from prismicx.domain.moments import with_utc_times
from prismicx.domain.specification import Attribute

EntityT = TypeVar("EntityT", bound="Entity")

_building = threading.local()


class EntityMeta(ModelMetaclass):
    """Makes `Customer.email` an `Attribute`, so that `Customer.email == "ada@acme.test"` is a specification."""

    def __new__(mcs, *args: Any, **kwargs: Any) -> type:
        # While pydantic collects the fields it must not take an inherited Attribute for a default value.
        _building.depth = getattr(_building, "depth", 0) + 1
        try:
            return super().__new__(mcs, *args, **kwargs)
        finally:
            _building.depth -= 1

    def __getattr__(cls, name: str) -> Any:
        fields = cls.__dict__.get("__pydantic_fields__", {})
        if fields and not name.startswith("_") and not getattr(_building, "depth", 0):
            return Attribute(cls, name)  # or an error that names the attributes there are
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic hides it from type checkers on purpose


class Entity(BaseModel, metaclass=EntityMeta):
    """Something with an identity that lasts while its attributes change (Evans).

    `id` is made by the client (UUIDv7). `version` and `tenant` are the framework's: zero and none until the entity
    has been stored or read. Attributes are validated when they are set; times become UTC, cut to milliseconds.
    On the class, an attribute is an expression: `Customer.email == "ada@acme.test"`.
    """

    model_config = ConfigDict(validate_assignment=True, extra="forbid", allow_inf_nan=False)
    __slots__ = ("_tenant", "_version")
    if TYPE_CHECKING:  # in the class body proper, pydantic would make private attributes of them
        _tenant: TenantId | None
        _version: int

    id: UUID = Field(default_factory=new_id, frozen=True)

    @property
    def version(self) -> int:
        """How often it has been written: 0 before the first time."""
        try:
            return _version_of(self)
        except AttributeError:
            return 0

    @property
    def tenant(self) -> TenantId | None:
        """The tenant whose unit of work it came from or was added to; `None` before that, and in the registry."""
        try:
            return _tenant_of(self)
        except AttributeError:
            return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_utc_times(handler(source))  # type: ignore[no-any-return]  # same shape

    def __getstate__(self) -> dict[Any, Any]:
        return super().__getstate__() | {"_framework": (self.version, self.tenant)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        version, tenant = state.pop("_framework")
        super().__setstate__(state)
        stamp(self, version=version, tenant=tenant)

    def __copy__(self) -> Self:
        return stamp(super().__copy__(), version=self.version, tenant=self.tenant)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return stamp(super().__deepcopy__(memo), version=self.version, tenant=self.tenant)


# The slots themselves: where one is empty, an access by name would ask pydantic's `__getattr__`, which takes long.
_version_of: Final[Callable[[Any], int]] = Entity.__dict__["_version"].__get__
_tenant_of: Final[Callable[[Any], TenantId | None]] = Entity.__dict__["_tenant"].__get__
_set_version: Final = Entity.__dict__["_version"].__set__
_set_tenant: Final = Entity.__dict__["_tenant"].__set__


def stamp(entity: EntityT, *, version: int, tenant: TenantId | None) -> EntityT:
    """Set what is the framework's on an entity and return it. For adapters only."""
    _set_version(entity, version)
    _set_tenant(entity, tenant)
    return entity


class AggregateRoot(Entity):
    """The entity through which a whole consistency boundary is read and changed (Evans).

    It records events while it works; the unit of work hands them over after commit.
    """

    __slots__ = ("_events",)
    if TYPE_CHECKING:
        _events: list[DomainEvent] | tuple[()]

    def record(self, event: DomainEvent) -> None:
        """Remember a fact, to be handed over once it has been committed."""
        try:
            _events_of(self).append(event)
        except AttributeError:  # it is the first one
            stamp(self, version=self.version, tenant=self.tenant)
            _set_events(self, [event])

    @property
    def recorded_events(self) -> tuple[DomainEvent, ...]:
        """What has been recorded and not yet handed over, oldest first."""
        try:
            return tuple(_events_of(self))
        except AttributeError:
            return ()

    def take_events(self) -> tuple[DomainEvent, ...]:
        """Return the recorded events, oldest first, and forget them."""
        events = self.recorded_events
        if events:
            _set_events(self, ())
        return events


_events_of: Final = AggregateRoot.__dict__["_events"].__get__
_set_events: Final = AggregateRoot.__dict__["_events"].__set__


def owners_of(aggregates: Sequence[AggregateRoot]) -> list[TenantId | None]:
    """Return whose each of these aggregates is, and make those ready that no unit has seen. For adapters only.

    What has never been stamped has not recorded anything either, and says so from now on without searching.
    """
    owners: list[TenantId | None] = []
    for aggregate in aggregates:
        try:
            owners.append(_tenant_of(aggregate))
        except AttributeError:
            _set_version(aggregate, 0)
            _set_tenant(aggregate, None)
            _set_events(aggregate, ())
            owners.append(None)
    return owners


def own(aggregates: Sequence[AggregateRoot], tenant: TenantId) -> None:
    """Make these aggregates a tenant's, after `owners_of` has seen them. For adapters only."""
    for aggregate in aggregates:
        _set_tenant(aggregate, tenant)


def renumbered(aggregates: Sequence[AggregateRoot], versions: Sequence[int]) -> list[int]:
    """Give each of these aggregates its version, and return the one that it had. For adapters only."""
    before = [aggregate.version for aggregate in aggregates]
    for aggregate, version in zip(aggregates, versions, strict=True):
        _set_version(aggregate, version)
    return before


def have_recorded(aggregates: Iterable[AggregateRoot]) -> bool:
    """Tell whether one of them may have recorded events: a quick look, which errs on this side only."""
    try:
        return any(map(_events_of, aggregates))
    except AttributeError:
        return True
