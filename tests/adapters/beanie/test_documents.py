"""Beanie's own language inside a unit of work: the unit's tenant, its session, its transaction."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from beanie import BulkWriter
from tests.adapters.beanie.examples import (
    ACME,
    GLOBEX,
    Commands,
    Insights,
    Task,
    TaskDocument,
    Tasks,
    Topic,
    UserInsight,
)

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork, TenantDocument
from prismicx.domain.errors import (
    ConcurrencyError,
    CrossTenantError,
    DuplicateEntityError,
    TenantContextMissingError,
    UnitOfWorkSharedError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import TenantId


async def _stored(backend: BeanieBackend, tenant: TenantId, *tasks: Task) -> None:
    async with backend.unit_of_work(tenant) as uow:
        uow.repository(Tasks).add_many(tasks)
        await uow.commit()


async def test_documents_reach_the_units_tenant(backend: BeanieBackend) -> None:
    mine, theirs = Task(title="one"), Task(title="theirs")
    await _stored(backend, ACME, mine)
    await _stored(backend, GLOBEX, theirs)

    async with backend.unit_of_work(ACME):
        found = await TaskDocument.find_all().to_list()
        assert [(task.id, task.title, task.tenant_id, task.version) for task in found] == [(mine.id, "one", "acme", 1)]
        assert await TaskDocument.get(theirs.id) is None
        assert await TaskDocument.find(TaskDocument.title == "one").count() == 1
        assert await TaskDocument.find_one(TaskDocument.title == "theirs").exists() is False
        assert await TaskDocument.find_all().sort("-title").limit(1).first_or_none() is not None
        assert await TaskDocument.distinct("title") == ["one"]
        assert await TaskDocument.find_all().aggregate([{"$count": "all"}]).to_list() == [{"all": 1}]
        assert [task.title async for task in TaskDocument.find(TaskDocument.id == mine.id)] == ["one"]


async def test_what_documents_write_is_the_units_and_entities_see_it(backend: BeanieBackend) -> None:
    document = {"due": date(2026, 5, 1), "budget": Decimal("1.50"), "done_at": datetime(2026, 1, 1, tzinfo=UTC)}
    async with backend.unit_of_work(ACME) as uow:
        made = await TaskDocument(title="made", **document).insert()
        await TaskDocument.insert_many([TaskDocument(title="many")])
        made.owner = "ada"
        await made.save()
        made.title = "replaced"
        await made.replace()
        await made.set({"tags": ["a", None]})
        async with BulkWriter() as writer:
            await TaskDocument.insert_one(TaskDocument(title="bulk"), bulk_writer=writer)
        await TaskDocument.find(TaskDocument.title == "many").delete()
        await uow.commit()

    async with backend.unit_of_work(ACME) as uow:
        task = await uow.repository(Tasks).get(made.id)
        assert await uow.repository(Tasks).count() == 2
    assert task.version == made.version == 4
    assert (task.title, task.owner, task.tags) == ("replaced", "ada", ["a", None])
    assert (task.due, task.budget, task.done_at) == tuple(document.values())


async def test_what_documents_write_is_discarded_without_commit(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME):
        await TaskDocument(title="never").insert()

    async with backend.unit_of_work(ACME):
        assert await TaskDocument.count() == 0


async def test_documents_see_what_entities_have_not_written_yet(backend: BeanieBackend, commands: Commands) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add(Task(title="one"))

        assert await TaskDocument.count() == 1
    assert commands.sent == ["insert", "aggregate", "abortTransaction"]


async def test_a_document_written_beside_a_unit_is_noticed_by_it(backend: BeanieBackend) -> None:
    task = Task(title="one")
    await _stored(backend, ACME, task)

    async with backend.unit_of_work(ACME) as late:
        (await late.repository(Tasks).get(task.id)).owner = "late"

        async def beside() -> None:
            async with backend.unit_of_work(ACME) as early:
                document = await TaskDocument.get(task.id)
                assert document is not None
                await document.set({"owner": "early"})
                await early.commit()

        await asyncio.create_task(beside())
        with pytest.raises(ConcurrencyError):
            await late.commit()


async def test_a_duplicate_is_the_domains(backend: BeanieBackend) -> None:
    await _stored(backend, ACME, Task(title="one"))

    async with backend.unit_of_work(ACME):
        with pytest.raises(DuplicateEntityError):
            await TaskDocument(title="one").insert()


async def test_a_document_of_another_tenant_is_refused(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME):
        foreign = TaskDocument(title="x", tenant_id="globex")
        with pytest.raises(CrossTenantError):
            await foreign.insert()


async def test_a_lookup_finds_the_tenants_own(backend: BeanieBackend) -> None:
    await _stored(backend, ACME, Task(title="mine"))
    await _stored(backend, GLOBEX, Task(title="theirs"))

    async with backend.unit_of_work(ACME):
        lookup: list[dict[str, Any]] = [{"$lookup": {"from": "tasks", "pipeline": [], "as": "all"}}]
        (found,) = await TaskDocument.aggregate(lookup).to_list()
        assert [task["title"] for task in found["all"]] == ["mine"]
        lookup[0]["$lookup"]["from"] = "prismicx_tenants"
        with pytest.raises(UnsupportedOperationError):
            await TaskDocument.aggregate(lookup).to_list()


async def test_outside_of_a_unit_there_are_no_documents(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME):
        kept = TaskDocument(title="one")

    for attempt in (TaskDocument.find_all().to_list, TaskDocument.count, kept.insert, kept.save):
        with pytest.raises(TenantContextMissingError):
            await attempt()
    with pytest.raises(TenantContextMissingError):
        TaskDocument(title="two")


async def test_a_unit_of_the_registry_has_no_documents(backend: BeanieBackend) -> None:
    async with backend.registry():
        with pytest.raises(TenantContextMissingError):
            await TaskDocument.count()


async def test_a_document_that_is_not_of_the_backend_is_not_reached(backend: BeanieBackend) -> None:
    class Stranger(TenantDocument):
        pass

    async with backend.unit_of_work(ACME):
        with pytest.raises(TenantContextMissingError):
            Stranger.get_pymongo_collection()


async def test_two_tenants_in_two_tasks_each_reach_their_own_database(backend: BeanieBackend) -> None:
    both_wrote = asyncio.Barrier(2)

    async def work(tenant: TenantId) -> list[str]:
        async with backend.unit_of_work(tenant) as uow:
            uow.repository(Insights).add(UserInsight(user_id=f"of {tenant}", topics=[Topic(name="x")]))
            await uow.flush()
            await both_wrote.wait()
            assert isinstance(uow, BeanieUnitOfWork)
            document: Any = uow.document_class(UserInsight)
            found = await document.find_all().to_list()
            await both_wrote.wait()
            await uow.commit()
        return [insight.user_id for insight in found]

    seen = await asyncio.gather(work(ACME), work(GLOBEX))

    assert list(seen) == [["of acme"], ["of globex"]]


async def test_units_of_two_tenants_in_one_task_are_not_guessed_between(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME), backend.unit_of_work(GLOBEX):
        with pytest.raises(CrossTenantError):
            await TaskDocument.count()


async def test_of_two_units_of_one_tenant_the_inner_one_is_reached(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as outer:
        outer.repository(Tasks).add(Task(title="outer"))
        await outer.flush()
        async with backend.unit_of_work(ACME):
            assert await TaskDocument.count() == 0
        assert await TaskDocument.count() == 1


async def test_a_task_that_a_unit_has_started_does_not_reach_it(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME):
        with pytest.raises(UnitOfWorkSharedError):
            await asyncio.create_task(TaskDocument.count())


async def test_beanie_asks_for_the_collection_before_each_operation(
    backend: BeanieBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard of the whole arrangement: were Beanie to keep a collection, tenants would share it."""
    asked: list[str] = []
    ask = TenantDocument.get_pymongo_collection.__func__  # type: ignore[attr-defined]  # a class method

    def counted(cls: type[TenantDocument]) -> Any:
        asked.append(cls.__name__)
        return ask(cls)

    async with backend.unit_of_work(ACME):
        document = await TaskDocument(title="one").insert()
        monkeypatch.setattr(TaskDocument, "get_pymongo_collection", classmethod(counted))
        operations: list[Any] = [
            lambda: TaskDocument.find_all().to_list(),
            lambda: TaskDocument.find_one(TaskDocument.title == "one"),
            lambda: TaskDocument.get(document.id),
            TaskDocument.count,
            lambda: TaskDocument.distinct("title"),
            lambda: TaskDocument.aggregate([{"$count": "all"}]).to_list(),
            lambda: TaskDocument.update_all({"$set": {"owner": "ada"}}),
            lambda: document.set({"owner": "bob"}),
            lambda: document.update({"$unset": {"owner": ""}}),
            document.save,
            document.replace,
            lambda: TaskDocument(title="two").insert(),
            document.delete,
            TaskDocument.delete_all,
        ]
        for operation in operations:
            asked.clear()
            await operation()
            assert asked
