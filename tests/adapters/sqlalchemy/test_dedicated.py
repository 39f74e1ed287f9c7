"""Tenants with a PostgreSQL database of their own: made, used, unmade and refused there, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from tests.contract.dedicated import (
    ACME,
    GLOBEX,
    INITECH,
    Platform,
    postgres_platform,
    postgres_secrets,
    prepared,
    tenants_in_postgres,
    value,
)

from prismicx.adapters.sqlalchemy import (
    DatabaseClient,
    SqlAlchemyBackend,
    SqlAlchemyUnitOfWork,
    TenantProof,
    raw_sql,
)
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseError,
    MappingError,
    ProvisioningError,
    SecretNotFoundError,
    TenantNotActiveError,
    TenantProofMismatchError,
    UnsafeRoleError,
)
from prismicx.domain.findings import AuditScope
from prismicx.domain.identifiers import PluginType, Version
from prismicx.domain.plugins import SchemaMigration
from prismicx.domain.tenancy import DatabaseConfig, TenantStatus
from prismicx.testing.databases import PostgresDatabase, PostgresDatabases
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets

OnPostgres = Platform[SqlAlchemyBackend]

CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename = 'prismicx_test_app'"


@pytest.fixture
async def shared(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    return await prepared(prismicx_postgres_database)


@pytest.fixture
async def own(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    """An empty database: an owner's login, and nothing else."""
    return await prismicx_postgres_database()


@pytest.fixture
async def platform(shared: PostgresDatabase, own: PostgresDatabase) -> AsyncIterator[OnPostgres]:
    async with postgres_platform(shared, {"acme": own}) as platform:
        yield platform


async def test_creating_a_dedicated_tenant_prepares_its_database(platform: OnPostgres, own: PostgresDatabase) -> None:
    created = await platform.create(ACME, connection="acme")
    await platform.store(ACME)

    assert (created.status, created.database_config.type) == (TenantStatus.ACTIVE, "dedicated")
    assert await platform.names(ACME) == ["acme", "acme", "acme"]
    assert await tenants_in_postgres(own) == {"acme": 3}


async def test_its_session_and_its_raw_sql_are_there_too(platform: OnPostgres, own: PostgresDatabase) -> None:
    await platform.create(ACME, connection="acme")

    async with platform.backend.unit_of_work(ACME) as unit:
        assert isinstance(unit, SqlAlchemyUnitOfWork)
        found = await unit.session.scalar(raw_sql("SELECT current_database()"))

    assert found == own.name


async def test_it_may_be_on_a_server_of_another_version(
    shared: PostgresDatabase, prismicx_postgres15_database: PostgresDatabases
) -> None:
    own = await prismicx_postgres15_database()
    async with postgres_platform(shared, {"acme": own}) as platform:
        await platform.create(ACME, connection="acme")
        await platform.create(GLOBEX)
        await platform.store(ACME)
        await platform.store(GLOBEX)

        assert (await tenants_in_postgres(own), await tenants_in_postgres(shared)) == ({"acme": 3}, {"globex": 3})


