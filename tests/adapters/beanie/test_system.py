"""The door to all tenants on MongoDB: a connection of its own, and no way around the repositories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient
from tests.adapters.beanie.examples import ACME, GLOBEX, MAPPINGS, MongoTasks, Task, TaskDocument, Tasks

from prismicx.adapters.beanie import BeanieBackend, MongoDBClient, system_privileges
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseUnavailableError,
    SystemScopeUnavailableError,
    TenantContextMissingError,
    UnsafeRoleError,
    UnsupportedOperationError,
)
from prismicx.domain.placement import Reference, Shared
from prismicx.domain.registry import REGISTRY_MAPPINGS
from prismicx.domain.system_unit import SystemUnitOfWork
from prismicx.testing.databases import MongoDatabase


def backend_on(database: MongoDatabase, *, system: str | None, application: str | None = None) -> BeanieBackend:
    return BeanieBackend(
        MongoDBClient(application or database.uri, database.name),
        MAPPINGS,
        system=None if system is None else MongoDBClient(system, database.name, server_selection_seconds=0.5),
        documents={Task: TaskDocument},
        repositories={Tasks: MongoTasks},
    )


def opened(backend: BeanieBackend, *, read_only: bool = True) -> SystemUnitOfWork:
    return backend.system_unit_of_work(reason="a test", actor="ada", read_only=read_only)


@pytest.fixture
async def running(database: MongoDatabase) -> AsyncIterator[BeanieBackend]:
    backend = backend_on(database, system=database.uri)
    async with backend:
        await backend.initialise_database()
        for tenant in (ACME, GLOBEX):
            async with backend.unit_of_work(tenant) as uow:
                uow.repository(Tasks).add(Task(title=f"of {tenant}"))
                await uow.commit()
        yield backend


async def test_without_a_connection_of_its_own_there_is_no_door(database: MongoDatabase) -> None:
    with pytest.raises(SystemScopeUnavailableError) as refused:
        opened(backend_on(database, system=None))

    assert "PRISMICX_MONGO_SYSTEM_URI" in str(refused.value)


async def test_it_opens_on_a_running_backend_only(database: MongoDatabase) -> None:
    with pytest.raises(BackendNotStartedError):
        opened(backend_on(database, system=database.uri))


async def test_what_a_team_writes_in_mongodbs_language_is_refused(running: BeanieBackend) -> None:
    async with opened(running) as uow:
        tasks = uow.repository(Tasks)

        assert isinstance(tasks, MongoTasks)
        assert {task.title for task in await tasks.list()} == {"of acme", "of globex"}
        with pytest.raises(UnsupportedOperationError):
            _ = tasks.collection
        with pytest.raises(TenantContextMissingError):
            await TaskDocument.find_all().to_list()


async def test_the_record_is_kept_beside_the_registry(running: BeanieBackend, stored: Any) -> None:
    async with opened(running):
        (document,) = list(stored["prismicx_system_accesses"].find())

    assert (document["actor"], document["reason"], document["read_only"]) == ("ada", "a test", True)


async def test_a_connection_that_cannot_be_made_closes_the_other(database: MongoDatabase) -> None:
    backend = backend_on(database, system="mongodb://not/an@address:1")

    with pytest.raises(DatabaseUnavailableError):
        await backend.start()

    with pytest.raises(BackendNotStartedError):
        _ = backend.unit_of_work(ACME)


@pytest.fixture
def logins(server: MongoClient[dict[str, Any]], database: MongoDatabase) -> Iterator[tuple[str, str]]:
    """The address of the database for two users of this test."""
    users = (f"{database.name}_app", f"{database.name}_system")
    for user in users:
        roles = [{"role": "readWrite", "db": database.name}]
        server.admin.command("createUser", user, pwd="correct horse", roles=roles)
    parts = urlsplit(database.uri)
    places = [
        parts._replace(netloc=f"{user}:correct%20horse@{parts.netloc}", query="authSource=admin") for user in users
    ]
    yield urlunsplit(places[0]), urlunsplit(places[1])
    for user in users:
        server.admin.command("dropUser", user)


async def test_the_applications_login_is_not_the_systems(database: MongoDatabase, logins: tuple[str, str]) -> None:
    application, system = logins

    with pytest.raises(UnsafeRoleError) as refused:
        await backend_on(database, system=application, application=application).start()
    async with backend_on(database, system=system, application=application) as backend, opened(backend) as uow:
        assert await uow.repository(Tasks).count() == 0

    assert refused.value.role == f"admin.{database.name}_app"


def test_the_privileges_are_no_more_than_the_work_needs() -> None:
    mappings = (*MAPPINGS, *REGISTRY_MAPPINGS)

    privileges = system_privileges("service", mappings)

    actions = {one["resource"]["collection"]: one["actions"] for one in privileges}
    assert actions["prismicx_system_accesses"] == ["find", "insert"]
    assert actions["prismicx_tenants"] == ["find"]
    shared = [mapping.name for mapping in mappings if isinstance(mapping.placement, Shared)]
    assert all(actions[name] == ["find", "update", "remove"] for name in shared)
    within_reach = [mapping for mapping in mappings if isinstance(mapping.placement, Shared | Reference)]
    assert len(actions) == len(within_reach)
    assert {one["resource"]["db"] for one in privileges} == {"service"}
