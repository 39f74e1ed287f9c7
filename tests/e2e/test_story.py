"""The story of `prismicx demo`, on servers that are somebody's own and on embedded ones."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from pymongo import AsyncMongoClient

from prismicx.demo.attacks import IsolationBrokenError, RawCustomers
from prismicx.demo.story import run
from prismicx.testing.databases import MongoDatabases, MongoServer, PostgresServer


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that PostgreSQL's own user may enter too."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made) / "kept"


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> str:
    """What is in every name that the story gives here, and in no other test's on the same servers."""
    drawn = secrets.token_hex(4)
    monkeypatch.setattr("prismicx.demo.servers.secrets.token_hex", lambda _: drawn)
    return drawn


async def left_behind(postgres: PostgresServer, mongo: MongoServer, chance: str) -> set[str]:
    connection = await asyncpg.connect(postgres.superuser_dsn)
    try:
        rows = await connection.fetch("SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database")
    finally:
        await connection.close()
    async with AsyncMongoClient[dict[str, object]](mongo.uri) as client:
        names = {row[0] for row in rows} | set(await client.list_database_names())
    return {name for name in names if chance in name}


async def test_it_is_told_on_ones_own_servers_and_leaves_nothing_there(
    prismicx_postgres_server: PostgresServer,
    prismicx_mongo_server: MongoServer,
    prismicx_mongo_database: MongoDatabases,
    chance: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = await run(
        postgres_dsn=prismicx_postgres_server.superuser_dsn, mongo_uri=prismicx_mongo_server.uri, as_json=True
    )

    assert capsys.readouterr().out == ""
    assert json.loads(json.dumps(told)) == told
    assert len(told["steps"]) == 12  # type: ignore[arg-type]  # a list
    assert await left_behind(prismicx_postgres_server, prismicx_mongo_server, chance) == set()


async def test_its_data_can_be_kept(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await run(keep=directory)

    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("Done in ")
    assert lines[-1].endswith("neither tenant saw anything of the other.")
    assert {found.name for found in directory.iterdir()} == {"postgres", "mongo"}


async def test_it_ends_with_an_error_when_a_wall_is_missing(
    prismicx_postgres_server: PostgresServer,
    prismicx_mongo_server: MongoServer,
    prismicx_mongo_database: MongoDatabases,
    chance: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def without_a_wall(self: RawCustomers, statement: str) -> list[object]:
        return ["a row of globex"]

    monkeypatch.setattr(RawCustomers, "rows", without_a_wall)

    with pytest.raises(IsolationBrokenError):
        await run(
            postgres_dsn=prismicx_postgres_server.superuser_dsn, mongo_uri=prismicx_mongo_server.uri, as_json=True
        )

    assert await left_behind(prismicx_postgres_server, prismicx_mongo_server, chance) == set()