async def test_a_unit_takes_no_connection_of_the_shared_pool(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    pool = platform.backend._client.pool

    async with platform.backend.unit_of_work(ACME) as unit:
        await unit.repository(Widgets).count()
        assert pool.idle == pool.size


async def test_a_read_scope_asks_its_own_database_alone(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)

    async with platform.backend.read(ACME) as scope:
        assert await scope.repository(Widgets).count() == 1
        assert await scope.repository(Widgets).count() == 1

    assert not platform.backend._client.plans._known


async def test_units_ask_for_the_applications_login_once_and_for_no_other(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    platform.secrets.asked.clear()
    for _ in range(3):
        await platform.store(ACME)

    assert platform.secrets.asked == [("acme", "postgres_dsn")]


async def test_many_first_units_open_one_pool(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    platform.secrets.asked.clear()
    await asyncio.gather(*(platform.store(ACME) for _ in range(12)))

    assert platform.secrets.asked == [("acme", "postgres_dsn")]
    assert await platform.names(ACME) == ["acme"] * 36


async def test_a_suspended_tenant_opens_nothing(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    await platform.tenants.suspend(ACME)

    with pytest.raises(TenantNotActiveError):
        await platform.store(ACME)

    assert platform.backend._dedicated.connections == ()


async def test_a_tenant_that_was_moved_is_looked_for_where_it_is_now(
    platform: OnPostgres, shared: PostgresDatabase
) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)

    await platform.move(ACME, DatabaseConfig.of(ACME, connection="nowhere", dedicated=True))
    with pytest.raises(SecretNotFoundError, match="connection nowhere has no postgres_dsn"):
        await platform.store(ACME)
    await platform.move(ACME, DatabaseConfig.of(ACME, connection="acme", dedicated=True))
    assert await platform.names(ACME) == ["acme"] * 3
    assert await tenants_in_postgres(shared) == {}


async def test_a_tenant_without_an_address_is_not_made_until_it_has_one(
    platform: OnPostgres, own: PostgresDatabase
) -> None:
    with pytest.raises(ProvisioningError, match="connection initech has no postgres_dsn"):
        await platform.create(INITECH, connection="initech")

    assert (await platform.tenants.get(INITECH)).status is TenantStatus.PROVISIONING
    platform.secrets.add("initech", postgres_secrets(own))
    assert (await platform.tenants.retry(INITECH)).status is TenantStatus.ACTIVE


async def test_two_tenants_behind_one_connection_share_its_pool_and_see_nothing_of_each_other(
    platform: OnPostgres, own: PostgresDatabase
) -> None:
    for tenant in (ACME, INITECH):
        await platform.create(tenant, connection="acme")
        await platform.store(tenant)

    assert platform.backend._dedicated.connections == ("acme",)
    assert [await platform.names(tenant) for tenant in (ACME, INITECH)] == [["acme"] * 3, ["initech"] * 3]
    assert await tenants_in_postgres(own) == {"acme": 3, "initech": 3}


async def test_a_connection_may_leave_its_tenants_among_the_others(
    platform: OnPostgres, shared: PostgresDatabase
) -> None:
    platform.secrets.add("acme", {"postgres_dsn": "shared"})
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)
    await platform.store(ACME)

    assert await tenants_in_postgres(shared) == {"acme": 6}
    assert await platform.backend.database_of("acme") is None


async def test_more_pools_than_the_limit_are_open_only_while_they_are_in_use(
    shared: PostgresDatabase, prismicx_postgres_database: PostgresDatabases
) -> None:
    places = {name: await prismicx_postgres_database() for name in ("acme", "initech")}
    async with postgres_platform(shared, places, max_dedicated=1) as platform:
        for tenant in (ACME, INITECH):
            await platform.create(tenant, connection=tenant.value)
        async with platform.backend.unit_of_work(ACME) as unit:
            unit.repository(Widgets).add(Widget(name="kept open"))
            await platform.store(INITECH)
            await unit.commit()
        await platform.store(INITECH)

        assert platform.backend._dedicated.connections == ("initech",)
        assert await tenants_in_postgres(places["acme"]) == {"acme": 1}
        for _ in range(200):
            if not await value(shared.superuser_dsn, CONNECTIONS, places["acme"].name):
                break
        assert not await value(shared.superuser_dsn, CONNECTIONS, places["acme"].name)


async def test_closing_the_backend_closes_them_all(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)
    await platform.backend.close()

    assert platform.backend._dedicated.connections == ()
    with pytest.raises(BackendNotStartedError):
        await platform.backend._dedicated.lease("acme")


# --- What a database must be, to be opened. ---


async def test_an_unprepared_database_is_refused_until_it_is_prepared(
    platform: OnPostgres, own: PostgresDatabase
) -> None:
    await platform.create(GLOBEX)
    await platform.move(GLOBEX, DatabaseConfig.of(GLOBEX, connection="acme", dedicated=True))

    with pytest.raises(DatabaseError, match="prismicx db init"):
        await platform.store(GLOBEX)
    database = await platform.backend.database_of("acme")
    assert database is not None
    await database.initialise()

    async with platform.backend.unit_of_work(GLOBEX) as unit:
        assert await unit.repository(Widgets).count() == 0


async def test_a_login_that_could_pass_by_the_walls_is_refused(platform: OnPostgres, own: PostgresDatabase) -> None:
    await platform.create(ACME, connection="acme")
    platform.secrets.add("acme", {"postgres_dsn": own.admin_dsn})

    with pytest.raises(UnsafeRoleError):
        await platform.store(ACME)

    assert platform.backend._dedicated.connections == ()
    platform.secrets.add("acme", postgres_secrets(own))
    await platform.store(ACME)


async def test_a_database_that_lacks_a_shared_table_is_refused(platform: OnPostgres, own: PostgresDatabase) -> None:
    await platform.create(ACME, connection="acme")
    await value(own.admin_dsn, "DROP TABLE widgets")

    with pytest.raises(MappingError, match="there is no table"):
        await platform.store(ACME)

    await platform.create(INITECH, connection="acme")
    await platform.store(INITECH)


async def test_the_proof_of_tenant_holds_there_too(shared: PostgresDatabase, own: PostgresDatabase) -> None:
    proof = TenantProof.parse(SecretStr("k" * 40))
    async with postgres_platform(shared, {"acme": own}) as plain:
        await plain.create(ACME, connection="acme")
        client, admin = (DatabaseClient.from_dsn(dsn, min_pool_size=1) for dsn in (shared.dsn, shared.admin_dsn))
    await SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, tenant_proof=proof).initialise_database()

    async with postgres_platform(shared, {"acme": own}, tenant_proof=proof) as proven:
        with pytest.raises(TenantProofMismatchError):
            await proven.store(ACME)
        database = await proven.backend.database_of("acme")
        assert database is not None
        await database.initialise()
        await proven.store(ACME)

    assert await value(own.superuser_dsn, "SELECT count(*) FROM prismicx.tenant_keys") == 1


# --- Beside units of work. ---


async def test_plugin_migrations_run_there(platform: OnPostgres, own: PostgresDatabase) -> None:
    tenant = await platform.create(ACME, connection="acme")
    script = "CREATE TABLE ${schema}.leads (id int PRIMARY KEY)"
    migration = SchemaMigration(version_to=Version("1.0.0"), script=script)
    schemas = await platform.backend.plugin_schemas.at(tenant.database_config)
    await schemas.migrate(ACME, PluginType("crm"), "leads", [migration], fence=1)

    assert [str(entry.version) for entry in await schemas.ledger(ACME, PluginType("crm"), "leads")] == ["1.0.0"]
    assert await value(own.superuser_dsn, "SELECT to_regclass('tenant_acme_crm.leads') IS NOT NULL")


async def test_deletion_counts_and_removes_what_is_there(platform: OnPostgres, own: PostgresDatabase) -> None:
    await platform.create(ACME, connection="acme")
    await platform.store(ACME)
    await platform.tenants.suspend(ACME)
    deleted = await platform.tenants.delete(ACME)

    assert deleted.status is TenantStatus.DELETED
    assert await tenants_in_postgres(own) == {}
    assert not await value(own.superuser_dsn, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant%'")


async def test_a_tenant_whose_database_was_never_prepared_can_be_unmade(
    platform: OnPostgres, own: PostgresDatabase
) -> None:
    tenant = await platform.create(GLOBEX)
    tenant.database_config = DatabaseConfig.of(GLOBEX, connection="acme", dedicated=True)

    for step in reversed(platform.backend.steps()):
        await step.contents(tenant)
        await step.remove(tenant)

    assert await tenants_in_postgres(own) == {}


async def test_the_audit_finds_nothing_on_what_was_prepared(platform: OnPostgres) -> None:
    await platform.create(ACME, connection="acme")
    database = await platform.backend.database_of("acme")
    assert database is not None
    places = await platform.backend.registered_places()

    assert (await database.audit(AuditScope(places=places))).findings == ()


async def test_no_log_shows_an_address(platform: OnPostgres, own: PostgresDatabase) -> None:
    with capture_logs() as logs:
        await platform.create(ACME, connection="acme")
        await platform.store(ACME)
        await platform.backend.close()

    events = [log["event"] for log in logs]
    assert {"dedicated.opened", "dedicated.closed"} <= set(events)
    assert own.dsn.partition("@")[0].rpartition(":")[2] not in str(logs)
