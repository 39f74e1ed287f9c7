"""Beanie documents that reach the tenant of the unit of work that is open, and nothing where none is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, Protocol, runtime_checkable
from uuid import UUID

from beanie import Document
from pydantic import Field, model_validator
from pymongo.asynchronous.collection import AsyncCollection

from prismicx.adapters import open_units
from prismicx.adapters.beanie.wire import structure_from_wire
from prismicx.domain.errors import CrossTenantError, TenantContextMissingError
from prismicx.domain.identifiers import TenantId, new_id

FRAMEWORK_FIELDS: Final = frozenset(("id", "revision_id", "tenant_id", "version"))
"""What every tenant document has besides its entity's attributes."""

ENCODERS: Final[dict[type, Any]] = {datetime: lambda moment: moment, date: date.isoformat}
"""How Beanie writes a date: as the framework does, and a moment as it is."""


@runtime_checkable
class DocumentUnit(Protocol):
    """A unit of work, as documents see it."""

    @property
    def tenant(self) -> TenantId | None:
        """Whose documents it reaches."""
        ...

    def document_collection(self, document: type[TenantDocument]) -> Any | None:
        """Return its guarded collection of these documents, or `None` where it has none or has ended."""
        ...


def forget_expressions() -> None:
    """Take back what Beanie has made of `TenantDocument` itself while it initialised subclasses.

    It puts an expression in the place of each attribute, which a subclass defined later would take for a default.
    """
    for name in FRAMEWORK_FIELDS & TenantDocument.__dict__.keys():
        delattr(TenantDocument, name)


class TenantDocument(Document):
    """A Beanie document for an entity: subclass it, give it the entity's attributes, and register it with the backend.

    Inside a unit of work its queries and writes reach the unit's tenant, session and transaction. Outside of any they
    raise `TenantContextMissingError`; so does making one. Where units of two tenants are open in one task, it raises
    `CrossTenantError` instead of choosing.
    """

    id: UUID = Field(default_factory=new_id)  # type: ignore[assignment]  # Beanie lets documents choose their ids
    tenant_id: str | None = None
    version: int = 0

    @model_validator(mode="before")
    @classmethod
    def _read_numbers(cls, stored: Any) -> Any:
        return structure_from_wire(stored)

    @classmethod
    def get_pymongo_collection(cls) -> AsyncCollection[dict[str, Any]]:
        """Return the guarded collection of the unit of work that is open here; Beanie asks before each operation.

        Raises:
            TenantContextMissingError: none is open.
            CrossTenantError: two are, of different tenants.
        """
        units = [unit for unit in reversed(open_units.entered()) if isinstance(unit, DocumentUnit)]
        found = [(unit, unit.document_collection(cls)) for unit in units]
        reached = [(unit, collection) for unit, collection in found if collection is not None]
        if not reached:
            raise TenantContextMissingError
        unit, collection = reached[0]
        for other, _ in reached[1:]:
            if other.tenant != unit.tenant:
                raise CrossTenantError(unit=str(unit.tenant), other=str(other.tenant), subject=cls.__name__)
        return collection  # type: ignore[no-any-return]  # it has the operations that Beanie uses
