"""Units of work over MongoDB: which commands they send, and what a broken connection leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.adapters.beanie.examples import (
    ACME,
    GLOBEX,
    MAPPINGS,
    Commands,
    Contact,
    Contacts,
    Faults,
    Insights,
    Note,
    Notes,
    Task,
    Tasks,
    UserInsight,
    drained,
    tenant,
)

from prismicx.adapters.beanie import BeanieBackend, BeanieUnitOfWork
from prismicx.domain.errors import (
    BackendNotStartedError,
    CommitOutcomeUnknownError,
    ConcurrencyError,
    ConnectionLostError,
    DuplicateEntityError,
    PermissionDeniedError,
    StatementTimeoutError,
    TenantContextMissingError,
    TransactionConflictError,
    TransactionControlError,
    UnitOfWorkClosedError,
    UnsupportedOperationError,
)
from prismicx.domain.registry import TenantRepository
from prismicx.domain.specification import EVERYTHING, asc


async def _stored(backend: BeanieBackend, *tasks: Task) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many(tasks)
        await uow.commit()


def _open(backend: BeanieBackend) -> BeanieUnitOfWork:
    unit = backend.unit_of_work(ACME)
    assert isinstance(unit, BeanieUnitOfWork)
    return unit


async def test_a_unit_with_one_query_is_one_command(backend: BeanieBackend, commands: Commands) -> None:
    task = Task(title="one")
    await _stored(backend, task)
    commands.forget()

    async with backend.unit_of_work(ACME) as uow:
        found = await uow.repository(Tasks).get(task.id)
        await uow.commit()

    assert found == task
    assert commands.sent == ["find"]


async def test_a_unit_that_adds_one_aggregate_is_one_command(backend: BeanieBackend, commands: Commands) -> None:
    await _stored(backend, Task(title="one"))

    assert commands.sent == ["insert"]
    assert "startTransaction" not in commands.bodies[0]


async def test_a_unit_that_adds_many_of_a_kind_is_two_commands(backend: BeanieBackend, commands: Commands) -> None:
    await _stored(backend, *(Task(title=f"task {number}") for number in range(100)))

    assert commands.sent == ["insert", "commitTransaction"]
    assert commands.bodies[0]["startTransaction"] is True
    assert commands.bodies[0]["readConcern"]["level"] == "snapshot"
    assert commands.bodies[1]["writeConcern"] == {"w": "majority"}


async def test_a_write_by_key_or_by_criteria_is_two_commands(backend: BeanieBackend, commands: Commands) -> None:
    await _stored(backend, task := Task(title="one"))
    sent = []

    for write in ("upsert", "get_or_create", "update_where", "delete_where"):
        async with backend.unit_of_work(ACME) as uow:
            repository = uow.repository(Tasks)
            commands.forget()
            match write:
                case "upsert":
                    await repository.upsert(Task(id=task.id, title="two"))
                case "get_or_create":
                    await repository.get_or_create(Task(id=task.id, title="three"))
                case "update_where":
                    assert await repository.update_where(Task.title == "two", title="four") == 1
                case "delete_where":
                    assert await repository.delete_where(EVERYTHING) == 1
            await uow.commit()
        sent += commands.sent

    assert sent[::2] == ["findAndModify", "findAndModify", "update", "delete"]
    assert sent[1::2] == ["commitTransaction"] * 4


async def test_a_write_by_criteria_looks_first_at_what_the_unit_holds(
    backend: BeanieBackend, commands: Commands
) -> None:
    await _stored(backend, task := Task(title="one"), Task(title="two"))

    async with backend.unit_of_work(ACME) as uow:
        held = await uow.repository(Tasks).get(task.id)
        commands.forget()
        assert await uow.repository(Tasks).update_where(EVERYTHING, owner="ada") == 2
        await uow.commit()

    assert commands.sent == ["find", "update", "commitTransaction"]
    assert (held.owner, held.version) == ("ada", 2)


async def test_three_kinds_of_write_in_one_transaction_are_four_commands(
    backend: BeanieBackend, commands: Commands
) -> None:
    tasks = [Task(title=f"task {number}") for number in range(4)]
    await _stored(backend, *tasks)

    async with backend.unit_of_work(ACME) as uow:
        repository = uow.repository(Tasks)
        found = await repository.list(order_by=asc(Task.title))
        commands.forget()
        repository.add(Task(title="new"))
        found[0].owner = found[1].owner = "ada"
        repository.remove(found[2])
        repository.remove(found[3])
        await uow.commit()

    assert commands.sent == ["insert", "update", "delete", "commitTransaction"]


async def test_kinds_of_all_placements_change_in_one_transaction(backend: BeanieBackend, stored: Any) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add(Task(title="shared"))
        uow.repository(Insights).add(UserInsight(user_id="u1"))
        uow.repository(Contacts).add(Contact(email="ada@acme.test"))
        await uow.commit()

    assert stored.client["tenant_acme_db"].user_insights.find_one()["tenant_id"] == "acme"
    assert stored.client["tenant_acme_crm"].contacts.find_one()["email"] == "ada@acme.test"
    assert stored.client["tenant_globex_db"].user_insights.find_one() is None


async def test_one_change_and_one_removal_need_no_transaction(backend: BeanieBackend, commands: Commands) -> None:
    task = Task(title="one")
    await _stored(backend, task)
    commands.forget()

    async with backend.unit_of_work(ACME) as uow:
        (await uow.repository(Tasks).get(task.id)).owner = "ada"
        await uow.commit()
    async with backend.unit_of_work(ACME) as uow:
        repository = uow.repository(Tasks)
        repository.remove(await repository.get(task.id))
        await uow.commit()

    assert commands.sent == ["find", "update", "find", "delete"]


async def test_a_write_before_the_commit_starts_a_transaction_that_reads_see(
    backend: BeanieBackend, commands: Commands
) -> None:
    async with backend.unit_of_work(ACME) as uow:
        repository = uow.repository(Tasks)
        repository.add(Task(title="first"))
        assert await repository.count() == 1
        repository.add(Task(title="second"))
        await uow.commit()

    assert commands.sent == ["insert", "aggregate", "insert", "commitTransaction"]


async def test_a_unit_without_commit_aborts_its_transaction(backend: BeanieBackend, commands: Commands) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add(Task(title="never"))
        await uow.flush()

    assert commands.sent == ["insert", "abortTransaction"]


async def test_a_stale_write_among_many_names_which(backend: BeanieBackend) -> None:
    tasks = [Task(title=f"task {number}") for number in range(3)]
    await _stored(backend, *tasks)
    changed, removed = tasks[1].id, tasks[2].id

    async with backend.unit_of_work(ACME) as late, backend.unit_of_work(ACME) as early:
        mine, theirs = late.repository(Tasks), early.repository(Tasks)
        for task in await mine.list():
            task.owner = "late"
        (await theirs.get(changed)).owner = "early"
        theirs.remove(await theirs.get(removed))
        await early.commit()
        with pytest.raises(ConcurrencyError) as refused:
            await late.commit()

    assert set(refused.value.identities) == {changed, removed}


async def test_a_stale_removal_among_many_names_which(backend: BeanieBackend) -> None:
    tasks = [Task(title=f"task {number}") for number in range(3)]
    await _stored(backend, *tasks)

    async with backend.unit_of_work(ACME) as late, backend.unit_of_work(ACME) as early:
        mine = late.repository(Tasks)
        for task in await mine.list():
            mine.remove(task)
        (await early.repository(Tasks).get(tasks[0].id)).owner = "early"
        await early.commit()
        with pytest.raises(ConcurrencyError) as refused:
            await late.commit()

    assert refused.value.identities == (tasks[0].id,)


async def test_two_transactions_over_one_document_conflict(backend: BeanieBackend) -> None:
    task = Task(title="one")
    await _stored(backend, task)

    async with backend.unit_of_work(ACME) as first, backend.unit_of_work(ACME) as second:
        (await first.repository(Tasks).get(task.id)).owner = "first"
        (await second.repository(Tasks).get(task.id)).owner = "second"
        await first.flush()
        with pytest.raises(TransactionConflictError) as refused:
            await second.flush()
        await first.commit()

    assert refused.value.code == "112"


async def test_a_duplicate_names_the_attributes_without_the_tenant(backend: BeanieBackend) -> None:
    await _stored(backend, Task(title="one"))

    with pytest.raises(DuplicateEntityError) as alone:
        await _stored(backend, Task(title="one"))
    with pytest.raises(DuplicateEntityError) as among_many:
        await _stored(backend, Task(title="two"), Task(title="one"))

    assert (alone.value.entity, alone.value.key) == ("Task", ("title",))
    assert among_many.value.key == ("title",)


async def test_the_same_identity_is_free_in_another_tenant(backend: BeanieBackend) -> None:
    task = Task(title="one")
    await _stored(backend, task)

    async with backend.unit_of_work(GLOBEX) as uow:
        uow.repository(Tasks).add(Task(id=task.id, title="one"))
        await uow.commit()

    with pytest.raises(DuplicateEntityError) as refused:
        await _stored(backend, Task(id=task.id, title="other"))
    assert refused.value.key == ("id",)


async def test_a_key_of_the_registry_may_be_called_tenant_id(backend: BeanieBackend) -> None:
    for expected in (None, DuplicateEntityError):
        async with backend.registry() as uow:
            uow.repository(TenantRepository).add(tenant(ACME))
            if expected is None:
                await uow.commit()
            else:
                with pytest.raises(expected) as refused:
                    await uow.commit()
                assert refused.value.key == ("tenant_id",)


# --- Broken connections. ---


async def test_a_commit_that_is_lost_once_is_sent_again(backend: BeanieBackend, faults: Faults) -> None:
    with faults("commitTransaction", times=3, closeConnection=True):
        await _stored(backend, Task(title="one"), Task(title="two"))

    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Tasks).count() == 2


async def test_a_commit_that_stays_lost_has_an_unknown_outcome(backend: BeanieBackend, faults: Faults) -> None:
    with (
        faults("commitTransaction", times=6, closeConnection=True),
        pytest.raises(CommitOutcomeUnknownError),
    ):
        await _stored(backend, Task(title="one"), Task(title="two"))


async def test_a_lone_write_that_is_lost_twice_has_an_unknown_outcome(backend: BeanieBackend, faults: Faults) -> None:
    with faults("insert", times=2, closeConnection=True), pytest.raises(CommitOutcomeUnknownError):
        await _stored(backend, Task(title="one"))


async def test_a_lone_write_that_was_lost_and_then_refused_has_an_unknown_outcome(
    backend: BeanieBackend, faults: Faults, stored: Any
) -> None:
    # What refuses the second try may be the first one. Here it is not, which the unit cannot know.
    task = Task(title="one")
    await _stored(backend, task)

    with faults("insert", closeConnection=True), pytest.raises(CommitOutcomeUnknownError):
        await _stored(backend, Task(title="one"))
    for change, command in ((_hand_over, "update"), (_give_up, "delete")):
        async with backend.unit_of_work(ACME) as uow:
            await change(uow.repository(Tasks), task)
            stored.tasks.update_one({}, {"$inc": {"version": 1}})
            with faults(command, closeConnection=True), pytest.raises(CommitOutcomeUnknownError):
                await uow.commit()


async def test_a_lone_write_that_was_lost_once_is_done_once(
    backend: BeanieBackend, faults: Faults, stored: Any
) -> None:
    with faults("insert", closeConnection=True):
        await _stored(backend, Task(title="one"))

    assert stored.tasks.count_documents({}) == 1


async def _hand_over(tasks: Tasks, task: Task) -> None:
    (await tasks.get(task.id)).owner = "ada"


async def _give_up(tasks: Tasks, task: Task) -> None:
    tasks.remove(await tasks.get(task.id))


async def test_a_connection_lost_in_a_transaction_leaves_nothing(backend: BeanieBackend, faults: Faults) -> None:
    with faults("insert", closeConnection=True), pytest.raises(ConnectionLostError):
        await _stored(backend, Task(title="one"), Task(title="two"))

    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Tasks).count() == 0


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (13, PermissionDeniedError),
        (50, StatementTimeoutError),
        (112, TransactionConflictError),
    ],
)
async def test_a_refusal_of_the_server_is_told_by_its_code(
    backend: BeanieBackend, faults: Faults, code: int, error: type[Exception]
) -> None:
    with faults("find", errorCode=code):
        async with backend.unit_of_work(ACME) as uow:
            with pytest.raises(error):
                await uow.repository(Tasks).list()

            with pytest.raises(UnitOfWorkClosedError):
                await uow.repository(Tasks).list()


async def test_cancellation_while_it_waits_for_the_server_aborts_the_transaction(
    backend: BeanieBackend, commands: Commands, faults: Faults
) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with backend.unit_of_work(ACME) as uow:
            repository = uow.repository(Tasks)
            repository.add(Task(title="never"))
            await uow.flush()
            entered.set()
            await repository.count()

    with faults("aggregate", blockConnection=True, blockTimeMS=500):
        task = asyncio.create_task(work())
        await entered.wait()
        await commands.wait_for("aggregate")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert commands.sent[-1] == "abortTransaction"
    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Tasks).count() == 0


# --- What a unit refuses. ---


async def test_there_are_no_savepoints(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        with pytest.raises(UnsupportedOperationError):
            async with uow.savepoint():
                pytest.fail("the savepoint was entered")


async def test_the_session_is_the_units_and_its_transaction_too(backend: BeanieBackend) -> None:
    unit = _open(backend)
    with pytest.raises(UnitOfWorkClosedError):
        _ = unit.session

    async with unit as uow:
        assert uow.session is uow.session
        uow.repository(Tasks).add(Task(title="one"))
        await uow.flush()
        assert uow.session.in_transaction
        await uow.session.abort_transaction()
        with pytest.raises(TransactionControlError):
            await uow.commit()


async def test_a_repository_has_the_units_session_and_its_documents(backend: BeanieBackend) -> None:
    async with _open(backend) as uow:
        repository = uow.repository(Tasks)

        assert repository.session is uow.session  # type: ignore[attr-defined]  # the team's class is registered for it
        assert repository.document.__name__ == "TaskDocument"  # type: ignore[attr-defined]  # the same


async def test_the_registry_has_no_tenants_collection(backend: BeanieBackend) -> None:
    async with backend.registry() as uow:
        assert isinstance(uow, BeanieUnitOfWork)
        with pytest.raises(TenantContextMissingError):
            uow.collection(MAPPINGS[0])


async def test_a_backend_that_was_closed_opens_no_unit(backend: BeanieBackend) -> None:
    unit = backend.unit_of_work(ACME)
    await backend.close()

    with pytest.raises(BackendNotStartedError):
        await unit.__aenter__()
    with pytest.raises(BackendNotStartedError):
        backend.unit_of_work(ACME)


async def test_a_unit_that_outlives_its_backend_ends_without_an_error_of_the_driver(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add(Task(title="lost"))
        await uow.flush()
        await backend.close()
        with pytest.raises(BackendNotStartedError):
            await uow.repository(Tasks).count()

    await backend.start()
    async with backend.unit_of_work(ACME) as uow:
        assert await uow.repository(Tasks).count() == 0


async def test_a_stream_goes_on_while_its_unit_writes(backend: BeanieBackend) -> None:
    await _stored(backend, *(Task(title=f"task {number:04}") for number in range(1_200)))

    async with backend.unit_of_work(ACME) as uow:
        stream = uow.repository(Tasks).stream(order_by=asc(Task.title))
        first = await anext(stream)
        uow.repository(Notes).add(Note(text="meanwhile"))
        await uow.flush()
        rest = await drained(stream)
        await uow.commit()

    assert [first.title, *(task.title for task in rest)] == [f"task {number:04}" for number in range(1_200)]


async def test_a_stream_in_the_transaction_ends_with_its_unit(backend: BeanieBackend) -> None:
    async with backend.unit_of_work(ACME) as uow:
        uow.repository(Tasks).add_many(Task(title=f"task {number}") for number in range(600))
        await uow.flush()
        stream = uow.repository(Tasks).stream()
        await anext(stream)
        await uow.commit()

        with pytest.raises(UnitOfWorkClosedError):
            await drained(stream)
