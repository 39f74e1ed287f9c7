"""The wall around a tenant in MongoDB, which has no row security: pure checks of what a caller wants to send.

Everything that passes is rebuilt from exact built-in types, so what was checked is what is sent: a subclass of dict
cannot hide a key, and a filter that is changed afterwards changes nothing. `tenant_pipeline.py` does the same for
aggregations, `tenant_collection.py` applies both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar
from uuid import UUID

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from prismicx.domain.errors import CrossTenantError, UnsupportedOperationError
from prismicx.domain.identifiers import TenantId, new_id

DocumentT = TypeVar("DocumentT", bound=dict[str, Any] | None)

TENANT: Final = "tenant_id"
IDENTITY: Final = "_id"
VERSION: Final = "version"

_SCALARS: Final = frozenset(
    (
        *(type(None), bool, int, float, str, bytes, datetime, UUID, re.Pattern),
        *(Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp),
    )
)
_SCRIPTS: Final = frozenset(("$where", "$function", "$accumulator"))
_ACROSS: Final = frozenset(("$lookup", "$unionWith", "$graphLookup"))
_UPDATES: Final = frozenset(
    (
        *("$set", "$unset", "$inc", "$mul", "$min", "$max", "$rename", "$currentDate", "$setOnInsert"),
        *("$push", "$pull", "$pullAll", "$addToSet", "$pop", "$bit"),
    )
)
_LOGIC: Final = frozenset(("$and", "$or", "$nor"))
_COMPARED: Final = frozenset(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"))
_COMPARED_WITH_MANY: Final = frozenset(("$in", "$nin"))

GUARD: Final = "a tenant's collection"
"""How errors name it."""


def refuse(operation: str) -> UnsupportedOperationError:
    """Return the error for what the guard does not let through."""
    return UnsupportedOperationError(operation, GUARD)


def plain_copy(value: Any) -> Any:
    """Return a deep copy made of exact built-in and BSON types, its keys exact strings; dates and decimals as stored.

    Raises:
        UnsupportedOperationError: it holds another type, or an operator that runs a script or leaves the collection.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    match value:
        case Mapping():
            copy: Any = {_key(key): plain_copy(item) for key, item in value.items()}
        case list() | tuple():
            copy = [plain_copy(item) for item in value]
        case Enum():
            copy = plain_copy(value.value)
        case str() if not isinstance(value, Code):
            copy = str.__str__(value)
        case Decimal():
            copy = Decimal128(value)
        case date() if kind is date:
            copy = value.isoformat()
        case _:
            raise refuse(f"a {kind.__name__} among the values")
    return copy


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise refuse(f"a {type(key).__name__} as a key")
    exact = str.__str__(key)
    if exact in _SCRIPTS or exact in _ACROSS:
        raise refuse(exact)
    return exact


