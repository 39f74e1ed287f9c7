"""The client: its address, its errors, and the password that is in neither."""

from __future__ import annotations

import re
import traceback

import pytest
from tests.adapters.sqlalchemy.conftest import login

from prismicx.adapters.sqlalchemy import DatabaseClient
from prismicx.domain.errors import (
    BackendNotStartedError,
    DatabaseError,
    DatabaseUnavailableError,
    InvalidNameError,
    InvalidTenantIdError,
    TenantContextMissingError,
)
from prismicx.testing.databases import PostgresDatabase

SECRET = "s3cret-wörd"


def test_an_address_is_read_in_its_parts() -> None:
    client = DatabaseClient.from_dsn(
        "postgresql+asyncpg://ada%40acme:s%3Acret@db.test:6543/shop?sslmode=require&application_name=orders"
    )

    assert (client.host, client.port, client.user, client.database) == ("db.test", 6543, "ada@acme", "shop")
    assert client.address == "db.test:6543/shop"
    assert client.has_password


def test_a_socket_is_named_by_its_folder() -> None:
    client = DatabaseClient.from_dsn("postgres://ada@/?host=/var/run&port=5433")

    assert (client.host, client.port, client.database) == ("/var/run", 5433, "ada")
    assert not client.has_password


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://ada:{SECRET}@db/shop",
        f"postgresql://ada:{SECRET}@db:port/shop",
        f"postgresql://ada:{SECRET}@db/shop?target_session_attrs=any",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        DatabaseClient.from_dsn(address)

    assert SECRET not in str(caught.value)


def test_a_pool_has_at_least_one_connection() -> None:
    with pytest.raises(ValueError, match="a pool of 3 to 2"):
        DatabaseClient(min_pool_size=3, max_pool_size=2)


def test_the_password_is_not_shown() -> None:
    assert SECRET not in repr(DatabaseClient(password=SECRET))


async def test_an_unreachable_server_is_named_with_advice_and_without_the_password() -> None:
    client = DatabaseClient("127.0.0.1", 1, "ada", SECRET, "shop")

    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1/shop; check that the server runs") as caught:
        await client.initialize()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ada:hunter#2@db/shop",
        "postgresql://ada:hunter/2@db/shop",
        "postgresql://ada:hunter?2@db/shop",
        "postgresql://ada:31337/hunter@db/shop",
        "postgresql://ada:hunter@db/shop?port=hunter",
    ],
)
def test_an_address_that_cannot_be_read_is_never_repeated(dsn: str) -> None:
    with pytest.raises(InvalidNameError, match="%2F") as refused:
        DatabaseClient.from_dsn(dsn)

    assert not re.search("hunter|31337", "".join(traceback.format_exception(refused.value)))


async def test_a_missing_database_and_a_refused_user_are_told_apart(database: PostgresDatabase) -> None:
    with pytest.raises(DatabaseUnavailableError, match="has no such database"):
        await DatabaseClient.from_dsn(database.dsn.replace(database.name, "nowhere")).initialize()
    with pytest.raises(DatabaseUnavailableError, match="refused the user"):
        await DatabaseClient.from_dsn(database.dsn.replace(login(database.dsn)[0], "nobody_we_know")).initialize()


async def test_nothing_works_before_initialize_or_after_close(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    with pytest.raises(BackendNotStartedError):
        _ = client.pool
    await client.initialize()
    await client.initialize()
    assert client.pool.size == 1
    await client.close()
    await client.close()
    with pytest.raises(BackendNotStartedError):
        _ = client.pool


async def test_a_session_needs_a_tenant_id(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)

    with pytest.raises(TenantContextMissingError):
        async with client.session(None):  # type: ignore[arg-type]  # that is the mistake
            pass
    with pytest.raises(InvalidTenantIdError):
        async with client.session("acme"):  # type: ignore[arg-type]  # that is the mistake
            pass


async def test_behind_a_transaction_pooler_nothing_stays_prepared(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1, pooler="transaction")
    await client.initialize()
    async with client.connection() as connection:
        assert await connection.fetchval("SELECT $1::int", 7) == 7
        assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
        assert await connection.fetchval("SELECT current_setting('citus.propagate_set_commands', true)") is None
    await client.close()


async def test_without_a_pooler_citus_is_given_its_settings(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1)
    await client.initialize()
    async with client.connection() as connection:
        assert await connection.fetchval("SHOW citus.propagate_set_commands") == "local"
    await client.close()


async def test_what_is_borrowed_comes_back_clean(database: PostgresDatabase) -> None:
    client = DatabaseClient.from_dsn(database.dsn, min_pool_size=1, max_pool_size=1)
    await client.initialize()
    async with client.connection() as connection:
        await connection.execute("BEGIN; SELECT prismicx.set_tenant('acme')")
    async with client.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_setting('app.current_tenant_id', true)") in (None, "")
    with pytest.raises(FileNotFoundError):
        async with client.connection():
            raise FileNotFoundError("not the connection's")
    with pytest.raises(DatabaseError, match="42601"):
        async with client.connection() as connection:
            await connection.execute("nonsense")
    await client.close()
