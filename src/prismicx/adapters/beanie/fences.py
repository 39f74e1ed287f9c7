"""Fencing numbers in the database: whoever was overtaken finds out before the next write."""

from __future__ import annotations

from typing import Final

from pymongo import ReturnDocument

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import translated
from prismicx.adapters.beanie.tenancy import REGISTRY_PREFIX
from prismicx.domain.errors import LeaseLostError

FENCES: Final = f"{REGISTRY_PREFIX}fences"
"""The collection of the greatest fencing number that was seen of each subject."""


async def require_fence(client: MongoDBClient, subject: str, fence: int) -> None:
    """Return if nobody has written under a greater fencing number until now.

    It is asked before each write. MongoDB makes and drops databases, collections, indexes and users outside of
    transactions, so a worker that is overtaken between this answer and its write still does that one write, and no
    other. That is why each write of a step is harmless to repeat, and why `remove` looks at the owner's mark first.

    Args:
        subject: what is written to: `tenant/<id>`, or `plugin/<tenant id>/<plugin>`.
        fence: the number of the lease under which it is written; 0 without a lease, which passes only where no worker
            with a lease has ever been.

    Raises:
        LeaseLostError: somebody has.
    """
    with translated(FENCES, address=client.address):
        seen = await client.db[FENCES].find_one_and_update(
            {"_id": subject}, {"$max": {"fence": fence}}, upsert=True, return_document=ReturnDocument.AFTER
        )
    assert seen is not None, "it is made where it is missing"
    if _is_outdated(fence, seen["fence"]):
        raise LeaseLostError(subject, fence=fence)


def _is_outdated(fence: int, seen: int) -> bool:
    return fence < seen
