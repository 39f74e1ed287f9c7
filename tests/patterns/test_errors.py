"""Source document, "Error Handling": connections that fail, and tenants that are none."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit, urlunsplit

import pytest

from prismicx import (
    Cause,
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseUnavailableError,
    InvalidTenantIdError,
    Retry,
    TenantContextMissingError,
    TenantId,
    TenantNotActiveError,
    TenantNotFoundError,
    UnitOfWork,
)
from prismicx.adapters.sqlalchemy import DatabaseClient, SqlAlchemyUnitOfWork
from prismicx.container import Container
from prismicx.demo.domain import User, UserRepository
from prismicx.demo.service import ReferenceService
from prismicx.domain.causes import Response
from prismicx.testing.databases import PostgresDatabase

ACME = TenantId("tenant-ab12cd34")


# --- Connection errors. ---


async def test_a_lost_connection_is_no_connection_error_of_pythons(
    wired: Container, postgres: PostgresDatabase
) -> None:
    async with wired.postgres().unit_of_work(ACME) as uow:
        await cut_off(uow, postgres)

        with pytest.raises(ConnectionLostError) as lost:
            await uow.repository(UserRepository).count()

    assert not isinstance(lost.value.__cause__, ConnectionError)  # the document's `except` matches nothing


async def test_a_unit_that_lost_its_connection_is_run_again_as_a_whole(
    wired: Container, service: ReferenceService, postgres: PostgresDatabase
) -> None:
    tries = 0

    async def work(uow: UnitOfWork) -> int:
        nonlocal tries
        tries += 1
        users = uow.repository(UserRepository)
        users.add(User(email="ada@acme.test", name="Ada"))
        if tries == 1:
            await cut_off(uow, postgres)
        return await users.count()

    counted = await wired.postgres().run(ACME, work, retry=Retry(base=0.001, cap=0.001))

    assert (tries, counted) == (2, 1)


async def test_whatever_may_have_happened_is_never_run_again() -> None:
    assert CommitOutcomeUnknownError("gone").cause is Cause.COMMIT_UNANSWERED
    assert Cause.COMMIT_UNANSWERED.response is Response.ASK_RECORD


async def test_a_server_that_is_not_there_is_named_without_the_password(postgres: PostgresDatabase) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        parts = urlsplit(postgres.dsn)
        dsn = urlunsplit(parts._replace(netloc=f"{parts.username}:s3cret@{address}"))
        client = DatabaseClient.from_dsn(dsn, min_pool_size=1)

        with pytest.raises(DatabaseUnavailableError) as unreachable:
            await client.initialize()

    assert address in str(unreachable.value)
    assert "s3cret" not in str(unreachable.value)


async def cut_off(uow: UnitOfWork, postgres: PostgresDatabase) -> None:
    """Have the server end the connection of a unit of work, and wait until it has."""
    assert isinstance(uow, SqlAlchemyUnitOfWork)
    ((pid,),) = await uow.transaction.fetch("SELECT pg_backend_pid()", [])
    administrator = DatabaseClient.from_dsn(postgres.superuser_dsn)
    connection = await administrator.connect()
    try:
        assert await connection.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)
    finally:
        await connection.close()


# --- Tenant context errors. ---


async def test_what_is_no_tenant_id_is_refused_before_anything_is_asked(wired: Container) -> None:
    for backend in (wired.postgres(), wired.mongo()):
        with pytest.raises(TenantContextMissingError):
            backend.unit_of_work(None)  # type: ignore[arg-type]  # the mistake under test
        for hostile in ("acme", "", "acme' OR true --", {"$ne": None}):
            with pytest.raises(InvalidTenantIdError):
                backend.unit_of_work(hostile)  # type: ignore[arg-type]  # the mistake under test


async def test_an_unknown_or_suspended_tenant_is_told_apart_by_type(wired: Container) -> None:
    await wired.tenants().suspend(ACME)

    for backend in (wired.postgres(), wired.mongo()):
        with pytest.raises(TenantNotFoundError):
            await enter(backend.unit_of_work(TenantId("nobody")))
        with pytest.raises(TenantNotActiveError) as suspended:
            await enter(backend.unit_of_work(ACME))
        assert suspended.value.status == "suspended"


async def enter(uow: UnitOfWork) -> None:
    async with asyncio.timeout(30), uow:
        pytest.fail("it got in")
