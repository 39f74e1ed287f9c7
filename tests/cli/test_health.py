"""`prismicx health`: what it says, and what it ends with."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import Program

from prismicx.cli.output import ExitCode


def test_databases_that_are_well_are_said_to_be(platform: Any) -> None:
    answer = platform.data("health")

    assert answer["good"] is True
    postgres, mongo = answer["databases"]
    assert (postgres["backend"], postgres["role_safe"], postgres["prepared"]) == ("SqlAlchemyBackend", True, True)
    assert (mongo["backend"], mongo["role_safe"], mongo["transactions"]) == ("BeanieBackend", None, True)
    shown = platform("health").stdout
    assert "role safe" in shown
    assert "NO" not in shown


def test_a_database_that_is_not_prepared_is_not_well(servers: Any) -> None:
    answer = servers.data("health", "--mappings", "prismicx.demo.wiring:container", exit_code=ExitCode.UNWELL)

    assert answer["good"] is False
    assert "prismicx db init" in answer["databases"][0]["problems"][0]


def test_a_database_that_does_not_answer_ends_with_unavailable(servers: Program) -> None:
    gone = Program({**servers.environment, "PRISMICX_POSTGRES_DSN": "postgresql://ada:secret@127.0.0.1:1/shop"})
    answer = gone.data("health", "--patience", "2", exit_code=ExitCode.UNAVAILABLE)
    shown = gone("health")

    assert [one["reachable"] for one in answer["databases"]] == [False, True]
    assert "NO" in shown.stdout
    assert "secret" not in shown.output
