"""The program under test, with and without databases."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prismicx.cli import app
from prismicx.testing.databases import (
    MongoDatabase,
    MongoDatabases,
    PostgresDatabase,
    PostgresDatabases,
    finish,
)


@dataclass
class Program:
    """`prismicx`, run in this process with an environment of its own."""

    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> Result:
        return CliRunner(env=self.environment).invoke(app, arguments, catch_exceptions=False)

    def data(self, *arguments: str, exit_code: int = 0) -> Any:
        """Run it with `--json` and return what it answers."""
        result = self(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PRISMICX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def postgres(prismicx_postgres_database: PostgresDatabases) -> PostgresDatabase:
    made: list[PostgresDatabase] = []

    async def make() -> None:
        made.append(await prismicx_postgres_database())

    finish(make())
    return made[0]


@pytest.fixture
def mongo(prismicx_mongo_database: MongoDatabases) -> MongoDatabase:
    return prismicx_mongo_database()


@pytest.fixture
def registry() -> str:
    """Which database keeps the registry; a test may say otherwise by `parametrize`."""
    return "postgres"


@pytest.fixture
def servers(postgres: PostgresDatabase, mongo: MongoDatabase, registry: str) -> Program:
    """Both databases, empty."""
    return Program(
        {
            "PRISMICX_POSTGRES_DSN": postgres.dsn,
            "PRISMICX_POSTGRES_ADMIN_DSN": postgres.admin_dsn,
            "PRISMICX_MONGO_URI": mongo.uri,
            "PRISMICX_MONGO_DATABASE": mongo.name,
            "PRISMICX_REGISTRY": registry,
        }
    )


@pytest.fixture
def platform(servers: Program) -> Program:
    """Both databases, initialised."""
    assert servers("db", "init").exit_code == 0
    return servers


@pytest.fixture
def nothing() -> Program:
    """No database: the registry is in memory, and forgotten with each call."""
    return Program({"PRISMICX_REGISTRY": "memory"})


@pytest.fixture
def program() -> Program:
    """No environment at all."""
    return Program()
