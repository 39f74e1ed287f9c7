"""A server that speaks MongoDB's protocol and fails when told to, behind a line that may be cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pymongo import AsyncMongoClient
from tests.faults.history import Fault
from tests.faults.line import Line

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.testing.databases import MongoDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS

WRITES: Final = ("insert", "update", "delete", "commitTransaction")
COMMIT: Final = ("commitTransaction",)

FAIL_POINTS: Final[dict[str, dict[str, Any]]] = {
    "connection closed": {"failCommands": WRITES, "closeConnection": True},
    "commit closed": {"failCommands": COMMIT, "closeConnection": True},
    "not primary": {"failCommands": WRITES, "errorCode": 10107, "errorLabels": ["RetryableWriteError"]},
    "shutting down": {"failCommands": COMMIT, "errorCode": 91, "errorLabels": ["RetryableWriteError"]},
    "write conflict": {"failCommands": ("insert",), "errorCode": 112, "errorLabels": ["TransientTransactionError"]},
    "commit timed out": {
        "failCommands": COMMIT,
        "errorCode": 50,
        "errorLabels": ["UnknownTransactionCommitResult"],
    },
}


class MongoWorld:
    """A backend on a database behind a line, and the faults of both."""

    kinds: ClassVar[tuple[str, ...]] = (
        "cut before",
        "cut before",
        "cut after",
        "cut after",
        "closed door",
        *FAIL_POINTS,
    )

    commit: ClassVar[bytes] = b"commitTransaction"

    def __init__(
        self,
        database: MongoDatabase,
        line: Line,
        backend: BeanieBackend,
        administrator: AsyncMongoClient[dict[str, Any]],
    ) -> None:
        self.database = database
        self.line = line
        self.backend = backend
        self._administrator = administrator

    async def strike(self, fault: Fault) -> None:
        match fault.kind:
            case "cut before" | "cut after":
                self.line.cut_at(fault.at, after=fault.kind == "cut after")
            case "closed door":
                self.line.close_the_door()
            case kind:
                await self.fail(kind, times=fault.at)

    async def fail(self, kind: str, *, times: int) -> None:
        """Let the server fail so many of the commands that a fail point names."""
        point = {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": FAIL_POINTS[kind]}
        await self._administrator.admin.command(point)

    async def refuse_what_is_sent_again(self) -> None:
        """Let the server insert next and never be heard, and refuse what the driver sends again as in conflict with it.

        SecantusDB does so by itself, or finds a duplicate, where that comes before it has taken note of the first.
        """
        refusal = {"failCommands": ("insert",), "errorCode": 112}
        point = {"configureFailPoint": "failCommand", "mode": {"skip": 1, "times": 1}, "data": refusal}
        await self._administrator.admin.command(point)
        self.line.awaits_answers = True
        self.line.cut_at(1, after=True)

    async def recover(self) -> None:
        self.line.heal()
        await self._administrator.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    async def stored(self) -> Counter[str]:
        widgets = self._administrator[self.database.name]["widgets"]
        names = [document["name"] async for document in widgets.find({}, {"name": 1})]
        await widgets.delete_many({})
        return Counter(names)


@asynccontextmanager
async def mongo_world(database: MongoDatabase) -> AsyncIterator[MongoWorld]:
    """Put a line before the server, and a backend behind the line."""
    target = urlsplit(database.uri)
    assert target.hostname
    assert target.port
    administrator: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(database.uri)
    async with administrator, Line(target.hostname, target.port) as line:
        # Directly: a member of a replica set names its own address, which is not the line's. Polling: a server that
        # really steps down answers the driver's watch at once, one with a fail point lets it wait ten seconds.
        uri = f"mongodb://127.0.0.1:{line.port}/?directConnection=true&serverMonitoringMode=poll"
        client = MongoDBClient(uri, database.name, server_selection_seconds=0.3)
        async with BeanieBackend(client, EXAMPLE_MAPPINGS) as backend:
            await backend.initialise_database()
            yield MongoWorld(database, line, backend, administrator)
