"""Entities and aggregate roots: identity, version, recorded events, and expressions over class attributes."""

from __future__ import annotations

import threading
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
            return self._version
        except AttributeError:
            return 0

    @property
    def tenant(self) -> TenantId | None:
        """The tenant whose unit of work it came from or was added to; `None` before that, and in the registry."""
        try:
            return self._tenant
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


def stamp(entity: EntityT, *, version: int, tenant: TenantId | None) -> EntityT:
    """Set what is the framework's on an entity and return it. For adapters only."""
    object.__setattr__(entity, "_version", version)
    object.__setattr__(entity, "_tenant", tenant)
    return entity


class AggregateRoot(Entity):
    """The entity through which a whole consistency boundary is read and changed (Evans).

    It records events while it works; the unit of work hands them over after commit.
    """

    __slots__ = ("_events",)
    if TYPE_CHECKING:
        _events: list[DomainEvent]

    def record(self, event: DomainEvent) -> None:
        """Remember a fact, to be handed over once it has been committed."""
        try:
            self._events.append(event)
        except AttributeError:
            object.__setattr__(self, "_events", [event])

    @property
    def recorded_events(self) -> tuple[DomainEvent, ...]:
        """What has been recorded and not yet handed over, oldest first."""
        try:
            return tuple(_EVENTS.__get__(self))
        except AttributeError:
            return ()

    def take_events(self) -> tuple[DomainEvent, ...]:
        """Return the recorded events, oldest first, and forget them."""
        events = self.recorded_events
        if events:
            object.__setattr__(self, "_events", [])
        return events


_EVENTS: Final = AggregateRoot.__dict__["_events"]
"""The slot itself: where it is empty, an access by name would ask pydantic's `__getattr__`, which takes long."""
