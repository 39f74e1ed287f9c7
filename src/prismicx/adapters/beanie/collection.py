"""A tenant's collections, bound to the unit of work that they belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prismicx.adapters.beanie.tenancy import guard_of
from prismicx.adapters.tenant_collection import UPDATING, TenantCollection
from prismicx.adapters.tenant_cursor import Access, Document, ResultT, TenantCursor
from prismicx.adapters.tenant_guard import IDENTITY, TENANT, VERSION, refuse
from prismicx.domain.errors import TenantContextMissingError
from prismicx.domain.placement import EntityMapping

if TYPE_CHECKING:
    from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork


class UnitAccess(Access):
    """Reads and writes in one unit of work: while it is open, in its session, after a flush, in its transaction."""

    def __init__(self, unit: BeanieUnitOfWork, mapping: EntityMapping) -> None:
        self._unit = unit
        self._mapping = mapping

    async def reading(self, session: Any) -> Any:
        self._unit.require_open()
        self._require_own(session)
        await self._unit.flush()
        return self._unit.transaction

    async def writing(self, operation: str, session: Any) -> Any:
        self._unit.require_writable(operation)
        self._require_own(session)
        await self._unit.flush()
        return await self._unit.begin_transaction()

    async def attempt(self, action: Awaitable[ResultT]) -> ResultT:
        return await self._unit.attempt(self._unit.asked(self._mapping, action))

    def _require_own(self, session: Any) -> None:
        if session is not None and not self._unit.owns(session):
            raise refuse("a session other than the unit's own")


class BeanieCollection(TenantCollection):
    """The documents of one collection that the unit's tenant can see; usable while the unit is open."""

    async def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], *, session: Any = None, **options: Any
    ) -> TenantCursor:
        """Return a cursor over what the stages make of the tenant's documents."""
        stages, session, checked = self._aggregated(pipeline, session, options)

        async def run() -> Any:
            within = await self._access.reading(session)
            return await self._attempt(self._raw.aggregate(stages, session=within, **checked))

        return self._cursor(run, of_stages=True)


class DocumentCollection(BeanieCollection):
    """What Beanie's documents write through: they send whole documents, the framework's fields among them.

    Those are left out of a `$set`: the guard alone writes them, and a document that is saved keeps its identity.
    """

    def _update(
        self,
        operation: str,
        filter_: Mapping[str, Any],
        update: Mapping[str, Any],
        options: Mapping[str, Any],
        allowed: frozenset[str] = UPDATING,
    ) -> tuple[tuple[Document, Document], Document]:
        changes = update.get("$set")
        if isinstance(changes, Mapping):
            kept = {key: value for key, value in changes.items() if key not in (IDENTITY, TENANT, VERSION)}
            update = {**update, "$set": kept}
        return super()._update(operation, filter_, update, options, allowed)


def tenant_collection(
    unit: BeanieUnitOfWork, mapping: EntityMapping, *, kind: type[BeanieCollection] = BeanieCollection
) -> BeanieCollection:
    """Return the unit's guarded collection of this mapping.

    Raises:
        TenantContextMissingError: the unit is the registry's.
    """
    if unit.tenant is None:
        raise TenantContextMissingError
    guard, access = guard_of(mapping, unit.tenant), UnitAccess(unit, mapping)
    return kind(unit.raw_collection(mapping), guard, access, reach=lambda name: unit.guard_beside(mapping, name))
