"""Owner marks on PostgreSQL: what has the right name and is not ours is left alone."""

from __future__ import annotations

import asyncpg
import pytest
from tests.adapters.sqlalchemy.conftest import ACME
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyBackend
from prismicx.adapters.sqlalchemy.marks import mark_of
from prismicx.adapters.sqlalchemy.provisioning import TenantDatabaseStep
from prismicx.domain.errors import DatabaseError, ForeignObjectError, LeaseLostError, ProvisioningError
from prismicx.domain.identifiers import TenantId, schema_role_name
from prismicx.domain.ports import ProvisioningStep
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import EXAMPLE_MAPPINGS, example_tenant, overtake

NEW = TenantId("initech")
SCHEMA, MARK = "tenant_initech_db", "prismicx: tenant initech"
_COMMENTS = """
SELECT obj_description(n.oid, 'pg_namespace'), shobj_description(n.nspowner, 'pg_authid')
FROM pg_namespace n WHERE n.nspname = $1"""


@pytest.fixture
def step(backend: SqlAlchemyBackend) -> ProvisioningStep:
    (found,) = (step for step in backend.steps() if isinstance(step, TenantDatabaseStep))
    return found


@pytest.fixture
def role(database: PostgresDatabase) -> str:
    return schema_role_name(database.name, SCHEMA)


async def comments(database: PostgresDatabase) -> tuple[str | None, str | None]:
    """Return the comments on the schema and on the role that owns it."""
    async with superuser(database) as connection:
        schema, role = await connection.fetchrow(_COMMENTS, SCHEMA)
    return schema, role


async def test_the_schema_and_its_role_are_marked(step: ProvisioningStep, database: PostgresDatabase) -> None:
    await step.ensure(example_tenant(NEW))

    assert await comments(database) == (MARK, MARK) == (mark_of(NEW), mark_of(NEW))


async def test_a_place_from_before_there_were_marks_is_adopted(
    step: ProvisioningStep, database: PostgresDatabase, role: str
) -> None:
    await step.ensure(example_tenant(NEW))
    async with superuser(database) as connection:
        await connection.execute(f'COMMENT ON ROLE "{role}" IS NULL; COMMENT ON SCHEMA "{SCHEMA}" IS NULL')

    await step.verify(example_tenant(NEW))
    await step.ensure(example_tenant(NEW))
    assert await comments(database) == (MARK, MARK)

    async with superuser(database) as connection:
        await connection.execute(f'COMMENT ON ROLE "{role}" IS NULL')
    assert await step.remove(example_tenant(NEW)) == {"postgresql:tenant_initech_db.gizmos": 0}


async def test_the_schemas_own_comment_is_not_believed(step: ProvisioningStep, database: PostgresDatabase) -> None:
    """A plugin's script runs as the role that owns the schema, and may rewrite it."""
    await step.ensure(example_tenant(NEW))
    async with superuser(database) as connection:
        await connection.execute(f"COMMENT ON SCHEMA \"{SCHEMA}\" IS '{mark_of(ACME)}'")

    await step.verify(example_tenant(NEW))
    await step.ensure(example_tenant(NEW))
    assert await comments(database) == (MARK, MARK)


async def test_the_role_of_a_schema_cannot_mark_itself(
    step: ProvisioningStep, database: PostgresDatabase, role: str
) -> None:
    await step.ensure(example_tenant(NEW))
    async with superuser(database) as connection:
        await connection.execute(f'SET ROLE "{role}"')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"COMMENT ON ROLE \"{role}\" IS '{mark_of(ACME)}'")


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ("CREATE SCHEMA {schema}", "it belongs to role"),
        ("CREATE ROLE {role}", "bears no mark"),
        ("CREATE ROLE {role}; CREATE SCHEMA {schema}", "it belongs to role"),
        ("CREATE ROLE {role}; COMMENT ON ROLE {role} IS 'prismicx: tenant acme'", "its comment reads"),
        (
            "CREATE ROLE {role}; CREATE SCHEMA {schema} AUTHORIZATION {role}; COMMENT ON ROLE {role} IS 'by hand'",
            "its comment reads",
        ),
    ],
)
async def test_what_is_foreign_is_said_and_left_alone(
    step: ProvisioningStep, database: PostgresDatabase, role: str, planted: str, reason: str
) -> None:
    statements = planted.format(schema=f'"{SCHEMA}"', role=f'"{role}"')
    async with superuser(database) as connection:
        await connection.execute(statements)
        before = await connection.fetch("SELECT * FROM pg_namespace ORDER BY oid")

        for refused in (step.ensure, step.remove):
            with pytest.raises(ForeignObjectError, match=reason):
                await refused(example_tenant(NEW))
        with pytest.raises(ProvisioningError, match=reason):
            await step.verify(example_tenant(NEW))

        assert await step.contents(example_tenant(NEW)) == {}
        assert await connection.fetch("SELECT * FROM pg_namespace ORDER BY oid") == before
        await connection.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}"; DROP ROLE IF EXISTS "{role}"')


