"""The pytest plugin as its users have it: by entry point, in a suite and a process of their own, parallel or not."""

from __future__ import annotations

import socket
from pathlib import Path

import asyncpg
import pytest
from pymongo import MongoClient

from prismicx.embedded import EmbeddedMongo, EmbeddedPostgres
from prismicx.testing.databases import (
    APPLICATION_ROLE,
    MongoDatabases,
    MongoServer,
    PostgresDatabase,
    PostgresDatabases,
    PostgresServer,
)

SUITE = """
import asyncpg, pytest
from pathlib import Path

async def prepare(database):
    with Path({log!r}).open("a") as log:
        log.write("prepared ")
    connection = await asyncpg.connect(database.admin_dsn)
    await connection.execute("CREATE TABLE note (text text)")
    await connection.close()

@pytest.mark.parametrize("number", range(6))
async def test_each_has_a_database_of_its_own(prismicx_postgres_database, number):
    database = await prismicx_postgres_database("notes", prepare)
    with Path({log!r}).open("a") as log:
        log.write(database.admin_dsn.rpartition("@")[2].partition("/")[0] + " ")
    connection = await asyncpg.connect(database.admin_dsn)
    assert await connection.fetchval("SELECT count(*) FROM note") == 0
    await connection.execute("INSERT INTO note VALUES ('mine')")
    await connection.close()

@pytest.mark.parametrize("number", range(6))
def test_tenants_of_one_name_do_not_collide(prismicx_mongo_database, number):
    from pymongo import MongoClient
    with MongoClient(prismicx_mongo_database().uri) as client:
        assert client.tenant_acme_db.notes.count_documents({{}}) == 0
        client.tenant_acme_db.notes.insert_one({{}})
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of somebody else's, and the file that its tests write to."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    log = pytester.path / "log"
    pytester.makepyfile(SUITE.format(log=str(log)))
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    return log


@pytest.mark.parametrize("workers", ["0", "2"])
def test_workers_share_a_server_and_a_template_and_leave_nothing_running(
    pytester: pytest.Pytester, suite: Path, workers: str
) -> None:
    result = pytester.runpytest_subprocess("-n", workers)

    result.assert_outcomes(passed=12)
    words = suite.read_text().split()
    assert words.count("prepared") == 1
    (address,) = set(words) - {"prepared"}
    assert not listening(address)


def listening(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_real_servers_can_be_named_and_are_left_as_they_were(
    pytester: pytest.Pytester, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedPostgres() as postgres, EmbeddedMongo() as mongo, MongoClient[dict[str, object]](mongo.uri) as client:
        client.tenant_globex_db.notes.insert_one({})
        monkeypatch.setenv("PRISMICX_POSTGRES_DSN", postgres.dsn())
        monkeypatch.setenv("PRISMICX_MONGO_URI", mongo.uri)

        pytester.runpytest_subprocess("-n", "0").assert_outcomes(passed=12)

        assert str(postgres.port) in suite.read_text()
        assert (
            client.list_database_names() == ["tenant_globex_db"] or "tenant_acme_db" not in client.list_database_names()
        )
        assert "tenant_globex_db" in client.list_database_names()
        remaining = postgres_databases(pytester, postgres.dsn())
        assert remaining == "['postgres', 'template0', 'template1']"

        parallel = pytester.runpytest_subprocess("-n", "2", "-k", "tenants")
        parallel.stdout.fnmatch_lines(["*PRISMICX_MONGO_URI names 1 server*"])


def postgres_databases(pytester: pytest.Pytester, dsn: str) -> str:
    program = f"""
import asyncio, asyncpg
async def names():
    connection = await asyncpg.connect({dsn!r})
    print(sorted(row[0] for row in await connection.fetch("SELECT datname FROM pg_database")))
    await connection.close()
