"""How many commands a unit of work is: one stays one, whatever it reads or writes, and a flush is one for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.adapters.beanie.examples import ACME, MAPPINGS, Commands, Faults, Task, Tasks, tenant

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient
from prismicx.domain.errors import ConnectionLostError
from prismicx.domain.specification import asc
from prismicx.testing.databases import MongoDatabase


@pytest.fixture
async def tasks(backend: BeanieBackend, commands: Commands) -> Sequence[Task]:
    """Stored, sixty of them."""
    made = [Task(title=f"task {number:02}") for number in range(60)]
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many(made)
        await uow.commit()
    commands.forget()
    return made


async def test_a_list_of_fifty_is_one_command(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task]
) -> None:
    async with backend.unit_of_work(ACME, read_only=True) as uow:
        found = await uow.repository(Tasks).list(Task.title >= "task 05", order_by=asc(Task.title), limit=50)
        await uow.commit()

    assert found == list(tasks[5:55])
    assert commands.sent == ["find"]


async def test_five_thousand_new_aggregates_are_one_insert(backend: BeanieBackend, commands: Commands) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many([Task(title=f"task {number}") for number in range(5_000)])
        await uow.commit()

    assert commands.sent == ["insert", "commitTransaction"]


async def test_three_updates_by_criteria_are_four_commands(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task]
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        for task in tasks[:3]:
            assert await uow.repository(Tasks).update_where(Task.id == task.id, owner="ada") == 1
        await uow.commit()

    assert commands.sent == ["update", "update", "update", "commitTransaction"]


async def test_three_changed_aggregates_are_one_update_of_what_changed(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task]
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        for task in tasks[:3]:
            (await uow.repository(Tasks).get(task.id)).owner = "ada"
        await uow.commit()

    assert commands.sent == ["find", "find", "find", "update", "commitTransaction"]
    assert [update["u"] for update in commands.bodies[3]["updates"]] == [{"$set": {"owner": "ada", "version": 2}}] * 3


async def test_a_read_whose_connection_broke_is_sent_once_more(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task], faults: Faults
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        with faults("find", closeConnection=True):
            found = await uow.repository(Tasks).get(tasks[0].id)

    assert found == tasks[0]
    assert commands.sent == ["find", "find"]


async def test_a_read_whose_connection_broke_twice_is_not(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task], faults: Faults
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        with faults("find", times=2, closeConnection=True), pytest.raises(ConnectionLostError):
            await uow.repository(Tasks).get(tasks[0].id)

    assert commands.sent == ["find", "find"]


async def test_a_read_in_a_transaction_is_never_sent_twice(
    backend: BeanieBackend, commands: Commands, tasks: Sequence[Task], faults: Faults
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        await uow.repository(Tasks).update_where(Task.title == "task 01", owner="ada")
        commands.forget()
        with faults("find", closeConnection=True), pytest.raises(ConnectionLostError):
            await uow.repository(Tasks).get(tasks[0].id)
        assert commands.sent == ["find"]


async def test_a_read_by_identity_has_the_connection_strings_preference_and_concern(
    database: MongoDatabase, commands: Commands
) -> None:
    options = "?readConcernLevel=majority&readPreference=primaryPreferred"
    async with BeanieBackend(MongoDBClient(database.uri + options, database.name), MAPPINGS) as backend:
        await backend.initialise_database()
        for step in backend.steps():
            await step.ensure(tenant(ACME))
        commands.forget()
        async with backend.unit_of_work(ACME) as uow:
            assert await uow.repository(Tasks).find(Task(title="nowhere").id) is None
            assert await uow.repository(Tasks).list() == []

    by_identity, by_criteria = (_reading(body) for body in commands.bodies)
    assert by_identity == by_criteria
    assert by_identity["readConcern"] == {"level": "majority"}


def _reading(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body.get(name) for name in ("readConcern", "$readPreference")}