@dataclass(frozen=True, slots=True)
class TenantGuard:
    """The checks for one collection of one tenant.

    Args:
        tenant: whose documents can be reached.
        shared: the collection has other tenants' documents too; there `_id` is `{"tenant": …, "id": …}`, and a bare
            id from the caller is completed.
        versioned: documents carry a `version` that each write raises.
    """

    tenant: TenantId
    shared: bool
    versioned: bool

    # --- Identities. ---

    def identity(self, bare: Any) -> Any:
        """Return the `_id` of a document as it is stored.

        Raises:
            CrossTenantError: it is the complete `_id` of another tenant's document.
        """
        if not self.shared:
            return bare
        if isinstance(bare, dict):
            if list(bare) != ["tenant", "id"]:
                raise refuse("an _id that is not a single value")
            self._require_own(bare["tenant"], "the _id")
            return bare
        return {"tenant": self.tenant.value, "id": bare}

    def bare(self, document: DocumentT) -> DocumentT:
        """Return a document as the caller sees it: with its bare `_id`. It is changed in place."""
        if self.shared and document is not None:
            stored = document.get(IDENTITY)
            if isinstance(stored, dict) and list(stored) == ["tenant", "id"]:
                document[IDENTITY] = stored["id"]
        return document

    # --- Reading. ---

    def filter(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's filter, narrowed to the tenant.

        The tenant stands beside the caller's own conditions, which cannot name it again, rather than in an `$and`
        around them: the meaning is the same, and every planner finds the index.

        Raises:
            CrossTenantError: it names another tenant.
            UnsupportedOperationError: it is no mapping, or holds what is not let through.
        """
        scoped: dict[str, Any] = {TENANT: self.tenant.value}
        if given is None:
            return scoped
        if not isinstance(given, Mapping):
            raise refuse(f"a {type(given).__name__} as a filter")
        copy = plain_copy(given)
        if TENANT in copy:
            self._require_own(copy.pop(TENANT), "the filter")
        scoped.update(self._with_identities(copy))
        return scoped

    # --- Writing. ---

    def document(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a new document, stamped with the tenant, a complete `_id`, and version 1.

        Raises:
            CrossTenantError: it names another tenant.
        """
        stamped = self._stamped(given)
        bare = stamped.pop(IDENTITY, None)
        document = {IDENTITY: self.identity(new_id() if bare is None else bare), **stamped}
        if self.versioned:
            document[VERSION] = 1
        return document

    def replacement(self, filter_: dict[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a checked filter and the document to put in its place.

        Where documents are versioned, the new one must carry the version that it was read with: it replaces that one
        only, under the next version.
        """
        stamped = self._stamped(given)
        if IDENTITY in stamped:
            stamped[IDENTITY] = self.identity(stamped[IDENTITY])
        if not self.versioned:
            return filter_, stamped
        version = stamped.get(VERSION)
        if type(version) is not int:
            raise refuse("a replacement without the version that was read")
        return {**filter_, "$and": [*filter_.get("$and", ()), {VERSION: version}]}, {**stamped, VERSION: version + 1}

    def update(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the caller's update operators; where documents are versioned, with one that raises the version.

        Raises:
            UnsupportedOperationError: it is a pipeline, or touches the tenant, the identity or the version.
        """
        if not isinstance(given, Mapping):
            raise refuse("an update by pipeline")
        update: dict[str, Any] = plain_copy(given)
        for operator, changes in update.items():
            if operator not in _UPDATES or not isinstance(changes, dict):
                raise refuse(f"the update {operator}")
            paths = [*changes, *(str(new) for new in changes.values())] if operator == "$rename" else [*changes]
            for path in paths:
                self._require_free(path)
        if self.versioned:
            update["$inc"] = {**update.get("$inc", {}), VERSION: 1}
        return update

    def upsert(self, filter_: Mapping[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        """Return a checked update that also makes a complete `_id` where the filter does not say which."""
        if IDENTITY in filter_:
            return update
        made = {**update.get("$setOnInsert", {}), IDENTITY: self.identity(new_id())}
        return {**update, "$setOnInsert": made}

    # --- What they are made of. ---

    def _stamped(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise refuse(f"a {type(given).__name__} as a document")
        copy: dict[str, Any] = plain_copy(given)
        if copy.get(TENANT) is not None:
            self._require_own(copy[TENANT], "the document")
        if any(key.startswith("$") for key in copy):
            raise refuse("an operator in a document")
        return {**copy, TENANT: self.tenant.value}

    def _require_own(self, tenant: Any, subject: str) -> None:
        if type(tenant) is not str or tenant != self.tenant.value:
            raise CrossTenantError(unit=self.tenant.value, other=f"{tenant!r:.80}", subject=subject)

    def _require_free(self, path: str) -> None:
        top = path.split(".", 1)[0]
        if top in (TENANT, IDENTITY) or (self.versioned and top == VERSION):
            raise refuse(f"an update of {top}")

    def _with_identities(self, filter_: dict[str, Any]) -> dict[str, Any]:
        if not self.shared:
            return filter_
        completed: dict[str, Any] = {}
        for key, value in filter_.items():
            if key in _LOGIC and isinstance(value, list):
                completed[key] = [self._with_identities(part) if isinstance(part, dict) else part for part in value]
            elif key == IDENTITY:
                completed[key] = self._identity_condition(value)
            else:
                completed[key] = value
        return completed

    def _identity_condition(self, condition: Any) -> dict[str, Any]:
        if not isinstance(condition, dict) or not any(key.startswith("$") for key in condition):
            return {"$eq": self.identity(condition)}
        completed: dict[str, Any] = {}
        for operator, operand in condition.items():
            if operator in _COMPARED:
                completed[operator] = self.identity(operand)
            elif operator in _COMPARED_WITH_MANY and isinstance(operand, list):
                completed[operator] = [self.identity(item) for item in operand]
            elif operator == "$exists":
                completed[operator] = operand
            else:
                raise refuse(f"{operator} of an _id")
        return completed
