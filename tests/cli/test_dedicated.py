"""Dedicated tenants from the command line: made at their own addresses, prepared there and audited there."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.conftest import Program

from prismicx.testing.databases import MongoDatabase, PostgresDatabase, PostgresDatabases, finish


@pytest.fixture
def own(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    made: list[PostgresDatabase] = []

    async def make() -> None:
        made.append(await prismicx_postgres_database())

    finish(make())
    return made[0]


@pytest.fixture
def with_acme(servers: Program, own: PostgresDatabase) -> Program:
    """A connection with a PostgreSQL of its own, whose tenants are among others on MongoDB."""
    acme = {
        "PRISMICX_CONNECTION_ACME_POSTGRES_DSN": own.dsn,
        "PRISMICX_CONNECTION_ACME_POSTGRES_ADMIN_DSN": own.admin_dsn,
        "PRISMICX_CONNECTION_ACME_MONGO_URI": "shared",
    }
    return Program({**servers.environment, **acme})


def test_a_dedicated_tenant_is_created_prepared_and_audited(with_acme: Program, own: PostgresDatabase) -> None:
    assert with_acme("db", "init").exit_code == 0

    created = with_acme.data("tenant", "create", "Acme", "--id", "acme", "--connection", "acme")["tenant"]
    prepared = with_acme.data("db", "init", "--connection", "acme")
    audited = with_acme.data("audit", "--connection", "acme")

    assert (created["status"], created["database"]["type"]) == ("active", "dedicated")
    assert created["database"]["connection"] == "acme"
    assert [database["address"].rpartition("/")[2] for database in prepared["databases"]] == [own.name]
    assert [database["address"].rpartition("/")[2] for database in audited["databases"]] == [own.name]
    assert (audited["passed"], audited["databases"][0]["findings"]) == (True, [])


def test_what_would_be_prepared_is_printed_without_a_password(with_acme: Program, own: PostgresDatabase) -> None:
    printed = with_acme("db", "init", "--connection", "acme", "--dry-run")

    assert printed.stdout.startswith("-- postgres at ")
    assert own.name in printed.stdout.splitlines()[0]
    assert own.dsn.split("@")[0].rpartition(":")[2] not in printed.output


def test_keys_are_rotated_there(with_acme: Program, own: PostgresDatabase) -> None:
    proven = Program({**with_acme.environment, "PRISMICX_TENANT_PROOF_KEYS": "k" * 40})
    assert proven("db", "init", "--connection", "acme").exit_code == 0

    rotated = proven.data("db", "rotate-key", "--connection", "acme")

    assert rotated["databases"][0]["address"].rpartition("/")[2] == own.name
    shared = {"PRISMICX_CONNECTION_ACME_POSTGRES_DSN": "shared"}
    nothing = Program({**proven.environment, **shared}).data("db", "rotate-key", "--connection", "acme")
    assert nothing["databases"] == []


@pytest.mark.parametrize("arguments", [("db", "init"), ("audit",), ("db", "rotate-key")])
def test_a_connection_without_an_address_names_the_variable(servers: Any, arguments: tuple[str, ...]) -> None:
    refused = servers.data(*arguments, "--connection", "acme", exit_code=2)

    assert refused["error"]["code"] == "secret_not_found"
    assert "PRISMICX_CONNECTION_ACME_POSTGRES_DSN" in refused["error"]["message"]


def test_a_mongodb_of_its_own_is_prepared(with_acme: Program, mongo: MongoDatabase) -> None:
    own = Program({**with_acme.environment, "PRISMICX_CONNECTION_ACME_MONGO_URI": mongo.uri})
    planned = own.data("db", "init", "--connection", "acme", "--dry-run")

    assert [database["database"] for database in planned["databases"]] == ["postgres", "mongo"]
    assert planned["databases"][1]["collections"]
