"""What code in a unit of `acme` tries past every guard, by what it is: none of it may get anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pymongo.errors import OperationFailure
from tests.logins.platform import Driver

Attack = Callable[[Driver], Awaitable[Any]]

OTHERS = "tenant_globex_db"
ATTACKS: dict[str, Attack] = {
    "find": lambda driver: driver[OTHERS]["gizmos"].find_one(),
    "count": lambda driver: driver[OTHERS].command("count", "gizmos"),
    "distinct": lambda driver: driver[OTHERS]["gizmos"].distinct("name"),
    "aggregate": lambda driver: _aggregated(driver, OTHERS, [{"$limit": 1}]),
    "look up": lambda driver: _aggregated(driver, OTHERS, [{"$lookup": {"from": "gizmos", "pipeline": [], "as": "x"}}]),
    "insert": lambda driver: driver[OTHERS]["gizmos"].insert_one({"tenant_id": "globex"}),
    "update": lambda driver: driver[OTHERS]["gizmos"].update_many({}, {"$set": {"name": "changed"}}),
    "delete": lambda driver: driver[OTHERS]["gizmos"].delete_many({}),
    "write by $out": lambda driver: _aggregated(driver, "tenant_acme_db", [{"$out": {"db": OTHERS, "coll": "gizmos"}}]),
    "write by $merge": lambda driver: _aggregated(
        driver, "tenant_acme_db", [{"$merge": {"into": {"db": OTHERS, "coll": "gizmos"}}}]
    ),
    "follow changes": lambda driver: driver[OTHERS].command(
        "aggregate", "gizmos", pipeline=[{"$changeStream": {}}], cursor={}
    ),
    "follow all changes": lambda driver: driver.admin.command(
        "aggregate", 1, pipeline=[{"$changeStream": {"allChangesForCluster": True}}], cursor={}
    ),
    "explain": lambda driver: driver[OTHERS].command({"explain": {"find": "gizmos"}}),
    "list collections": lambda driver: driver[OTHERS].list_collection_names(),
    "size": lambda driver: driver[OTHERS].command("collStats", "gizmos"),
    "drop": lambda driver: driver.drop_database(OTHERS),
    "rename": lambda driver: driver.admin.command(
        {"renameCollection": f"{OTHERS}.gizmos", "to": "tenant_acme_db.stolen"}
    ),
    "weaken a validator": lambda driver: driver["guarded"].command("collMod", "widgets", validator={}),
    "drop what all share": lambda driver: driver["guarded"].drop_collection("widgets"),
    "read the oplog": lambda driver: driver["local"]["oplog.rs"].find_one(),
    "read passwords": lambda driver: driver.admin["system.users"].find_one(),
    "make a user": lambda driver: driver.admin.command("createUser", "mallory", pwd="x", roles=["root"]),
    "take a role": lambda driver: driver["guarded"].command(
        "grantRolesToUser", "tenant_acme", roles=[{"role": "guarded.tenant_globex", "db": "admin"}]
    ),
    "widen its role": lambda driver: driver.admin.command("updateRole", "guarded.tenant_acme", roles=["root"]),
    "list databases": lambda driver: driver.list_database_names(),
}


async def _aggregated(driver: Driver, database: str, pipeline: list[dict[str, Any]]) -> Any:
    return await (await driver[database]["gizmos"].aggregate(pipeline)).to_list()


async def code_of(attempt: Awaitable[Any]) -> int | None:
    """Return the server's code of refusal, or `None` where it did what was asked."""
    try:
        await attempt
    except OperationFailure as error:
        return error.code
    return None
