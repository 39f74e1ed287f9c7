"""Repositories over MongoDB: from BSON straight to the entity."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

from pymongo.asynchronous.client_session import AsyncClientSession

from prismicx.adapters.beanie.collection import BeanieCollection
from prismicx.adapters.beanie.document import TenantDocument
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.specification import Filter, matching, sorting
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.adapters.fields import stored_specification
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.domain.placement import EntityMapping
from prismicx.domain.ports import RootT
from prismicx.domain.specification import Order, Specification

_BATCH: Final = 500


class BeanieRepository(TrackedRepository[RootT]):
    """The aggregates of one kind that one tenant has in MongoDB.

    Subclass it together with a port, and register the class with the backend, to write queries in MongoDB's language.
    """

    def __init__(self, unit: TrackedUnitOfWork, mapping: EntityMapping) -> None:
        super().__init__(unit, mapping)
        self._documents: Documents = self._beanie_unit.documents(mapping)

    @property
    def collection(self) -> BeanieCollection:
        """The tenant's documents, in MongoDB's own language, in this unit's session and transaction."""
        return self._beanie_unit.collection(self._mapping)

    @property
    def session(self) -> AsyncClientSession:
        """The driver's session of this unit."""
        return self._beanie_unit.session

    @property
    def document(self) -> type[TenantDocument]:
        """The Beanie document of the aggregate; inside the unit it reaches the unit's tenant."""
        return self._beanie_unit.document_class(self._mapping.entity)

    async def entities(
        self,
        filter: Mapping[str, Any],  # noqa: A002  # the driver's name
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[RootT]:
        """Return the aggregates whose documents match a filter in MongoDB's language, tracked like any others.

        Args:
            filter: as for `collection.find`, under the same guard.
            sort: keys and directions; `_id` is the identity.
            limit: 0 stands for no limit.
        """
        found = await self.collection.find(filter, sort=list(sort) or None, limit=limit).to_list()
        return [self._resolve(document) for document in found]

    # --- The primitives. ---

    async def _row(self, identity: UUID) -> Any | None:
        return await self._asked_one(self._documents.one(identity))

    async def _rows(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Sequence[Any]:
        unit = self._beanie_unit
        cursor = await self._cursor(specification, order, limit)
        return await unit.asked(self._mapping, cursor.to_list(None))

    async def _batches(
        self, specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Any], None]:
        unit = self._beanie_unit
        cursor = await self._cursor(specification, order, None)
        try:
            while rows := await unit.asked(self._mapping, cursor.to_list(_BATCH)):
                yield rows
        finally:
            await cursor.close()

    async def _count(self, specification: Specification) -> int:
        unit = self._beanie_unit
        counting = unit.raw_collection(self._mapping).count_documents(
            self._filter(specification), session=unit.transaction
        )
        return await unit.asked(self._mapping, counting)

    async def _any(self, specification: Specification) -> bool:
        return await self._asked_one(self._filter(specification), {"_id": 1}) is not None

    def _identity(self, row: Any) -> Hashable:
        return self._documents.bare(row)

    def _entity(self, row: Any) -> RootT:
        return self._documents.entity(self._kind, row)

    # --- What they are made of. ---

    @property
    def _beanie_unit(self) -> BeanieUnitOfWork:
        return cast("BeanieUnitOfWork", self._unit)  # made by this unit

    def _filter(self, specification: Specification) -> Filter:
        documents = self._documents
        return {**documents.scope(), **matching(stored_specification(self._kind, specification), documents)}

    async def _asked_one(self, filter_: Filter, projection: Mapping[str, Any] | None = None) -> Any | None:
        unit = self._beanie_unit
        finding = unit.raw_collection(self._mapping).find_one(filter_, projection, session=unit.transaction)
        return await unit.asked(self._mapping, finding)

    async def _cursor(self, specification: Specification, order: tuple[Order, ...], limit: int | None) -> Any:
        unit, documents = self._beanie_unit, self._documents
        raw, filter_ = unit.raw_collection(self._mapping), self._filter(specification)
        ranks, sort = sorting(order, documents)
        if not ranks:
            return raw.find(filter_, sort=sort, limit=limit or 0, session=unit.transaction)
        stages: list[Filter] = [{"$match": filter_}, {"$set": ranks}, {"$sort": dict(sort)}]
        if limit is not None:
            stages.append({"$limit": limit})
        return await unit.asked(self._mapping, raw.aggregate(stages, session=unit.transaction))
