"""Repositories over MongoDB: from BSON straight to the entity."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, cast
from uuid import UUID

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from prismicx.adapters.beanie.collection import BeanieCollection
from prismicx.adapters.beanie.document import TenantDocument
from prismicx.adapters.beanie.finding import find_one
from prismicx.adapters.beanie.mapping import Documents
from prismicx.adapters.beanie.specification import Filter, matching, sorting
from prismicx.adapters.beanie.unit_of_work import BeanieUnitOfWork
from prismicx.adapters.change_set import FIRST_VERSION
from prismicx.adapters.fields import stored_specification
from prismicx.adapters.repository import TrackedRepository
from prismicx.adapters.tenant_guard import IDENTITY, VERSION
from prismicx.adapters.unit_of_work import TrackedUnitOfWork
from prismicx.adapters.writing import Reached, Stored
from prismicx.domain.errors import DuplicateEntityError, TransactionConflictError
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
        self._beanie_unit = cast("BeanieUnitOfWork", unit)  # which made it
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

    async def _projected(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...], limit: int | None
    ) -> Sequence[Mapping[str, Any]]:
        cursor = await self._cursor(specification, order, limit, names)
        documents = await self._beanie_unit.asked(self._mapping, cursor.to_list(None))
        return [self._named(document, names) for document in documents]

    def _batches(self, specification: Specification, order: tuple[Order, ...]) -> AsyncGenerator[Sequence[Any], None]:
        return self._read_on(specification, order)

    async def _projected_batches(
        self, names: tuple[str, ...], specification: Specification, order: tuple[Order, ...]
    ) -> AsyncGenerator[Sequence[Mapping[str, Any]], None]:
        async with aclosing(self._read_on(specification, order, names)) as batches:
            async for documents in batches:
                yield [self._named(document, names) for document in documents]

    async def _read_on(
        self, specification: Specification, order: tuple[Order, ...], names: tuple[str, ...] | None = None
    ) -> AsyncGenerator[Sequence[Any], None]:
        unit = self._beanie_unit
        cursor = await self._cursor(specification, order, None, names)
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

    async def _upsert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Stored:
        stored = self._documents.stored_values(values)
        identity = stored.pop(IDENTITY)
        update: dict[str, Any] = {"$set": stored, "$inc": {VERSION: 1}}
        if "id" not in key:
            update["$setOnInsert"] = {IDENTITY: identity}
        found = await self._keyed(key, values, update, projection={IDENTITY: 1, VERSION: 1})
        return Stored(self._documents.bare(found), found[VERSION])

    async def _get_or_insert(self, key: tuple[str, ...], values: Mapping[str, Any]) -> Any | None:
        new = self._documents.stored_values({name: value for name, value in values.items() if name not in key})
        update = {"$setOnInsert": {**new, VERSION: FIRST_VERSION}}
        return await self._keyed(key, values, update, return_document=ReturnDocument.BEFORE)

    async def _update_where(
        self, specification: Specification, changes: Mapping[str, Any], held: Sequence[UUID]
    ) -> Reached:
        filter_, update = self._filter(specification), {"$set": self._documents.stored_values(changes)}
        versions = await self._versions(filter_, held)
        raw, session = self._raw, await self._beanie_unit.begin_transaction()
        writing = raw.update_many(filter_, {**update, "$inc": {VERSION: 1}}, session=session)
        result = await self._beanie_unit.asked(self._mapping, writing)
        return Reached(result.matched_count, {identity: version + 1 for identity, version in versions.items()})

    async def _delete_where(self, specification: Specification, held: Sequence[UUID]) -> Reached:
        filter_ = self._filter(specification)
        versions = await self._versions(filter_, held)
        session = await self._beanie_unit.begin_transaction()
        result = await self._beanie_unit.asked(self._mapping, self._raw.delete_many(filter_, session=session))
        return Reached(result.deleted_count, versions)

    def _identity(self, row: Any) -> Hashable:
        return self._documents.bare(row)

    def _version(self, row: Any) -> int:
        version: int = row[VERSION]
        return version

    def _plain(self, row: Any, names: tuple[str, ...]) -> Sequence[Any]:
        return [self._documents.plain(row, name) for name in names]

    def _named(self, document: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
        return dict(zip(names, self._plain(document, names), strict=True))

    def _entity(self, row: Any) -> RootT:
        return self._documents.entity(self._kind, row)

    def _entities(self, rows: Iterable[Any]) -> Iterator[RootT]:
        return self._documents.entities(self._kind, rows)

    # --- What they are made of. ---

    def _filter(self, specification: Specification) -> Filter:
        documents = self._documents
        return {**documents.scope(), **matching(stored_specification(self._kind, specification), documents)}

    @property
    def _raw(self) -> AsyncCollection[dict[str, Any]]:
        return self._beanie_unit.raw_collection(self._mapping)

    async def _keyed(
        self,
        key: tuple[str, ...],
        values: Mapping[str, Any],
        update: Mapping[str, Any],
        *,
        return_document: bool = ReturnDocument.AFTER,
        projection: Mapping[str, Any] | None = None,
    ) -> Any:
        """Update the document with this key, or insert one; return it as it is afterwards, or was before."""
        unit, documents = self._beanie_unit, self._documents
        conditions = documents.stored_values({name: values[name] for name in key})
        filter_ = {**documents.scope(), **{name: {"$eq": value} for name, value in conditions.items()}}
        writing = self._raw.find_one_and_update(
            filter_,
            update,
            projection=projection,
            upsert=True,
            return_document=return_document,
            session=await unit.begin_transaction(),
        )
        try:
            return await unit.asked(self._mapping, writing)
        except DuplicateEntityError as error:
            if sorted(error.key) != sorted(key):
                raise
            # It was not to be found, and is taken: somebody else has committed it since.
            raise TransactionConflictError("11000") from error

    async def _versions(self, filter_: Filter, held: Sequence[UUID]) -> dict[UUID, int]:
        """Return the versions of these documents as far as they match, read where the next write sees the same."""
        if not held:
            return {}
        session = await self._beanie_unit.begin_transaction()
        among = {IDENTITY: {"$in": [self._documents.identity(identity) for identity in held]}}
        cursor = self._raw.find({"$and": [filter_, among]}, {IDENTITY: 1, VERSION: 1}, session=session)
        found = await self._beanie_unit.asked(self._mapping, cursor.to_list(None))
        return {self._documents.bare(document): document[VERSION] for document in found}

    def _asked_one(
        self, filter_: Filter, projection: Mapping[str, Any] | None = None
    ) -> Coroutine[Any, Any, Any | None]:
        # Not `async`: each coroutine on the way to the driver is resumed for each of its awaits.
        unit = self._beanie_unit
        finding = find_one(unit.collection_on_wire(self._mapping), filter_, projection, unit.transaction)
        return unit.asked(self._mapping, finding)

    async def _cursor(
        self,
        specification: Specification,
        order: tuple[Order, ...],
        limit: int | None,
        names: tuple[str, ...] | None = None,
    ) -> Any:
        unit, documents = self._beanie_unit, self._documents
        raw, filter_ = unit.collection_on_wire(self._mapping), self._filter(specification)
        ranks, sort = sorting(order, documents)
        wanted = None if names is None else {IDENTITY: 1} | {documents.stored(name, None)[0]: 1 for name in names}
        if not ranks:
            return raw.find(filter_, wanted, sort=sort or None, limit=limit or 0, session=unit.transaction)
        stages: list[Filter] = [{"$match": filter_}, {"$set": ranks}, {"$sort": dict(sort)}]
        if limit is not None:
            stages.append({"$limit": limit})
        if wanted is not None:
            stages.append({"$project": wanted})
        return await unit.asked(self._mapping, raw.aggregate(stages, session=unit.transaction))