asyncio.run(names())
"""
    return pytester.runpython(pytester.makepyfile(names=program)).stdout.str().strip()


def test_without_postgres_15_a_test_is_skipped_with_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISMICX_TEST_POSTGRES15_BINARIES", "/nowhere")
    pytester.makepyfile("def test_it(prismicx_postgres15_database): pass")

    result = pytester.runpytest_subprocess("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no PostgreSQL 15 in /nowhere*"])


def test_a_server_that_does_not_start_fails_the_test_that_asked_for_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "postgres").touch()
    monkeypatch.setenv("PRISMICX_TEST_POSTGRES15_BINARIES", str(tmp_path))
    pytester.makepyfile("def test_it(prismicx_postgres15_database): pass")

    result = pytester.runpytest_subprocess("-n", "1")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*initdb*"])


async def test_the_owner_owns_and_is_no_superuser_and_the_application_only_logs_in(
    prismicx_postgres_database: PostgresDatabases,
) -> None:
    async def revoke_temporary(database: PostgresDatabase) -> None:
        connection = await asyncpg.connect(database.admin_dsn)
        await connection.execute(f'REVOKE TEMPORARY ON DATABASE "{database.name}" FROM PUBLIC')
        await connection.execute(f'GRANT CREATE ON DATABASE "{database.name}" TO {APPLICATION_ROLE}')
        await connection.close()

    database = await prismicx_postgres_database("with rights", revoke_temporary)

    connection = await asyncpg.connect(database.dsn)
    rights = await connection.fetchrow(
        """
        SELECT rolsuper, rolbypassrls, rolcreaterole, has_database_privilege(current_database(), 'TEMPORARY'),
               has_database_privilege(current_database(), 'CREATE'),
               has_database_privilege(current_database(), 'CONNECT')
        FROM pg_roles WHERE rolname = current_user
        """
    )
    await connection.close()
    connection = await asyncpg.connect(database.admin_dsn)
    owner = await connection.fetchrow(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, pg_get_userbyid(datdba) = current_user "
        "FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
    )
    await connection.close()
    assert rights is not None
    assert tuple(rights) == (False, False, False, False, True, True)
    assert owner is not None
    assert tuple(owner) == (False, False, True, True)


async def test_a_template_that_could_not_be_prepared_is_prepared_again(
    prismicx_postgres_database: PostgresDatabases,
) -> None:
    async def fail(database: PostgresDatabase) -> None:
        raise LookupError(database.name)

    with pytest.raises(LookupError):
        await prismicx_postgres_database("second time lucky", fail)

    database = await prismicx_postgres_database("second time lucky")
    connection = await asyncpg.connect(database.dsn)
    await connection.close()


async def test_the_roles_of_tenants_schemas_go_with_the_database(prismicx_postgres_server: PostgresServer) -> None:
    databases = PostgresDatabases(prismicx_postgres_server)
    database = await databases()
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(
        "CREATE ROLE tenant_acme_role; CREATE SCHEMA tenant_acme_crm AUTHORIZATION tenant_acme_role"
    )
    await connection.close()

    await databases.drop()

    connection = await asyncpg.connect(prismicx_postgres_server.superuser_dsn)
    found = await connection.fetchval(
        "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_acme_role') "
        "+ (SELECT count(*) FROM pg_database WHERE datname = $1)",
        database.name,
    )
    await connection.close()
    assert found == 0


async def test_postgres_15_has_the_same_fixtures(prismicx_postgres15_database: PostgresDatabases) -> None:
    database = await prismicx_postgres15_database()
    connection = await asyncpg.connect(database.admin_dsn)
    release = await connection.fetchval("SHOW server_version")
    await connection.close()

    assert release.startswith("15.")


def test_a_standalone_mongo_is_there_for_the_whole_run(prismicx_mongo_standalone_server: MongoServer) -> None:
    with MongoClient[dict[str, object]](prismicx_mongo_standalone_server.uri) as client:
        assert "setName" not in client.admin.command("hello")


def test_a_mongo_database_has_a_name_of_its_own(prismicx_mongo_database: MongoDatabases) -> None:
    first, second = prismicx_mongo_database(), prismicx_mongo_database()

    assert first.name != second.name
    with MongoClient[dict[str, object]](first.uri) as client:
        assert client.get_default_database().name == first.name
