"""One look at MongoDB: whether it answers, has transactions, and has every collection that tenants share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from pymongo.errors import PyMongoError

from prismicx.adapters.beanie.client import MongoDBClient
from prismicx.adapters.beanie.errors import domain_error
from prismicx.domain.errors import PrismicxError
from prismicx.domain.health import Health


async def look_at(client: MongoDBClient, collections: Sequence[str], *, backend: str, patience: float) -> Health:
    """Return how the deployment is for this client; it never raises for one that does not answer.

    Args:
        collections: those that all tenants share.
        backend: the backend's name.
        patience: seconds to wait for everything.
    """
    began = time.perf_counter()
    try:
        async with asyncio.timeout(patience), client.opened():
            hello = await client.client.admin.command("hello")
            latency = time.perf_counter() - began
            there = await client.db.list_collection_names()
    except TimeoutError:
        return Health(backend, client.address, reachable=False, problems=(f"no answer within {patience:g} s",))
    except PyMongoError as error:
        told = domain_error(error, subject="health", address=client.address)
        return Health(backend, client.address, reachable=False, problems=(str(told),))
    except PrismicxError as error:
        return Health(backend, client.address, reachable=False, problems=(str(error),))
    missing = [name for name in collections if name not in there]
    problems = [f"there is no collection {name} (`prismicx db init` makes what is missing)" for name in missing]
    transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
    if not transactions:
        problems.append("it is no member of a replica set, so it has no transactions")
    return Health(
        backend,
        client.address,
        reachable=True,
        latency=latency,
        prepared=not missing,
        transactions=transactions,
        problems=tuple(problems),
    )
