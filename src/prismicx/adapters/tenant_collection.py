"""A tenant's view of one MongoDB collection: an allow-list of operations, each with the tenant in it, and no way out.

It wraps a collection of PyMongo Async or of Motor, which offer the same operations.
"""

# ruff: noqa: A002, FBT001, FBT002  # parameters are named and placed as the driver's

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from prismicx.adapters.tenant_cursor import Access, Document, ResultT, TenantCursor
from prismicx.adapters.tenant_guard import IDENTITY, TenantGuard, plain_copy, refuse
from prismicx.adapters.tenant_pipeline import Reach, reaches_nothing, scoped_pipeline

_READING: Final = frozenset(("projection", "skip", "limit", "sort", "batch_size", "hint", "max_time_ms", "comment"))
_COUNTING: Final = frozenset(("skip", "limit", "hint", "maxTimeMS", "comment"))
_AGGREGATING: Final = frozenset(("allowDiskUse", "batchSize", "hint", "maxTimeMS", "comment"))
_INSERTING: Final = frozenset(("ordered", "comment"))
UPDATING: Final = frozenset(("upsert", "array_filters", "hint", "comment", "sort"))
_REPLACING: Final = frozenset(("hint", "comment", "sort"))
_DELETING: Final = frozenset(("hint", "comment"))
_FINDING_AND_WRITING: Final = frozenset(
    ("projection", "sort", "upsert", "return_document", "array_filters", "hint", "comment", "maxTimeMS")
)


