"""What is different behind a transaction pooler, where each transaction runs on another connection to the server.

Nothing of one transaction is there in the next: no prepared statement, no setting, no lock. And what one leaves behind,
somebody else finds. So whatever must be cleared away is cleared in the message that ends the transaction
(`clearing.py`), which the pooler sends to the same server connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal

from prismicx.adapters.sqlalchemy.clearing import CLEAR_ALL

if TYPE_CHECKING:
    from prismicx.adapters.sqlalchemy.pool import Connection

Pooler = Literal["none", "transaction"]
"""What stands before the server: nothing that matters, or a pooler in transaction mode."""

CITUS_SETTINGS: Final[Mapping[str, str]] = {  # plain PostgreSQL takes them as placeholders
    "citus.propagate_set_commands": "local",
    "citus.enable_schema_based_sharding": "on",
}
"""What Citus needs of each session. A pooler refuses settings that it does not know: there the role has them."""


def start_up_settings(pooler: Pooler, application_name: str) -> dict[str, str]:
    """Return what a connection asks the server to set when it starts."""
    own = {"application_name": application_name}
    return own if pooler == "transaction" else {**CITUS_SETTINGS, **own}


@asynccontextmanager
async def held(connection: Connection, pooler: Pooler) -> AsyncIterator[None]:
    """Keep one server connection for the length of the block: behind a transaction pooler, by a transaction."""
    if pooler == "none":
        yield
        return
    await connection.execute("BEGIN")
    yield
    await connection.execute(CLEAR_ALL.after_commit)


_numbers = count(1)


class DeclaredCursor:
    """A cursor that SQL declares, so that it ends with its transaction; the driver's own is a prepared statement."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    @classmethod
    async def of(cls, connection: Connection, sql: str, arguments: Sequence[Any]) -> DeclaredCursor:
        """Return a cursor over the rows of a query, inside the transaction that is open."""
        name = f"prismicx_{next(_numbers)}"
        await connection.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}", *arguments)
        return cls(connection, name)

    async def fetch(self, number: int) -> Sequence[Any]:
        """Return the next rows, at most this many; none at the end."""
        return await self._connection.fetch(f"FETCH FORWARD {number} FROM {self._name}")

    async def close(self) -> None:
        """Let go of it before the transaction ends."""
        await self._connection.execute(f"CLOSE {self._name}")