async def test_a_role_that_is_left_of_the_same_tenant_is_used_again(
    step: ProvisioningStep, database: PostgresDatabase, role: str
) -> None:
    await step.ensure(example_tenant(NEW))
    async with superuser(database) as connection:
        await connection.execute(f'DROP SCHEMA "{SCHEMA}" CASCADE')

    await step.ensure(example_tenant(NEW))

    await step.verify(example_tenant(NEW))


async def test_a_worker_that_was_overtaken_neither_makes_nor_removes(step: ProvisioningStep) -> None:
    zombie, successor = example_tenant(NEW), example_tenant(NEW)
    overtake(successor)
    await step.ensure(successor)

    with pytest.raises(LeaseLostError):
        await step.ensure(zombie)
    with pytest.raises(LeaseLostError):
        await step.remove(zombie)

    await step.verify(successor)


async def test_one_tenants_rows_in_shared_tables_are_counted_and_deleted(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    shared, overtaken, successor = backend.steps()[0], example_tenant(ACME), example_tenant(ACME)
    overtake(successor)
    async with superuser(database) as connection:
        columns = (
            "tenant_id, id, version, code, name, amount, weight, in_stock, checksum, price, made_at, released_on, "
        )
        values = "gen_random_uuid(), 1, number::text, '', 0, 0, true, '', 0, now(), now(), gen_random_uuid(), "
        await connection.execute(
            f"INSERT INTO widgets ({columns} serial, color, grade, parts, labels, extras) "
            f"SELECT owner, {values} 'red', 'a', '[]', '{{}}', '{{}}' "
            "FROM unnest(ARRAY['acme', 'globex']) owner, generate_series(1, 3) number"
        )

    assert (await shared.contents(successor))["postgresql:public.widgets"] == 3
    assert (await shared.remove(successor))["postgresql:public.widgets"] == 3
    assert (await shared.remove(successor))["postgresql:public.widgets"] == 0
    for refused in (shared.ensure, shared.remove):
        with pytest.raises(LeaseLostError):
            await refused(overtaken)
    async with superuser(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM widgets") == 3


async def test_a_database_that_was_not_prepared_again_says_so(
    step: ProvisioningStep, database: PostgresDatabase
) -> None:
    async with superuser(database) as connection:
        await connection.execute("DROP TABLE prismicx.fences")

    with pytest.raises(DatabaseError, match="fences"):
        await step.ensure(example_tenant(NEW))


async def test_undelivered_events_go_with_their_tenant(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=2)
    admin = DatabaseClient.from_dsn(database.admin_dsn, min_pool_size=1, max_pool_size=2)
    backend = SqlAlchemyBackend(client, EXAMPLE_MAPPINGS, admin=admin, outbox=True)
    await backend.initialise_database()
    async with superuser(database) as connection:
        await connection.execute(
            "INSERT INTO prismicx.outbox (tenant_id, position, id, name, occurred_at, payload) "
            "SELECT owner, 1, gen_random_uuid(), 'Won', now(), '{}' FROM unnest(ARRAY['acme', 'globex']) owner"
        )

    async with backend:
        shared = backend.steps()[0]
        assert (await shared.contents(example_tenant(ACME)))["postgresql:prismicx.outbox"] == 1
        assert (await shared.remove(example_tenant(ACME)))["postgresql:prismicx.outbox"] == 1

    async with superuser(database) as connection:
        assert await connection.fetchval("SELECT string_agg(tenant_id, ' ') FROM prismicx.outbox") == "globex"
