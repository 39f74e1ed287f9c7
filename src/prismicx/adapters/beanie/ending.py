"""What becomes of a session whose server was not heard of, or whose unit is cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import InvalidOperation, PyMongoError

_endings: set[asyncio.Task[None]] = set()


def end(session: AsyncClientSession, *, unanswered: bool) -> asyncio.Task[None]:
    """Return a task that ends the session, and what is open in it.

    To be awaited under a shield: whoever is cancelled must not leave a transaction open on the server.

    Args:
        session: of the unit.
        unanswered: whether its commit was sent, and nobody knows what became of it.
    """
    ending = asyncio.create_task(_ended(session, unanswered=unanswered))
    _endings.add(ending)
    ending.add_done_callback(_endings.discard)
    return ending


def has_lost_an_answer(session: AsyncClientSession) -> bool:
    """Tell whether a connection broke in it; the driver then sends a write that is no transaction's again.

    The server is to tell the second from the first, and not each does while the first is still at work: SecantusDB 0.7
    refuses the second then, or finds nothing to change, for what the first has done.
    """
    servers: Any = session._server_session  # where the driver leaves its mark
    return bool(servers.dirty)


async def _ended(session: AsyncClientSession, *, unanswered: bool) -> None:
    with suppress(InvalidOperation):  # the client was closed before: the server ends what it hears no more of
        if unanswered:
            # The commit may not have reached the server, where the transaction would go on holding what it wrote for
            # a minute. The driver does not abort any more; to commit is as good, for who had asked for it.
            with suppress(PyMongoError):
                await session.commit_transaction()
        await session.end_session()
