"""The probe under the application's role: each wall that is torn down is noticed by trying, on tables without a row."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, login
from tests.adapters.sqlalchemy.test_provisioning import fill
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import example_tenant

OWN = "NULLIF(current_setting('app.current_tenant_id', true), '')"
GADGETS, WIDGETS = '"tenant_acme_crm".gadgets', "public.widgets"


def policy(table: str, using: str, check: str) -> str:
    return (
        f"DROP POLICY prismicx_tenant ON {table}; "
        f"CREATE POLICY prismicx_tenant ON {table} USING ({using}) WITH CHECK ({check})"
    )


async def told(backend: SqlAlchemyBackend) -> str:
    """Return what the steps find wrong with the tenant's place."""
    reasons = []
    for step in backend.steps():
        try:
            await step.verify(example_tenant(ACME))
        except ProvisioningError as error:
            reasons.append(error.reason)
    return "; ".join(reasons)


@pytest.mark.parametrize(
    ("torn_down", "reason"),
    [
        (policy(GADGETS, f"tenant_id = {OWN}", "true"), "gadgets takes a row of another tenant"),
        (policy(WIDGETS, f"tenant_id = {OWN}", "true"), "widgets takes a row of another tenant"),
        (policy(GADGETS, f"tenant_id = {OWN}", "false"), "gadgets refuses the tenant's own row"),
        (policy(GADGETS, "true", f"tenant_id = {OWN}"), "gadgets shows more by policy prismicx_tenant than it lets in"),
        (policy(GADGETS, "tenant_id = 'acme'", "tenant_id = 'acme'"), "gadgets takes a row of another tenant"),
        (f"CREATE POLICY more ON {GADGETS} FOR SELECT USING (true)", "gadgets shows more by policy more"),
        (f'CREATE POLICY more ON {GADGETS} FOR SELECT TO "{{app}}" USING (true)', "shows more by policy more"),
        (f"CREATE POLICY more ON {GADGETS} FOR INSERT WITH CHECK (true)", "gadgets takes a row of another tenant"),
        (f"ALTER TABLE {GADGETS} NO FORCE ROW LEVEL SECURITY", "is not behind row-level security"),
        (f'REVOKE INSERT ON {GADGETS} FROM "{{app}}"', "may not read and write"),
    ],
)
async def test_a_wall_that_is_torn_down_is_noticed(
    backend: SqlAlchemyBackend, database: PostgresDatabase, torn_down: str, reason: str
) -> None:
    assert await told(backend) == ""
    async with superuser(database) as connection:
        await connection.execute(torn_down.replace("{app}", login(database.dsn)[0]))

    assert reason in await told(backend)


@pytest.mark.parametrize(
    "harmless",
    [
        f"CREATE POLICY less ON {GADGETS} AS RESTRICTIVE USING (true)",
        f"CREATE POLICY more ON {GADGETS} TO pg_monitor USING (true)",
        f"CREATE POLICY more ON {GADGETS} FOR SELECT USING (tenant_id = {OWN})",
    ],
)
async def test_what_opens_nothing_is_let_be(
    backend: SqlAlchemyBackend, database: PostgresDatabase, harmless: str
) -> None:
    async with superuser(database) as connection:
        await connection.execute(harmless)

    assert await told(backend) == ""


async def test_rows_that_everybody_sees_are_noticed(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    await fill(backend, ACME)
    async with superuser(database) as connection:
        await connection.execute(policy(GADGETS, "true", "true"))

    assert "tenant_acme_crm.gadgets shows rows to a tenant that nobody is" in await told(backend)


async def test_nothing_is_left_behind(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    async with superuser(database) as connection:
        await connection.execute(
            "CREATE TABLE looser AS SELECT 1; DROP TABLE looser;"
            f"ALTER TABLE {GADGETS} ALTER id SET DEFAULT gen_random_uuid(), ALTER version SET DEFAULT 1,"
            "ALTER code SET DEFAULT '', ALTER name SET DEFAULT '', ALTER amount SET DEFAULT 0"
        )
    assert await told(backend) == ""

    async with superuser(database) as connection:
        assert await connection.fetchval(f"SELECT count(*) FROM {GADGETS}") == 0


async def test_a_partitioned_table_is_verified_by_its_policies(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    async with superuser(database) as connection:
        owner = await connection.fetchval(
            f"SELECT relowner::regrole::text FROM pg_class WHERE oid = '{GADGETS}'::regclass"
        )
        await connection.execute(
            f"ALTER TABLE {GADGETS} RENAME TO old; "
            f"CREATE TABLE {GADGETS} (LIKE tenant_acme_crm.old) PARTITION BY LIST (code); "
            f"ALTER TABLE {GADGETS} OWNER TO {owner}; DROP TABLE tenant_acme_crm.old"
        )
    for step in backend.steps():
        await step.ensure(example_tenant(ACME))
    assert await told(backend) == ""

    async with superuser(database) as connection:
        await connection.execute(policy(GADGETS, "true", f"tenant_id = {OWN}"))
    assert "shows more by policy prismicx_tenant" in await told(backend)


async def test_it_takes_few_messages_whatever_the_number_of_tables(backend: SqlAlchemyBackend) -> None:
    shared = backend.steps()[0]
    pool = backend._client.pool
    sent: list[str] = []
    acquire = pool.acquire

    def note(record: Any) -> None:
        sent.append(record.query)

    async def acquire_and_listen() -> Any:
        connection: Any = await acquire()
        connection.add_query_logger(note)  # again for the same connection, it changes nothing
        return connection

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool, "acquire", acquire_and_listen)
        await shared.verify(example_tenant(TenantId("initech")))

    assert 0 < len(sent) <= 12
