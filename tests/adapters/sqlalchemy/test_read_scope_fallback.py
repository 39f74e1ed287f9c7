"""What a read scope asks in three trips: whatever is not proven to set its tenant first."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, make_places
from tests.adapters.sqlalchemy.test_read_scope import OFTEN, require_no_tenant, run_as, settle, verdicts

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend, SqlAlchemyRepository, TenantProof
from prismicx.adapters.sqlalchemy.one_trip import fenced
from prismicx.adapters.sqlalchemy.pooler import Pooler
from prismicx.domain.errors import DatabaseError, UnsupportedOperationError
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget, Widgets


async def test_a_table_in_partitions_is_read_in_three_trips(
    lonely: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await run_as(
        database.admin_dsn,
        "ALTER TABLE public.widgets RENAME TO unpartitioned",
        "CREATE TABLE public.widgets (LIKE public.unpartitioned INCLUDING DEFAULTS) PARTITION BY HASH (tenant_id)",
        *(
            f"CREATE TABLE public.widgets_{part} PARTITION OF public.widgets "
            f"FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
            for part in range(2)
        ),
        "ALTER TABLE public.widgets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY prismicx_tenant ON public.widgets "
        "USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), ''))",
        f"GRANT SELECT, INSERT ON public.widgets TO {lonely._client.user}",
    )
    widgets = await settle(lonely)

    for tenant, widget in list(widgets.items()) * OFTEN:
        async with lonely.read(tenant) as scope:
            assert (await scope.repository(Widgets).get(widget.id)).name == tenant.value

    assert verdicts(lonely) == [False]


async def test_a_plan_that_drops_partitions_before_the_tenant_is_set_is_not_taken(
    lonely: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await run_as(
        database.admin_dsn,
        'CREATE TABLE public.parts (tenant_id text COLLATE "C", id int) PARTITION BY HASH (tenant_id)',
        "CREATE TABLE public.parts_0 PARTITION OF public.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO public.parts VALUES ('acme', 1)",
        "ALTER TABLE public.parts ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY prismicx_tenant ON public.parts "
        "USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), ''))",
        f"GRANT SELECT ON public.parts TO {lonely._client.user}",
    )
    query = "SELECT id FROM public.parts WHERE id = $1::int"

    async with lonely._client.connection() as connection:
        found = await connection.fetch(fenced(query, parameters=1), 1, ACME.value)
        verdict = await lonely._client.plans.look(connection, query, [1, ACME.value])

    assert found == []  # the tenant's own row is missing, so the look at the plan must not let it pass
    assert verdict.one_trip is None


async def test_on_citus_every_query_is_three_trips(lonely: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    await settle(lonely)
    await run_as(
        database.superuser_dsn,
        "SET allow_system_table_mods = on; INSERT INTO pg_catalog.pg_extension "
        "SELECT 1, 'citus', 10, 11, true, '14.0', NULL, NULL",
    )

    async with lonely.read(ACME) as scope:
        assert await scope.repository(Widgets).count() == 1

    assert verdicts(lonely) == [False]


@pytest.mark.parametrize(
    ("pooler", "proof"), [("none", TenantProof("k" * 32)), ("transaction", None)], ids=["proof", "pooler"]
)
async def test_with_a_proof_of_tenant_or_behind_a_pooler_a_query_has_a_transaction(
    database: PostgresDatabase, pooler: Pooler, proof: TenantProof | None
) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1, pooler=pooler)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=1)
    backend = SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, tenant_proof=proof)
    await backend.initialise_database()
    async with backend:
        await make_places(backend)
        widgets = await settle(backend)
        for tenant in (ACME, GLOBEX) * 2:
            async with backend.read(tenant) as scope:
                assert [found.id for found in await scope.repository(Widgets).list()] == [widgets[tenant].id]

    assert verdicts(backend) == []


class SqlWidgets(Widgets, SqlAlchemyRepository[Widget]):
    """The widgets with SQL of the team's own."""

    async def heaviest(self) -> list[Widget]:
        """Return the heaviest."""
        return await self.entities(select(self.table).order_by(self.table.c.weight.desc()).limit(1))

    async def broken(self) -> list[Widget]:
        """Divide by zero."""
        return await self.entities(select(self.table).where(self.table.c.amount / 0 == 1))


async def test_the_teams_own_sql_has_a_transaction(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1)
    async with SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, repositories={Widgets: SqlWidgets}) as backend:
        async with backend.unit_of_work(ACME) as uow:
            heavy = Widget(weight=2.0)
            uow.repository(Widgets).add_many([heavy, Widget(weight=1.0)])
            await uow.commit()

        async with backend.read(ACME) as scope:
            widgets = scope.repository(SqlWidgets)
            assert [found.id for found in await widgets.heaviest()] == [heavy.id]
            assert await widgets.count() == 2
            with pytest.raises(UnsupportedOperationError):
                _ = widgets.session
            with pytest.raises(DatabaseError):
                await widgets.broken()
        await require_no_tenant(backend)
        async with backend.read(GLOBEX) as scope:
            assert await scope.repository(SqlWidgets).heaviest() == []


async def test_a_stream_gives_its_connection_back(lonely: SqlAlchemyBackend) -> None:
    await settle(lonely)
    async with lonely.read(ACME) as scope:
        assert [found.name async for found in scope.repository(Widgets).stream()] == ["acme"]
        assert lonely._client.pool.idle == 1
        left_open = aiter(scope.repository(Widgets).stream())
        await anext(left_open)
        assert lonely._client.pool.idle == 0

    await require_no_tenant(lonely)
