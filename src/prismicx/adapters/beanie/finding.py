"""One document without a cursor, which a tenth of the driver's time for it goes into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect

Document = dict[str, Any]


async def find_one(
    collection: AsyncCollection[Document],
    filter_: Mapping[str, Any],
    projection: Mapping[str, Any] | None,
    session: AsyncClientSession | None,
) -> Document | None:
    """Return a document that matches, or `None`: what the collection's own `find_one` does, as a command.

    Without a session it is sent once more where the connection broke, for nothing depends on how often it is read.

    Source: MongoDB specifications, "Retryable Reads".
    """
    command: Document = {"find": collection.name, "filter": filter_, "limit": 1, "singleBatch": True}
    options: Document = {"codec_options": collection.codec_options, "session": session}
    if projection is not None:
        command["projection"] = projection
    if session is None:  # otherwise the transaction has them
        options["read_preference"] = collection.read_preference
        if collection.read_concern.document:
            command["readConcern"] = collection.read_concern.document
    send = collection.database.command
    try:
        answer = await send(command, **options)
    except AutoReconnect:
        if session is not None:
            raise
        answer = await send(command, **options)
    found: list[Document] = answer["cursor"]["firstBatch"]
    return found[0] if found else None