class TenantCollection:
    """The documents of one collection that one tenant can see, in MongoDB's own language.

    What the operations take and return is the driver's, with these differences: filters see the tenant's documents
    only, and so do stages that draw on other collections of the tenant's; new documents are stamped; an update of the
    tenant, the identity or the version, a script, a collation, a stage that writes or draws on anything else, and every
    operation that is not listed here are refused.

    Raises:
        CrossTenantError: a filter or a document names another tenant.
        UnsupportedOperationError: the guard does not let the operation, an option or an operator through.
    """

    def __init__(self, raw: Any, guard: TenantGuard, access: Access, *, reach: Reach = reaches_nothing) -> None:
        self._raw = raw
        self._reach = reach
        self._guard = guard
        self._access = access
        self.name: str = raw.name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise refuse(name)

    def __getitem__(self, name: str) -> Any:
        raise refuse(name)

    # --- Reading. ---

    def find(self, filter: Mapping[str, Any] | None = None, projection: Any = None, **options: Any) -> TenantCursor:
        """Return a cursor over the documents that match."""
        scoped, session = self._guard.filter(filter), options.pop("session", None)
        checked = _checked("find", {"projection": projection, **options}, _READING)

        async def run() -> Any:
            return self._raw.find(scoped, session=await self._access.reading(session), **checked)

        return self._cursor(run)

    async def find_one(
        self,
        filter: Mapping[str, Any] | None = None,
        projection: Any = None,
        **options: Any,
    ) -> Document | None:
        """Return one of the documents that match, or `None`."""
        found = await self.find(filter, projection, **{**options, "limit": 1}).to_list(1)
        return found[0] if found else None

    async def count_documents(self, filter: Mapping[str, Any], *, session: Any = None, **options: Any) -> int:
        """Return how many documents match."""
        scoped, checked = self._guard.filter(filter), _checked("count_documents", options, _COUNTING)
        within = await self._access.reading(session)
        return await self._attempt(self._raw.count_documents(scoped, session=within, **checked))

    async def distinct(
        self,
        key: str,
        filter: Mapping[str, Any] | None = None,
        *,
        session: Any = None,
        **options: Any,
    ) -> list[Any]:
        """Return the different values of this key among the documents that match."""
        scoped, checked = self._guard.filter(filter), _checked("distinct", options, _DELETING)
        within = await self._access.reading(session)
        return await self._attempt(self._raw.distinct(plain_copy(key), scoped, session=within, **checked))

    # --- Writing. ---

    async def insert_one(self, document: Mapping[str, Any], *, session: Any = None, **options: Any) -> InsertOneResult:
        """Add a document; the result has its bare id."""
        stamped, checked = self._guard.document(document), _checked("insert_one", options, _INSERTING)
        within = await self._access.writing("insert_one", session)
        await self._attempt(self._raw.insert_one(stamped, session=within, **checked))
        return InsertOneResult(self._guard.bare(stamped)[IDENTITY], acknowledged=True)

    async def insert_many(
        self, documents: Iterable[Mapping[str, Any]], *, session: Any = None, **options: Any
    ) -> InsertManyResult:
        """Add several documents; the result has their bare ids, in order."""
        stamped = [self._guard.document(document) for document in documents]
        checked = _checked("insert_many", options, _INSERTING)
        within = await self._access.writing("insert_many", session)
        await self._attempt(self._raw.insert_many(stamped, session=within, **checked))
        return InsertManyResult([self._guard.bare(document)[IDENTITY] for document in stamped], acknowledged=True)

    async def update_one(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any],
        upsert: bool = False,
        *,
        session: Any = None,
        **options: Any,
    ) -> UpdateResult:
        """Change one of the documents that match."""
        arguments, checked = self._update("update_one", filter, update, {"upsert": upsert, **options})
        within = await self._access.writing("update_one", session)
        return await self._attempt(self._raw.update_one(*arguments, session=within, **checked))

    async def update_many(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any],
        upsert: bool = False,
        *,
        session: Any = None,
        **options: Any,
    ) -> UpdateResult:
        """Change all documents that match."""
        arguments, checked = self._update("update_many", filter, update, {"upsert": upsert, **options})
        within = await self._access.writing("update_many", session)
        return await self._attempt(self._raw.update_many(*arguments, session=within, **checked))

    async def replace_one(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        *,
        session: Any = None,
        **options: Any,
    ) -> UpdateResult:
        """Put a document in the place of one that matches."""
        arguments = self._guard.replacement(self._guard.filter(filter), replacement)
        checked = _checked("replace_one", options, _REPLACING)
        within = await self._access.writing("replace_one", session)
        return await self._attempt(self._raw.replace_one(*arguments, session=within, **checked))

    async def delete_one(self, filter: Mapping[str, Any], *, session: Any = None, **options: Any) -> DeleteResult:
        """Delete one of the documents that match."""
        scoped, checked = self._guard.filter(filter), _checked("delete_one", options, _DELETING)
        within = await self._access.writing("delete_one", session)
        return await self._attempt(self._raw.delete_one(scoped, session=within, **checked))

    async def delete_many(self, filter: Mapping[str, Any], *, session: Any = None, **options: Any) -> DeleteResult:
        """Delete all documents that match."""
        scoped, checked = self._guard.filter(filter), _checked("delete_many", options, _DELETING)
        within = await self._access.writing("delete_many", session)
        return await self._attempt(self._raw.delete_many(scoped, session=within, **checked))

    async def find_one_and_update(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any],
        *,
        session: Any = None,
        **options: Any,
    ) -> Document | None:
        """Change one of the documents that match and return it, as it was unless `return_document` says otherwise."""
        arguments, checked = self._update("find_one_and_update", filter, update, options, _FINDING_AND_WRITING)
        return await self._find_and_write("find_one_and_update", session, *arguments, **checked)

    async def find_one_and_replace(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        *,
        session: Any = None,
        **options: Any,
    ) -> Document | None:
        """Put a document in the place of one that matches and return one of the two, as for `find_one_and_update`."""
        arguments = self._guard.replacement(self._guard.filter(filter), replacement)
        checked = _checked("find_one_and_replace", options, _FINDING_AND_WRITING - {"upsert"})
        return await self._find_and_write("find_one_and_replace", session, *arguments, **checked)

    async def find_one_and_delete(
        self, filter: Mapping[str, Any], *, session: Any = None, **options: Any
    ) -> Document | None:
        """Delete one of the documents that match and return it."""
        scoped = self._guard.filter(filter)
        checked = _checked("find_one_and_delete", options, _FINDING_AND_WRITING - {"upsert", "return_document"})
        return await self._find_and_write("find_one_and_delete", session, scoped, **checked)

    async def bulk_write(self, requests: Sequence[Any], *, session: Any = None, **options: Any) -> BulkWriteResult:
        """Run several writes in one command; they are the driver's own, `UpdateOne` and the others."""
        rebuilt = [self._rebuilt(request) for request in requests]
        checked = _checked("bulk_write", options, _INSERTING)
        within = await self._access.writing("bulk_write", session)
        return await self._attempt(self._raw.bulk_write(rebuilt, session=within, **checked))

    # --- What they are made of. ---

    def _cursor(self, run: Callable[[], Awaitable[Any]], *, of_stages: bool = False) -> TenantCursor:
        return TenantCursor(run, guard=self._guard, access=self._access, of_stages=of_stages)

    def _aggregated(
        self, pipeline: Sequence[Mapping[str, Any]], session: Any, options: Mapping[str, Any]
    ) -> tuple[list[Document], Any, Document]:
        stages = scoped_pipeline(pipeline, guard=self._guard, reach=self._reach)
        return stages, session, _checked("aggregate", options, _AGGREGATING)

    def _update(
        self,
        operation: str,
        filter_: Mapping[str, Any],
        update: Mapping[str, Any],
        options: Mapping[str, Any],
        allowed: frozenset[str] = UPDATING,
    ) -> tuple[tuple[Document, Document], Document]:
        checked, scoped = _checked(operation, options, allowed), self._guard.filter(filter_)
        safe = self._guard.update(update)
        if checked.get("upsert"):
            safe = self._guard.upsert(scoped, safe)
        return (scoped, safe), checked

    async def _find_and_write(self, operation: str, session: Any, *arguments: Any, **options: Any) -> Document | None:
        within = await self._access.writing(operation, session)
        found: Document | None = await self._attempt(
            getattr(self._raw, operation)(*arguments, session=within, **options)
        )
        return self._guard.bare(found)

    def _rebuilt(self, request: Any) -> Any:
        held: dict[str, Any] = {name: getattr(request, name, None) for name in _REQUEST_PARTS}
        options = {name: held[f"_{name}"] for name in ("collation", "namespace") if held[f"_{name}"] is not None}
        _checked("bulk_write", options, frozenset())
        kind = type(request)
        if kind is InsertOne:
            return InsertOne(self._guard.document(held["_doc"]))
        if kind is UpdateOne or kind is UpdateMany:
            given = {"upsert": bool(held["_upsert"]), "array_filters": held["_array_filters"], "hint": held["_hint"]}
            arguments, checked = self._update("bulk_write", held["_filter"], held["_doc"], given)
            return kind(*arguments, **checked)
        if kind is ReplaceOne and not held["_upsert"]:
            return ReplaceOne(*self._guard.replacement(self._guard.filter(held["_filter"]), held["_doc"]))
        if kind is DeleteOne or kind is DeleteMany:
            return kind(self._guard.filter(held["_filter"]))
        raise refuse(f"a {kind.__name__} in bulk_write")

    async def _attempt(self, action: Awaitable[ResultT]) -> ResultT:
        return await self._access.attempt(action)


_REQUEST_PARTS: Final = ("_filter", "_doc", "_upsert", "_array_filters", "_hint", "_collation", "_namespace")


def _checked(operation: str, options: Mapping[str, Any], allowed: frozenset[str]) -> Document:
    """Return the options that are set. One that is off (`None`, `False`) says no more than one that is not there."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    for name in given:
        if name not in allowed:
            raise refuse(f"{name} in {operation}")
    checked: Document = {name: plain_copy(value) for name, value in given.items()}
    if options.get("ordered") is False:
        checked["ordered"] = False
    return checked
