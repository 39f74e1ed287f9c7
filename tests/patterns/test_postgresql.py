"""Source document, "Accessing PostgreSQL Data": what its statements really do, and what ours do."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import select, text

from prismicx import (
    BackendNotStartedError,
    DatabaseError,
    InvalidTenantIdError,
    TenantContextMissingError,
    TenantId,
)
from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.container import Container
from prismicx.demo.domain import Customer
from prismicx.demo.mappings import CRM
from prismicx.demo.relational import UserRow
from prismicx.demo.service import ReferenceService
from prismicx.domain.identifiers import plugin_schema_name
from prismicx.testing.databases import PostgresDatabase

ACME, GLOBEX = TenantId("tenant-ab12cd34"), TenantId("tenant-ef56ab78")
CURRENT_TENANT = "SELECT current_setting('app.current_tenant_id', true)"


# --- Connection management. ---


async def test_the_client_takes_the_documents_arguments_and_is_opened_and_closed(postgres: PostgresDatabase) -> None:
    address = urlsplit(postgres.dsn)
    client = DatabaseClient(
        host=address.hostname or "",
        port=address.port or 0,
        user=address.username or "",
        password=address.password,
        database=postgres.name,
        min_pool_size=1,
        max_pool_size=2,
    )
    await client.initialize()
    async with client.connection() as connection:
        assert await connection.fetchval("SELECT current_database()") == postgres.name
    await client.close()

    with pytest.raises(BackendNotStartedError):
        _ = client.pool


# --- Setting the tenant context. ---


async def test_the_documents_set_statement_is_a_syntax_error(postgres: PostgresDatabase) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.execute("SET app.current_tenant_id = $1", ACME.value)
    finally:
        await connection.close()


async def test_the_documents_setting_stays_on_the_connection(postgres: PostgresDatabase) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"SET app.current_tenant_id = '{ACME}'")

        assert await connection.fetchval(CURRENT_TENANT) == ACME.value
    finally:
        await connection.close()


async def test_a_session_knows_its_tenant_and_the_next_user_of_the_connection_does_not(
    wired: Container, postgres: PostgresDatabase
) -> None:
    client = DatabaseClient.from_dsn(postgres.dsn, min_pool_size=1, max_pool_size=1)
    await client.initialize()

    async with client.session(ACME) as session:
        backend = await session.scalar(text("SELECT pg_backend_pid()"))
        assert await session.scalar(text(CURRENT_TENANT)) == ACME.value
        await session.commit()

    async with client.connection() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") == backend
        assert await connection.fetchval(CURRENT_TENANT) in (None, "")
    await client.close()


async def test_a_connection_without_a_tenant_reads_and_writes_nothing(
    service: ReferenceService, database: DatabaseClient
) -> None:
    await service.register_user(ACME, email="ada@acme.test", name="Ada")

    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM public.users") == 0
        await connection.execute("SELECT set_config('app.current_tenant_id', '', false)")
        assert await connection.fetchval("SELECT count(*) FROM public.users") == 0


# --- Using the ORM. ---


async def test_a_user_is_read_by_id_with_the_orm_and_by_its_own_tenant_only(
    service: ReferenceService, database: DatabaseClient
) -> None:
    user_id = await service.register_user(ACME, email="ada@acme.test", name="Ada")
    query = select(UserRow).where(UserRow.id == user_id)  # the document's query: it names no tenant

    async with database.session(ACME) as session:
        found = (await session.execute(query)).scalars().first()
        assert found is not None
        assert found.name == "Ada"
    async with database.session(GLOBEX) as session:
        assert (await session.execute(query)).scalars().first() is None


async def test_an_orm_write_is_kept_by_commit_and_by_nothing_else(
    service: ReferenceService, database: DatabaseClient
) -> None:
    user_id = await service.register_user(ACME, email="ada@acme.test", name="Ada")

    for name, commits in (("Grace", False), ("Barbara", True)):
        async with database.session(ACME) as session:
            found = await session.get_one(UserRow, (ACME.value, user_id))
            found.name = name
            await session.flush()
            if commits:
                await session.commit()

    assert (await service.user_by_id(ACME, user_id)).name == "Barbara"


# --- Tenants' own schemas. ---


async def test_the_documents_unquoted_schema_name_is_a_syntax_error(database: DatabaseClient) -> None:
    with pytest.raises(DatabaseError, match="42601"):
        async with database.connection() as connection:
            await connection.fetch(f"SELECT * FROM tenant_{ACME}_crm.customers")


async def test_a_customer_is_read_from_the_schema_of_its_tenant(
    service: ReferenceService, database: DatabaseClient
) -> None:
    customer = Customer(email="ada@acme.test", name="Ada")
    await service.add_customers(ACME, [customer])

    assert await service.crm_customer(ACME, customer.id) == customer
    assert await service.crm_customer(GLOBEX, customer.id) is None
    async with database.session(ACME) as session:
        stored = await session.execute(text('SELECT id FROM "tenant_tenant-ab12cd34_crm".customers'))
        assert stored.scalars().all() == [customer.id]
    async with database.session(GLOBEX) as session:
        hidden = await session.execute(text('SELECT id FROM "tenant_tenant-ab12cd34_crm".customers'))
        assert hidden.scalars().all() == []


def test_schema_names_are_the_documents_and_come_from_checked_ids_only() -> None:
    assert plugin_schema_name(ACME, CRM) == "tenant_tenant-ab12cd34_crm"
    for hostile in ('acme"; DROP SCHEMA public CASCADE; --', "acme.crm", "Acme", "acme\x00", ""):
        with pytest.raises(InvalidTenantIdError):
            TenantId(hostile)


async def test_without_a_tenant_nothing_is_asked(service: ReferenceService) -> None:
    with pytest.raises(TenantContextMissingError):
        await service.user_by_id(None, uuid4())  # type: ignore[arg-type]  # the mistake under test
