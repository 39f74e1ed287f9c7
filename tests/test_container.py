"""The container: from settings to a running service, on real databases and in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import pytest
from pydantic import SecretStr

from prismicx import AggregateRoot, DomainEvent, EntityMapping, PluginType, Region, Repository, TenantId, Tier
from prismicx.adapters.backend import TrackedBackend
from prismicx.adapters.memory import MemoryBackend
from prismicx.container import Container, preparations, running, use_memory
from prismicx.domain.cursors import Cursor, CursorKeys
from prismicx.domain.errors import (
    BackendNotStartedError,
    DuplicateEntityError,
    InvalidCursorError,
    SettingsError,
    SystemScopeUnavailableError,
    TenantNotActiveError,
    TransactionsUnavailableError,
    UnsupportedOperationError,
)
from prismicx.domain.identifiers import Version
from prismicx.domain.plugins import PluginVersion, SchemaMigration
from prismicx.domain.ports import Backend
from prismicx.settings import Settings
from prismicx.testing.databases import MongoDatabase, MongoDatabases, MongoServer, PostgresDatabase, PostgresDatabases

ACME, GLOBEX = TenantId("acme"), TenantId("globex")


class TaskDone(DomainEvent):
    title: str


class Task(AggregateRoot):
    title: str
    done: bool = False

    def finish(self) -> None:
        self.done = True
        self.record(TaskDone(title=self.title))


class Tasks(Repository[Task]):
    async def open(self) -> Sequence[Task]:
        return await self.list(Task.done == False)  # noqa: E712  # an expression


MAPPINGS = (EntityMapping(Task, "tasks", unique=[["title"]]),)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PRISMICX_"):
            monkeypatch.delenv(name)


@pytest.fixture
async def postgres(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prismicx_postgres_database()


@pytest.fixture
def mongo(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    return prismicx_mongo_database()


def settings_for(
    *, postgres: PostgresDatabase | None = None, mongo: MongoDatabase | None = None, **given: object
) -> Settings:
    if postgres is not None:
        given |= {"postgres_dsn": postgres.dsn, "postgres_admin_dsn": postgres.admin_dsn}
    if mongo is not None:
        given |= {"mongo_uri": mongo.uri, "mongo_database": mongo.name}
    return Settings.load(given)


def container_for(settings: Settings) -> Container:
    return Container(settings=settings, postgres_mappings=MAPPINGS, mongo_mappings=MAPPINGS)


async def prepare(container: Container) -> None:
    for preparation in preparations(container):
        await preparation.carry_out()


async def create(container: Container, *tenants: TenantId) -> None:
    for tenant in tenants:
        await container.tenants().create(
            tenant.value.title(), tenant_id=tenant, region=Region("eu"), tier=Tier("standard")
        )


# --- One service, three backends, one line of difference. ---


@pytest.fixture(params=["memory", "postgres", "mongo"])
async def service(
    request: pytest.FixtureRequest, postgres: PostgresDatabase, mongo: MongoDatabase
) -> AsyncIterator[tuple[Container, Backend]]:
    container = container_for(settings_for(postgres=postgres, mongo=mongo))
    if request.param == "memory":
        use_memory(container)
    else:
        await prepare(container)
    async with running(container):
        yield container, container.mongo() if request.param == "mongo" else container.postgres()


async def test_the_service_does_the_same_on_every_backend(service: tuple[Container, Backend]) -> None:
    container, backend = service
    await create(container, ACME, GLOBEX)

    async with backend.unit_of_work(ACME) as unit:
        unit.repository(Tasks).add_many([Task(title="call Ada"), Task(title="call Bob")])
        await unit.commit()
    async with backend.unit_of_work(ACME) as unit:
        (await unit.repository(Tasks).open())[0].finish()
        await unit.commit()

    async with backend.unit_of_work(ACME) as unit:
        assert [task.title for task in await unit.repository(Tasks).open()] == ["call Bob"]
        unit.repository(Tasks).add(Task(title="call Bob"))
        with pytest.raises(DuplicateEntityError):
            await unit.commit()
    async with backend.unit_of_work(GLOBEX) as unit:
        assert await unit.repository(Tasks).count() == 0


async def test_a_suspended_tenant_is_let_in_nowhere(service: tuple[Container, Backend]) -> None:
    container, _ = service
    await create(container, ACME)
    await container.tenants().suspend(ACME)

    for backend in container.backends():
        with pytest.raises(TenantNotActiveError):
            await backend.unit_of_work(ACME).__aenter__()


async def test_a_plugin_is_installed_on_every_backend(service: tuple[Container, Backend]) -> None:
    container, _ = service
    await create(container, ACME)
    first = Version("1.0.0")
    migration = SchemaMigration(version_to=first, script="CREATE TABLE ${schema}.leads (id uuid PRIMARY KEY)")
    await container.plugins().publish("crm-suite", PluginType("crm"), PluginVersion(version=first), migration)

    installed = await container.plugins().install(ACME, "crm-suite")

    assert installed.installed_version == first
    assert [*await container.plugin_schemas().applied(ACME, PluginType("crm"), "crm-suite")] == ["1.0.0"]


@pytest.mark.parametrize("database", ["postgres", "mongo"])
async def test_a_tenant_that_another_process_suspends_is_soon_let_in_nowhere(
    database: str, postgres: PostgresDatabase, mongo: MongoDatabase
) -> None:
    settings = settings_for(postgres=postgres, mongo=mongo, registry=database, tenant_max_age=3600)
    here, elsewhere = container_for(settings), container_for(settings)
    await prepare(here)
    async with running(here), running(elsewhere):
        await create(elsewhere, ACME)
        async with here.postgres().unit_of_work(ACME):
            pass

        await elsewhere.tenants().suspend(ACME)

        async with asyncio.timeout(10):
            with pytest.raises(TenantNotActiveError):
                await open_for_ever(here.postgres(), ACME)
    assert not [task for task in asyncio.all_tasks() if "Refresher" in repr(task)]


async def open_for_ever(backend: Backend, tenant: TenantId) -> None:
    while True:
        async with backend.unit_of_work(tenant) as unit:
            await unit.commit()


# --- What it is made of. ---


async def test_postgresql_alone_is_enough(postgres: PostgresDatabase) -> None:
    container = container_for(settings_for(postgres=postgres))
    await prepare(container)

    async with running(container):
        await create(container, ACME)

        assert container.backends() == (container.postgres(),)
        assert container.registry() is container.postgres()
        assert {step.name.split(".")[0] for step in container.provisioning_steps()} == {"postgresql"}
        with pytest.raises(SettingsError, match="has no MongoDB"):
            container.mongo()


async def test_mongodb_alone_is_enough_and_runs_no_sql(mongo: MongoDatabase) -> None:
    container = container_for(settings_for(mongo=mongo))
    await prepare(container)

    async with running(container):
        await create(container, ACME)

        assert container.backends() == (container.mongo(),)
        assert container.registry() is container.mongo()
        migration = SchemaMigration(version_to=Version("1.0.0"), script="CREATE TABLE ${schema}.leads (id uuid)")
        with pytest.raises(UnsupportedOperationError):
            await container.plugin_schemas().migrate(ACME, PluginType("crm"), "crm-suite", [migration], fence=1)
        with pytest.raises(SettingsError, match="has no PostgreSQL"):
            container.postgres()
        with pytest.raises(SettingsError, match="has no PostgreSQL"):
            container.postgres_admin_client()


async def test_the_registry_is_where_the_settings_say(postgres: PostgresDatabase, mongo: MongoDatabase) -> None:
    for name in ("postgres", "mongo"):
        container = container_for(settings_for(postgres=postgres, mongo=mongo, registry=name))

        assert container.registry() is {"postgres": container.postgres, "mongo": container.mongo}[name]()


async def test_a_registry_in_memory_runs_beside_a_database(postgres: PostgresDatabase) -> None:
    container = container_for(settings_for(postgres=postgres, registry="memory"))
    await prepare(container)

    async with running(container):
        await create(container, ACME)

        assert isinstance(container.registry(), MemoryBackend)
        assert container.registry() not in container.backends()
        async with container.postgres().unit_of_work(ACME) as unit:
            assert await unit.repository(Tasks).count() == 0


async def test_without_an_administrators_address_there_is_one_login() -> None:
    dsn = "postgresql://app:pa55word@db.test:5433/shop"
    container = container_for(Settings(postgres_dsn=SecretStr(dsn), pooler="transaction"))

    for client in (container.postgres_client(), container.postgres_admin_client()):
        assert (client.user, client.address, client.pooler) == ("app", "db.test:5433/shop", "transaction")


async def test_the_administrators_login_goes_past_the_pooler() -> None:
    dsn, admin_dsn = SecretStr("postgresql://app@pooler.test/shop"), SecretStr("postgresql://owner@db.test/shop")
    container = container_for(Settings(postgres_dsn=dsn, postgres_admin_dsn=admin_dsn, pooler="transaction"))

    client = container.postgres_admin_client()

    assert (client.user, client.host, client.pooler) == ("owner", "db.test", "none")


# --- Starting and stopping. ---


async def test_everything_is_closed_with_the_block(postgres: PostgresDatabase, mongo: MongoDatabase) -> None:
    container = container_for(settings_for(postgres=postgres, mongo=mongo))
    await prepare(container)
    async with running(container):
        await create(container, ACME)

    for backend in container.backends():
        with pytest.raises(BackendNotStartedError):
            async with backend.registry() as unit:
                await unit.repository(Tasks).count()


async def test_what_was_started_is_closed_where_something_else_does_not_start(
    postgres: PostgresDatabase, prismicx_mongo_standalone_server: MongoServer
) -> None:
    container = container_for(settings_for(postgres=postgres, mongo_uri=prismicx_mongo_standalone_server.uri))
    await prepare(Container(settings=settings_for(postgres=postgres), postgres_mappings=MAPPINGS))

    with pytest.raises(TransactionsUnavailableError):
        async with running(container):
            pytest.fail("it must not run")
    with pytest.raises(BackendNotStartedError):
        await container.postgres_client().pool.acquire()


async def test_a_cursor_is_good_in_every_process_that_has_the_key() -> None:
    keys = ("c" * 32, "c" * 32, None)
    one, other, third = (container_for(Settings.load({"registry": "memory", "cursor_keys": key})) for key in keys)
    cursors: list[Cursor | None] = []
    for container in (one, other, third):
        use_memory(container)
        async with running(container):
            await create(container, ACME)
            async with container.postgres().unit_of_work(ACME) as unit:
                tasks = unit.repository(Tasks)
                tasks.add_many(Task(title=title) for title in "ab")
                cursors.append((await tasks.page(size=1)).next)
                if container is third:
                    with pytest.raises(InvalidCursorError, match="PRISMICX_CURSOR_KEYS"):
                        await tasks.page(size=1, after=cursors[0])
                else:
                    await tasks.page(size=2, after=cursors[0])


def test_every_backend_has_the_keys_of_the_settings(postgres: PostgresDatabase, mongo: MongoDatabase) -> None:
    container = container_for(settings_for(postgres=postgres, mongo=mongo, cursor_keys=f"{'n' * 32},{'o' * 32}"))
    signed = CursorKeys("o" * 32).signed(b"a body", context=b"")

    for backend in (container.postgres(), container.mongo()):
        assert isinstance(backend, TrackedBackend)
        assert backend.cursor_keys.body(signed, context=b"") == b"a body"


async def test_a_container_can_run_again(postgres: PostgresDatabase) -> None:
    container = container_for(settings_for(postgres=postgres))
    await prepare(container)

    for tenant in (ACME, GLOBEX):
        async with running(container):
            await create(container, tenant)

    async with running(container):
        assert [tenant.tenant_id for tenant in await container.tenants().list()] == [ACME, GLOBEX]


# --- Overriding. ---


async def test_memory_takes_the_place_of_every_database_in_one_line() -> None:
    heard: list[str] = []

    async def hear(tenant: TenantId | None, events: Sequence[DomainEvent]) -> None:
        heard.extend(type(event).__name__ for event in events if tenant is not None)

    container = Container(
        settings=Settings(registry="memory"), postgres_mappings=MAPPINGS, mongo_mappings=MAPPINGS, on_commit=hear
    )

    use_memory(container)

    async with running(container):
        await create(container, ACME)
        for backend in container.backends():
            assert isinstance(backend, MemoryBackend)
            async with backend.unit_of_work(ACME) as unit:
                task = Task(title="call Ada")
                unit.repository(Tasks).add(task)
                task.finish()
                await unit.commit()
    assert len(container.backends()) == 2
    assert heard == ["TaskDone", "TaskDone"]
    assert preparations(container) == ()


async def test_memory_takes_the_place_of_what_is_configured_only() -> None:
    container = container_for(Settings(mongo_uri=SecretStr("mongodb://db.test")))

    use_memory(container)

    assert [type(backend) for backend in container.backends()] == [MemoryBackend]
    with pytest.raises(SettingsError):
        container.postgres()


async def test_a_teams_own_repository_serves_in_memory_too() -> None:
    from prismicx.adapters.memory import MemoryRepository

    class MemoryTasks(Tasks, MemoryRepository[Task]):
        async def open(self) -> Sequence[Task]:
            return [Task(title="by hand")]

    container = Container(
        settings=Settings(registry="memory"), postgres_mappings=MAPPINGS, memory_repositories={Tasks: MemoryTasks}
    )
    use_memory(container)

    async with running(container):
        await create(container, ACME)
        async with container.postgres().unit_of_work(ACME) as unit:
            assert [task.title for task in await unit.repository(Tasks).open()] == ["by hand"]


async def test_one_backend_can_be_put_in_the_place_of_another(mongo: MongoDatabase) -> None:
    container = container_for(settings_for(mongo=mongo))
    await prepare(container)

    container.postgres.override(container.mongo)

    async with running(container):
        assert container.backends() == (container.mongo(),)
        assert container.postgres() is container.mongo()


async def test_work_over_all_tenants_has_the_logins_of_the_settings(
    postgres: PostgresDatabase, mongo: MongoDatabase
) -> None:
    logins = {"postgres_system_dsn": postgres.system_dsn, "mongo_system_uri": mongo.uri}
    container = container_for(settings_for(postgres=postgres, mongo=mongo, **logins))
    await prepare(container)
    async with running(container):
        await create(container, ACME, GLOBEX)
        for backend in container.backends():
            for tenant in (ACME, GLOBEX):
                async with backend.unit_of_work(tenant) as unit:
                    unit.repository(Tasks).add(Task(title="the same"))
                    await unit.commit()

            async with backend.system_unit_of_work(reason="a test", actor="ada") as system:
                assert {task.tenant for task in await system.repository(Tasks).open()} == {ACME, GLOBEX}


async def test_without_them_there_is_no_work_over_all_tenants(postgres: PostgresDatabase, mongo: MongoDatabase) -> None:
    container = container_for(settings_for(postgres=postgres, mongo=mongo))

    for backend in container.backends():
        with pytest.raises(SystemScopeUnavailableError):
            backend.system_unit_of_work(reason="a test", actor="ada")


def test_the_logins_for_work_over_all_tenants_are_in_no_representation() -> None:
    settings = Settings.load(
        {
            "postgres_dsn": "postgresql://app@db.test/shop",
            "postgres_system_dsn": "postgresql://system:pa55word@db.test/shop",
            "postgres_outbox_dsn": "postgresql://relay:pa55word@db.test/shop",
            "outbox": True,
            "mongo_uri": "mongodb://app@mongo.test/",
            "mongo_system_uri": "mongodb://system:pa55word@mongo.test/",
        }
    )
    container = container_for(settings)

    shown = repr(settings) + repr(container.postgres_system_client()) + repr(container.mongo_system_client())
    shown += repr(container.postgres_relay_client())
    assert "pa55word" not in shown


async def test_memory_stores_events_where_the_service_does() -> None:
    for outbox in (True, False):
        container = Container(settings=Settings(registry="memory", outbox=outbox), postgres_mappings=MAPPINGS)
        use_memory(container)

        assert all(isinstance(backend, MemoryBackend) for backend in container.backends())
        assert {backend.has_outbox for backend in container.backends() if isinstance(backend, MemoryBackend)} == {
            outbox
        }
