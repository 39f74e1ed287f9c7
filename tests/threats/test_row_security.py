"""Row-level security: each mistake in it leaks, and the policies that prismicx makes have none of them."""

from __future__ import annotations

import asyncpg
import pytest
from tests.threats.attacking import attacked, leaks, refusal, unit
from tests.threats.conftest import backend_on
from tests.threats.service import ACME, GLOBEX, Bare, Contact, Contacts, Insight, Insights

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import PermissionDeniedError
from prismicx.testing.databases import APPLICATION_ROLE, PostgresDatabase

PLAIN = "tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')"
EVERYTHING = "SELECT tenant_id, name FROM bare.items"
OURS = "SELECT tenant_id, name FROM public.items"


async def test_an_owner_is_not_held_by_policies_that_are_not_forced(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.items(policy=PLAIN)
    await bare.make(
        f"ALTER TABLE bare.items OWNER TO {APPLICATION_ROLE}", "ALTER TABLE bare.items NO FORCE ROW LEVEL SECURITY"
    )
    assert leaks(await bare.as_application(EVERYTHING))

    assert await attacked(postgres, OURS) == [("acme", "acme's")]


@pytest.mark.parametrize("statement", ["DISABLE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"])
async def test_an_owner_takes_the_walls_down(postgres: SqlAlchemyBackend, bare: Bare, statement: str) -> None:
    await bare.items(policy=PLAIN)
    await bare.make(f"ALTER TABLE bare.items OWNER TO {APPLICATION_ROLE}")
    assert leaks(await bare.as_application(f"ALTER TABLE bare.items {statement}", EVERYTHING))

    assert await refusal(postgres, f"ALTER TABLE public.items {statement}") == "42501"
    assert await refusal(postgres, "DROP POLICY prismicx_tenant ON public.items") == "42501"
    assert await refusal(postgres, "CREATE POLICY open ON public.items USING (true)") == "42501"


async def test_a_policy_that_checks_no_new_rows_moves_them(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.items(policy=PLAIN, check="true")
    given = await bare.as_application(
        "UPDATE bare.items SET tenant_id = 'globex'",
        "SELECT set_config('app.current_tenant_id', 'globex', true)",
        EVERYTHING,
    )
    assert len(given) == 2

    assert await refusal(postgres, "UPDATE public.items SET tenant_id = 'globex'") == "42501"
    assert await refusal(postgres, "UPDATE public.items SET tenant_id = 'globex' WHERE amount = 1") == "42501"
    insert = "INSERT INTO public.items SELECT 'globex', gen_random_uuid(), 1, 'x', 1"
    assert await refusal(postgres, insert) == "42501"


OPEN_POLICIES = {
    "true": "true",
    "an OR": f"{PLAIN} OR name LIKE '%globex%'",
    "COALESCE": "tenant_id = COALESCE(current_setting('app.other', true), tenant_id)",
    "a pattern": "tenant_id LIKE current_setting('app.pattern', true)",
    "a switch for administrators": f"{PLAIN} OR current_setting('app.is_admin', true) = 'on'",
}
SETTINGS = "SELECT set_config('app.is_admin', 'on', true), set_config('app.pattern', '%', true)"


@pytest.mark.parametrize("policy", OPEN_POLICIES.values(), ids=OPEN_POLICIES)
async def test_a_policy_that_is_more_than_one_equality_is_open(
    postgres: SqlAlchemyBackend, bare: Bare, policy: str
) -> None:
    await bare.items(policy=policy)
    assert leaks(await bare.as_application(SETTINGS, EVERYTHING))

    assert await attacked(postgres, SETTINGS, OURS) == [("acme", "acme's")]


async def test_a_second_permissive_policy_opens_what_the_first_closes(
    postgres: SqlAlchemyBackend, bare: Bare, superuser: asyncpg.Connection
) -> None:
    await bare.items(policy=PLAIN)
    await bare.make("CREATE POLICY two ON bare.items USING (name <> '')")
    assert leaks(await bare.as_application(EVERYTHING))

    policies = "SELECT polname, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) "
    found = await superuser.fetch(f"{policies} FROM pg_policy WHERE polrelid = 'public.items'::regclass")
    assert [row["polname"] for row in found] == ["prismicx_tenant"]
    assert found[0][2] == found[0][3]


async def test_an_empty_context_is_no_tenant(
    postgres: SqlAlchemyBackend, bare: Bare, superuser: asyncpg.Connection, database: PostgresDatabase
) -> None:
    await bare.items(policy="tenant_id = current_setting('app.current_tenant_id', true)")
    await bare.make("INSERT INTO bare.items VALUES ('', 3, 'of nobody, hence of globex too')")
    assert leaks(await bare.as_application(EVERYTHING, tenant=""))

    connection = await asyncpg.connect(database.dsn)
    assert await connection.fetch(OURS) == []
    await connection.execute("SELECT set_config('app.current_tenant_id', '', false)")
    assert await connection.fetch(OURS) == []
    await connection.close()
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute("INSERT INTO tenant_acme_crm.contacts SELECT '', gen_random_uuid(), 1, 'x'")


async def test_a_default_context_does_not_reach_a_unit_of_work(
    postgres: SqlAlchemyBackend, bare: Bare, superuser: asyncpg.Connection, database: PostgresDatabase
) -> None:
    await bare.items(policy=PLAIN)
    own = f"ALTER ROLE {APPLICATION_ROLE} IN DATABASE {database.name}"
    await superuser.execute(f"{own} SET app.current_tenant_id = 'globex'")
    try:
        connection = await asyncpg.connect(database.dsn)
        assert leaks(await connection.fetch(EVERYTHING))
        await connection.close()

        async with backend_on(database) as fresh:
            assert await attacked(fresh, OURS) == [("acme", "acme's")]
    finally:
        await superuser.execute(f"{own} RESET app.current_tenant_id")


async def test_an_immutable_function_in_a_policy_stays_in_the_plan(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.make(
        "CREATE OR REPLACE FUNCTION bare.tenant() RETURNS text IMMUTABLE LANGUAGE sql "
        "AS $$ SELECT current_setting('app.current_tenant_id', true) $$"
    )
    await bare.items(policy="tenant_id = bare.tenant()")
    connection = bare.connection
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {APPLICATION_ROLE}; SET LOCAL plan_cache_mode = force_generic_plan")
        prepared = await connection.prepare(EVERYTHING)
        seen = []
        for name in ("globex", "acme"):
            await connection.execute("SELECT set_config('app.current_tenant_id', $1, true)", name)
            seen.append([row["tenant_id"] for row in await prepared.fetch()])
    assert seen == [["globex"], ["globex"]]

    generic = "SET LOCAL plan_cache_mode = force_generic_plan"
    for tenant in (GLOBEX, ACME, GLOBEX, ACME):
        assert await attacked(postgres, generic, OURS, tenant=tenant) == [(tenant.value, f"{tenant}'s")]


WAYS_AROUND = {
    "a view of the superuser's": "CREATE VIEW bare.way AS SELECT * FROM bare.items",
    "a materialized view": "CREATE MATERIALIZED VIEW bare.way AS SELECT * FROM bare.items",
    "a copy": "CREATE TABLE bare.way AS SELECT * FROM bare.items",
    "a SECURITY DEFINER function": (
        "CREATE FUNCTION bare.all() RETURNS SETOF bare.items LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT * FROM bare.items';"
        "CREATE VIEW bare.way WITH (security_invoker) AS SELECT * FROM bare.all()"
    ),
}


@pytest.mark.parametrize("way", WAYS_AROUND.values(), ids=WAYS_AROUND)
async def test_what_stands_beside_a_table_passes_by_its_policy(bare: Bare, way: str) -> None:
    await bare.items(policy=PLAIN)
    await bare.make(way, f"GRANT SELECT ON bare.way TO {APPLICATION_ROLE}")
    try:
        assert leaks(await bare.as_application("SELECT * FROM bare.way"))
    finally:
        kind = "MATERIALIZED VIEW" if "MATER" in way else "TABLE" if "TABLE" in way else "VIEW"
        await bare.make(f"DROP {kind} bare.way", "DROP FUNCTION IF EXISTS bare.all()")


async def test_a_leakproof_function_is_shown_the_rows_that_the_policy_hides(bare: Bare) -> None:
    await bare.items(policy=PLAIN)
    await bare.make(
        "CREATE OR REPLACE FUNCTION bare.peek(text) RETURNS boolean LEAKPROOF COST 0.0001 LANGUAGE plpgsql "
        "AS $$ BEGIN IF $1 LIKE 'globex%' THEN RAISE EXCEPTION 'seen: %', $1; END IF; RETURN true; END $$"
    )

    with pytest.raises(asyncpg.RaiseError, match="seen: globex's"):
        await bare.as_application(f"{EVERYTHING} WHERE bare.peek(name)")


async def test_nothing_that_prismicx_makes_is_a_way_around(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    """Whatever the application's role can read is read, in a unit of one tenant."""
    async with unit(postgres, GLOBEX) as uow:
        uow.repository(Contacts).add(Contact(email="globex@globex.test"))
        uow.repository(Insights).add(Insight(user="globex"))
        await uow.commit()
    readable = await attacked(
        postgres,
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema|bare)' "
        "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')",
    )
    functions = await attacked(
        postgres,
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE (p.prosecdef OR p.proleakproof) AND n.nspname !~ '^(pg_|information_schema|bare)'",
    )

    assert {name for (name,) in readable} >= {"public.items", "public.notes", "tenant_globex_crm.contacts"}
    for (name,) in readable:
        assert not leaks(await attacked(postgres, f"SELECT * FROM {name}")), name
    assert [name for (name,) in functions if not name.startswith("prismicx.")] == []


async def test_a_partition_is_open_beside_its_parents_policy(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.make(
        "CREATE TABLE bare.parted (tenant_id text, name text) PARTITION BY LIST (tenant_id)",
        "CREATE TABLE bare.parted_globex PARTITION OF bare.parted FOR VALUES IN ('globex')",
        "INSERT INTO bare.parted VALUES ('globex', 'globex''s')",
        "ALTER TABLE bare.parted ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY one ON bare.parted USING ({PLAIN})",
        f"GRANT SELECT ON bare.parted, bare.parted_globex TO {APPLICATION_ROLE}",
    )
    assert not leaks(await bare.as_application("SELECT * FROM bare.parted"))
    assert leaks(await bare.as_application("SELECT * FROM bare.parted_globex"))

    children = "SELECT inhrelid FROM pg_inherits JOIN pg_class ON inhparent = pg_class.oid WHERE relname <> 'parted'"
    assert await attacked(postgres, children) == []


async def test_truncate_asks_no_policy(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.items(policy=PLAIN)
    count = "SELECT count(*) FROM bare.items"
    assert await bare.as_application("TRUNCATE bare.items", "RESET ROLE", count) == [(0,)]

    assert await refusal(postgres, "TRUNCATE public.items") == "42501"


async def test_copy_obeys_the_policy(postgres: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    connection = await asyncpg.connect(database.dsn)
    written = bytearray()

    async def keep(data: bytes) -> None:
        written.extend(data)

    async with connection.transaction():
        await connection.execute("SELECT prismicx.set_tenant('acme')")
        await connection.copy_from_table("items", schema_name="public", output=keep)
        with pytest.raises(asyncpg.FeatureNotSupportedError):
            await connection.copy_records_to_table("items", schema_name="public", records=[])
    await connection.close()

    assert b"acme" in written
    assert b"globex" not in written


@pytest.mark.parametrize("condition", ["1 / (amount - 7) < 9", "(name || amount)::int > 0 OR amount = 7"])
async def test_an_error_tells_nothing_of_hidden_rows(postgres: SqlAlchemyBackend, bare: Bare, condition: str) -> None:
    await bare.items(more=", amount int")
    await bare.make("UPDATE bare.items SET amount = 7 WHERE tenant_id = 'globex'")
    with pytest.raises(asyncpg.DataError):
        await bare.as_application(f"{EVERYTHING} WHERE tenant_id <> 'acme' AND ({condition})")

    assert await attacked(postgres, f"{OURS} WHERE tenant_id <> 'acme' AND ({condition})") == []


async def test_row_security_off_is_an_error_and_no_rows(postgres: SqlAlchemyBackend) -> None:
    assert await refusal(postgres, "SET LOCAL row_security = off", OURS) == "42501"


async def test_a_shared_login_reads_every_schema(postgres: SqlAlchemyBackend, bare: Bare) -> None:
    await bare.make(
        f"CREATE SCHEMA bare_globex; GRANT USAGE ON SCHEMA bare_globex TO {APPLICATION_ROLE}",
        f"CREATE TABLE bare_globex.contacts AS SELECT 'ada@globex' AS email;"
        f"GRANT SELECT ON bare_globex.contacts TO {APPLICATION_ROLE}",
    )
    assert leaks(await bare.as_application("SET LOCAL search_path = bare_acme", "SELECT * FROM bare_globex.contacts"))

    async with unit(postgres, GLOBEX) as uow:
        uow.repository(Contacts).add(Contact(email="grace@globex.test"))
        await uow.commit()
    assert await attacked(postgres, 'SELECT * FROM "tenant_globex_crm".contacts') == []
    assert await attacked(postgres, 'SET LOCAL search_path = "tenant_globex_crm"', "SELECT email FROM contacts") == []
    in_other = "INSERT INTO \"tenant_globex_crm\".contacts SELECT 'globex', gen_random_uuid(), 1, 'x@globex'"
    assert await refusal(postgres, in_other) == "42501"


async def test_sampled_values_are_hidden_and_the_names_of_schemas_are_not(
    postgres: SqlAlchemyBackend, superuser: asyncpg.Connection
) -> None:
    """A tenant's id shows in the name of its schema: docs/threats.md says so."""
    await superuser.execute("ANALYZE public.items")
    assert leaks(await superuser.fetch("SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'items'"))

    assert await attacked(postgres, "SELECT attname FROM pg_stats WHERE tablename = 'items'") == []
    assert await refusal(postgres, "SELECT starelid FROM pg_statistic") == "42501"
    assert leaks(await attacked(postgres, "SELECT nspname FROM pg_namespace"))


async def test_the_registry_is_out_of_reach(postgres: SqlAlchemyBackend) -> None:
    async with unit(postgres) as uow:
        with pytest.raises(PermissionDeniedError):
            await uow.transaction.fetch("SELECT * FROM prismicx.tenants", [])
