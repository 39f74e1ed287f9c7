"""A tenant's aggregations: an allow-list of stages, and the tenant in every collection that one of them reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from prismicx.adapters.tenant_guard import IDENTITY, TenantGuard, plain_copy, refuse

Stage = dict[str, Any]
Reach = Callable[[str], TenantGuard | None]
"""Returns the guard of a collection of the same database by its name, `None` where the tenant does not reach it."""

_STAGES: Final = frozenset(
    (
        *("$match", "$project", "$addFields", "$set", "$unset", "$group", "$sort", "$limit", "$skip", "$unwind"),
        *("$count", "$sortByCount", "$bucket", "$bucketAuto", "$replaceRoot", "$replaceWith", "$sample"),
        *("$setWindowFields", "$densify", "$fill", "$redact"),
    )
)
_LOOKUP: Final = frozenset(("from", "localField", "foreignField", "let", "pipeline", "as"))
_UNION: Final = frozenset(("coll", "pipeline"))
_GRAPH: Final = frozenset(
    (
        *("from", "startWith", "connectFromField", "connectToField", "as"),
        *("maxDepth", "depthField", "restrictSearchWithMatch"),
    )
)


def reaches_nothing(name: str) -> None:
    """Return no guard: the tenant reaches no other collection."""


def scoped_pipeline(given: Sequence[Mapping[str, Any]], *, guard: TenantGuard, reach: Reach) -> list[Stage]:
    """Return the caller's stages behind a `$match` of the tenant, and one in each collection that they draw on.

    Raises:
        CrossTenantError: the first `$match` names another tenant.
        UnsupportedOperationError: a stage is none of those that only read, or reads what the tenant does not reach.
    """
    stages = _stages(given, guard, reach)
    if stages and "$match" in stages[0]:  # one $match, so that the planner sees the whole of it
        return [{"$match": guard.filter(stages[0]["$match"])}, *stages[1:]]
    return [{"$match": guard.filter(None)}, *stages]


def _stages(given: Any, guard: TenantGuard, reach: Reach) -> list[Stage]:
    if not isinstance(given, list | tuple):
        raise refuse(f"a {type(given).__name__} as a pipeline")
    return [stage for each in given for stage in _stage(each, guard, reach)]


def _stage(given: Any, guard: TenantGuard, reach: Reach) -> Iterator[Stage]:
    items = list(given.items()) if isinstance(given, Mapping) else []
    if len(items) != 1:
        raise refuse("a stage that is not one operator")
    operator, body = plain_copy(items[0][0]) if isinstance(items[0][0], str) else "", items[0][1]
    if operator in _STAGES:
        yield {operator: plain_copy(body)}
    elif operator == "$lookup":
        yield _lookup(body, guard, reach)
    elif operator == "$unionWith":
        yield _union(body, reach)
    elif operator == "$graphLookup":
        yield from _graph(body, guard, reach)
    elif operator == "$facet":
        yield _facet(body, guard, reach)
    else:
        raise refuse(f"the stage {operator}")


def _lookup(body: Any, guard: TenantGuard, reach: Reach) -> Stage:
    options = _options("$lookup", body, _LOOKUP)
    other = _reached(options.get("from"), reach)
    found = scoped_pipeline(options.pop("pipeline", []), guard=other, reach=reach)
    rebuilt: Stage = {"$lookup": {**plain_copy(options), "pipeline": [*found, *_bare(other)]}}
    for option, owner in (("localField", guard), ("foreignField", other)):
        if option in options:
            rebuilt["$lookup"][option] = _path(options[option], owner)
    return rebuilt


def _union(body: Any, reach: Reach) -> Stage:
    options = _options("$unionWith", {"coll": body} if isinstance(body, str) else body, _UNION)
    other = _reached(options.get("coll"), reach)
    found = scoped_pipeline(options.get("pipeline", []), guard=other, reach=reach)
    return {"$unionWith": {"coll": plain_copy(options["coll"]), "pipeline": found}}


def _graph(body: Any, guard: TenantGuard, reach: Reach) -> Iterator[Stage]:
    options = _options("$graphLookup", body, _GRAPH)
    other = _reached(options.get("from"), reach)
    rebuilt = plain_copy(options)
    rebuilt["restrictSearchWithMatch"] = other.filter(options.get("restrictSearchWithMatch"))
    for option in ("connectFromField", "connectToField"):
        rebuilt[option] = _path(options.get(option), other)
    yield {"$graphLookup": rebuilt}
    if other.shared:
        whole = {"$mergeObjects": ["$$found", {IDENTITY: _bare_identity(other, "$$found._id")}]}
        path = str(rebuilt.get("as"))
        yield {"$set": {path: {"$map": {"input": f"${path}", "as": "found", "in": whole}}}}


def _facet(body: Any, guard: TenantGuard, reach: Reach) -> Stage:
    if not isinstance(body, Mapping):
        raise refuse("a $facet that is no mapping")
    return {"$facet": {plain_copy(name): [*_stages(part, guard, reach), *_bare(guard)] for name, part in body.items()}}


def _options(stage: str, body: Any, allowed: frozenset[str]) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise refuse(f"a {stage} that is no mapping")
    options = dict(body.items())
    for name in options:
        if name not in allowed:
            raise refuse(f"{name!r:.80} in {stage}")
    return options


def _reached(name: Any, reach: Reach) -> TenantGuard:
    guard = reach(plain_copy(name)) if isinstance(name, str) else None
    if guard is None:
        raise refuse(f"a stage over {name!r:.80}, which is no collection of the tenant's beside this one")
    return guard


def _path(path: Any, guard: TenantGuard) -> str:
    """Return a path as documents have it: the caller's `_id` is inside of the stored one."""
    if not isinstance(path, str):
        raise refuse(f"a {type(path).__name__} as a path")
    exact = str.__str__(path)
    return f"{IDENTITY}.id" if guard.shared and exact == IDENTITY else exact


def _bare(guard: TenantGuard) -> list[Stage]:
    """Return what gives documents inside of others their bare `_id`, as the caller knows it."""
    return [{"$set": {IDENTITY: _bare_identity(guard, f"${IDENTITY}")}}] if guard.shared else []


def _bare_identity(guard: TenantGuard, stored: str) -> Stage:
    is_whole = {"$eq": [f"{stored}.tenant", {"$literal": guard.tenant.value}]}
    return {"$cond": [is_whole, f"{stored}.id", stored]}
