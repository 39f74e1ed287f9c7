"""`prismicx demo`: the story is told on embedded servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_the_demo_ends_well_on_servers_of_its_own(program: Any) -> None:
    told = program("demo")

    assert told.exit_code == 0
    assert "neither tenant saw anything of the other" in told.stdout.splitlines()[-1]


def test_the_demo_on_given_servers_answers_in_json_and_leaves_them_as_they_were(
    program: Any, prismicx_postgres_server: Any, prismicx_mongo_server: Any
) -> None:
    addresses = ("--postgres-dsn", prismicx_postgres_server.superuser_dsn, "--mongo-uri", prismicx_mongo_server.uri)

    told = program.data("demo", *addresses)

    assert [set(step) for step in told["steps"]] == [{"title", "seconds", "facts"}] * len(told["steps"])
    assert told["steps"]


def test_a_server_that_cannot_be_started_is_reported(program: Any, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("nonsense")

    failed = program.data("demo", "--keep", str(tmp_path), exit_code=3)

    assert failed["error"]["code"] == "embedded_server"
