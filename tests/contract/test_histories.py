"""Every backend tells the same story: a random history is answered as memory answers it."""

from __future__ import annotations

from tests.contract.opened import opened_memory, opened_mongo, opened_postgres

from prismicx.domain.identifiers import TenantId
from prismicx.domain.ports import Backend
from prismicx.testing.contracts.histories import Unit, histories, told
from prismicx.testing.contracts.properties import for_all
from prismicx.testing.databases import MongoServer, PostgresServer

_EXAMPLES = 60


async def assert_same_story(one: Backend, other: Backend, *, examples: int = _EXAMPLES) -> None:
    async def same_story(history: list[Unit]) -> None:
        tenants = (TenantId.new(), TenantId.new())

        assert await told(other, history, tenants) == await told(one, history, tenants)

    await for_all(histories(tenants=2), same_story, examples=examples)


async def test_postgres_tells_the_story_of_memory(prismicx_postgres_server: PostgresServer) -> None:
    async with opened_memory() as memory, opened_postgres(prismicx_postgres_server) as postgres:
        await assert_same_story(memory, postgres)


async def test_mongo_tells_the_story_of_memory(prismicx_mongo_server: MongoServer) -> None:
    async with opened_memory() as memory, opened_mongo(prismicx_mongo_server, "histories") as mongo:
        await assert_same_story(memory, mongo)


async def test_histories_meet_every_answer_that_matters() -> None:
    met: set[object] = set()

    async def collect(history: list[Unit]) -> None:
        async with opened_memory() as memory:
            met.update(answer[0] for answer in await told(memory, history, (TenantId.new(), TenantId.new())) if answer)

    await for_all(histories(tenants=2), collect, examples=_EXAMPLES)

    assert met >= {"committed", "nobody", "DuplicateEntityError", "ConcurrencyError", "UnitOfWorkClosedError"}
