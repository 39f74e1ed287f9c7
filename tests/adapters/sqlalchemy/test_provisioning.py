"""A tenant's place on PostgreSQL: made, checked, unmade."""

from __future__ import annotations

import asyncio

import pytest
from tests.adapters.sqlalchemy.conftest import ACME, GLOBEX, login
from tests.adapters.sqlalchemy.test_tenancy import superuser

from prismicx.adapters.sqlalchemy import SqlAlchemyBackend
from prismicx.domain.errors import ProvisioningError
from prismicx.domain.identifiers import TenantId, schema_role_name
from prismicx.testing.databases import PostgresDatabase
from prismicx.testing.examples import Gadget, Gadgets, Gizmo, Gizmos, Widget, Widgets, example_tenant

NEW = TenantId("initech")


async def fill(backend: SqlAlchemyBackend, tenant: TenantId) -> None:
    async with backend.unit_of_work(tenant) as uow:
        uow.repository(Widgets).add(Widget())
        uow.repository(Gadgets).add(Gadget())
        uow.repository(Gizmos).add(Gizmo())
        await uow.commit()


async def test_a_place_is_made_by_several_at_once(backend: SqlAlchemyBackend) -> None:
    tenant = example_tenant(NEW)
    await asyncio.gather(*(step.ensure(tenant) for step in backend.steps() for _ in range(3)))
    for step in backend.steps():
        await step.verify(tenant)

    await fill(backend, NEW)


async def test_each_schema_belongs_to_a_role_of_its_own(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    async with superuser(database) as connection:
        owner = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1"
        owners = [await connection.fetchval(owner, f"tenant_{tenant}_crm") for tenant in (ACME, GLOBEX)]

    assert owners == [schema_role_name(database.name, f"tenant_{tenant}_crm") for tenant in (ACME, GLOBEX)]


async def test_what_is_missing_is_said(backend: SqlAlchemyBackend, database: PostgresDatabase) -> None:
    _, schemas, database_step = backend.steps()
    with pytest.raises(ProvisioningError, match="there is no schema tenant_initech_crm"):
        await schemas.verify(example_tenant(NEW))

    async with superuser(database) as connection:
        await connection.execute('ALTER TABLE "tenant_acme_crm".gadgets DISABLE ROW LEVEL SECURITY')
        await connection.execute(f'REVOKE USAGE ON SCHEMA "tenant_acme_db" FROM "{login(database.dsn)[0]}"')
    with pytest.raises(ProvisioningError, match="gadgets is not behind row-level security"):
        await schemas.verify(example_tenant(ACME))
    with pytest.raises(ProvisioningError, match="tenant_acme_db is closed to"):
        await database_step.verify(example_tenant(ACME))

    await schemas.ensure(example_tenant(ACME))
    await database_step.ensure(example_tenant(ACME))
    await schemas.verify(example_tenant(ACME))
    await database_step.verify(example_tenant(ACME))


async def test_removing_a_tenant_leaves_the_others_alone(
    backend: SqlAlchemyBackend, database: PostgresDatabase
) -> None:
    await fill(backend, ACME)
    await fill(backend, GLOBEX)
    for step in reversed(backend.steps()):
        await step.remove(example_tenant(ACME))
        await step.remove(example_tenant(ACME))

    async with backend.unit_of_work(GLOBEX) as uow:
        assert await uow.repository(Widgets).count() == 1
        assert await uow.repository(Gadgets).count() == 1
        assert await uow.repository(Gizmos).count() == 1
    async with superuser(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.widgets WHERE tenant_id = 'acme'") == 0
        assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant_acme%'") == 0
        role = schema_role_name(database.name, "tenant_acme_crm")
        assert await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role) == 0


async def test_postgresql_15_does_all_of_it_too(backend15: SqlAlchemyBackend) -> None:
    tenant = example_tenant(ACME)
    await fill(backend15, ACME)
    for step in backend15.steps():
        await step.verify(tenant)
    for step in reversed(backend15.steps()):
        await step.remove(tenant)

    with pytest.raises(ProvisioningError):
        await backend15.steps()[1].verify(tenant)
