"""Clients of dedicated tenants: opened once, closed when nobody uses them, and never under anybody's hands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from prismicx.adapters.dedicated import DedicatedClients, Lease
from prismicx.domain.errors import BackendNotStartedError, DatabaseUnavailableError


class Client:
    """A client that knows whether it is open."""

    def __init__(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.is_open = False


class Opener:
    """Opens clients as it is told, and counts."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.opened: dict[str, Client] = {}
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def __call__(self, connection: str) -> Client | None:
        self.asked[connection] += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if connection == "among-others":
            return None
        self.opened[connection] = Client()
        return self.opened[connection]

    @property
    def open(self) -> set[str]:
        return {connection for connection, client in self.opened.items() if client.is_open}


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
async def clients(opener: Opener) -> AsyncIterator[DedicatedClients[Client]]:
    clients = DedicatedClients(opener, limit=2)
    clients.start()
    yield clients
    await clients.close()


async def leased(clients: DedicatedClients[Client], connection: str) -> Lease[Client]:
    lease = await clients.lease(connection)
    assert lease is not None
    return lease


async def used(clients: DedicatedClients[Client], *connections: str) -> None:
    for connection in connections:
        (await leased(clients, connection)).release()
    await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_client_is_opened_at_its_first_use_and_kept(opener: Opener, clients: DedicatedClients[Client]) -> None:
    await used(clients, "acme", "acme", "acme")

    assert opener.asked == {"acme": 1}
    assert clients.connections == ("acme",)


async def test_many_who_ask_at_once_share_one_opening(opener: Opener, clients: DedicatedClients[Client]) -> None:
    opener.gate = asyncio.Event()
    asking = [asyncio.create_task(leased(clients, "acme")) for _ in range(20)]
    await settled()
    opener.gate.set()
    leases = await asyncio.gather(*asking)

    assert opener.asked == {"acme": 1}
    assert len({id(lease.client) for lease in leases}) == 1


async def test_a_failure_is_everybodys_and_is_forgotten(opener: Opener, clients: DedicatedClients[Client]) -> None:
    opener.gate = asyncio.Event()
    opener.error = DatabaseUnavailableError("acme:5432", "is it running?")
    asking = [asyncio.create_task(clients.lease("acme")) for _ in range(3)]
    await settled()
    opener.gate.set()
    failures = await asyncio.gather(*asking, return_exceptions=True)
    opener.error = None

    assert [type(failure) for failure in failures] == [DatabaseUnavailableError] * 3
    assert clients.connections == ()
    assert (await leased(clients, "acme")).client.is_open
    assert opener.asked == {"acme": 2}


async def test_a_failure_that_nobody_waits_for_is_forgotten_too(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    opener.gate, opener.error = asyncio.Event(), OSError("nothing there")
    asking = asyncio.create_task(clients.lease("acme"))
    await settled()
    asking.cancel()
    await settled()
    opener.gate.set()
    await settled()

    assert asking.cancelled()
    assert clients.connections == ()


async def test_whoever_is_cancelled_leaves_the_opening_to_the_others(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    opener.gate = asyncio.Event()
    first, second = (asyncio.create_task(leased(clients, "acme")) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    opener.gate.set()

    assert (await second).client.is_open
    assert first.cancelled()
    assert opener.asked == {"acme": 1}


async def test_over_the_limit_the_one_used_longest_ago_is_closed(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    await used(clients, "acme", "globex", "acme", "initech")

    assert opener.open == {"acme", "initech"}


async def test_a_client_in_use_is_never_closed(opener: Opener, clients: DedicatedClients[Client]) -> None:
    leases = [await leased(clients, connection) for connection in ("acme", "globex", "initech", "umbrella")]
    await settled()

    assert opener.open == {"acme", "globex", "initech", "umbrella"}
    leases[1].release()
    leases[1].release()
    leases[3].release()
    await settled()
    assert opener.open == {"acme", "initech"}


async def test_one_that_two_use_is_in_use_until_both_have_done(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    first, second = await leased(clients, "acme"), await leased(clients, "acme")
    first.release()
    first.release()
    await used(clients, "globex", "initech")

    assert "acme" in opener.open
    second.release()
    await used(clients, "globex", "initech")
    assert opener.open == {"globex", "initech"}


async def test_one_that_was_closed_is_opened_again(opener: Opener, clients: DedicatedClients[Client]) -> None:
    await used(clients, "acme", "globex", "initech", "acme")

    assert opener.asked["acme"] == 2
    assert "acme" in opener.open


async def test_a_connection_among_others_has_no_client_and_is_asked_once(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    assert await clients.lease("among-others") is None
    await settled()
    assert await clients.lease("among-others") is None

    assert opener.asked == {"among-others": 1}
    assert clients.connections == ()


async def test_closing_closes_everything_and_lends_no_more(opener: Opener, clients: DedicatedClients[Client]) -> None:
    lease = await leased(clients, "acme")
    await used(clients, "globex")
    await clients.close()

    assert opener.open == set()
    with pytest.raises(BackendNotStartedError):
        await clients.lease("acme")
    lease.release()
    await clients.close()


async def test_closing_ends_an_opening_and_says_so_to_those_who_wait(
    opener: Opener, clients: DedicatedClients[Client]
) -> None:
    opener.gate = asyncio.Event()
    waiting = asyncio.create_task(clients.lease("acme"))
    await settled()
    await clients.close()

    with pytest.raises(BackendNotStartedError):
        await waiting
    assert opener.open == set()


async def test_it_lends_again_when_it_is_started_again(opener: Opener, clients: DedicatedClients[Client]) -> None:
    await used(clients, "acme")
    await clients.close()
    clients.start()
    await used(clients, "acme")

    assert opener.asked == {"acme": 2}


def test_a_limit_below_one_is_refused(opener: Opener) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        DedicatedClients(opener, limit=0)
