"""`prismicx audit` on real servers."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient
from tests.cli.conftest import Program
from tests.cli.test_database import run_as_owner

from prismicx.cli.output import ExitCode
from prismicx.testing.databases import APPLICATION_ROLE, MongoDatabase, PostgresDatabase

WIRING = ("--mappings", "prismicx.demo.wiring:container")
RESIDUAL = {"CANCEL_BACKEND", "LARGE_OBJECTS", "PLANNER_STATISTICS", "SETTING_CONTEXT", "STAT_ACTIVITY"}


@pytest.fixture
def sound(servers: Any) -> Any:
    """What `db init` and a first tenant make."""
    servers.data("db", "init", *WIRING)
    servers.data("tenant", "create", "Acme", "--id", "acme", *WIRING)
    return servers


@pytest.mark.parametrize("registry", ["postgres", "mongo"])
def test_what_prismicx_makes_passes(sound: Any) -> None:
    answer = sound.data("audit", "--fail-on", "info", *WIRING)

    assert answer["passed"] is True
    assert [found["findings"] for found in answer["databases"]] == [[], []]
    assert {found["code"] for found in answer["databases"][0]["residual"]} == RESIDUAL
    assert sound("audit").exit_code == ExitCode.DONE


def test_what_prismicx_makes_with_proof_and_a_door_for_the_system_passes(
    servers: Any, postgres: PostgresDatabase
) -> None:
    walls = {"PRISMICX_TENANT_PROOF_KEYS": "k" * 40, "PRISMICX_POSTGRES_SYSTEM_DSN": postgres.system_dsn}
    proven = Program({**servers.environment, **walls})
    proven.data("db", "init", *WIRING)
    proven.data("tenant", "create", "Acme", "--id", "acme", *WIRING)

    answer = proven.data("audit", "--fail-on", "info", *WIRING)
    bare = servers.data("audit", "--fail-on", "info")

    assert [found["findings"] for found in answer["databases"]] == [[], []]
    assert {found["code"] for found in answer["databases"][0]["residual"]} == RESIDUAL - {"SETTING_CONTEXT"}
    assert bare == answer


def test_a_hole_fails_and_is_shown_with_what_mends_it(sound: Any, postgres: PostgresDatabase) -> None:
    run_as_owner(postgres, f"GRANT TRUNCATE ON public.users TO {APPLICATION_ROLE}")

    shown = sound("audit", *WIRING)
    (finding,) = sound.data("audit", *WIRING, exit_code=ExitCode.HOLES)["databases"][0]["findings"]
    run_as_owner(postgres, finding["fix"][0])

    assert shown.exit_code == ExitCode.HOLES
    assert "GRANT_TRUNCATE" in shown.stdout
    assert f"{finding['fix'][0]};" in shown.stdout
    assert (finding["severity"], finding["object"]) == ("critical", "public.users")
    assert sound("audit", *WIRING).exit_code == ExitCode.DONE


def test_who_calls_says_how_bad_is_too_bad(sound: Any, mongo: MongoDatabase) -> None:
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        client[mongo.name].tasks.create_index("title")

    assert sound("audit", "--fail-on", "low", *WIRING).exit_code == ExitCode.HOLES
    passed = sound.data("audit", "--fail-on", "medium", *WIRING)
    assert passed["databases"][1]["findings"][0]["code"] == "INDEX_NOT_TENANT_FIRST"


def test_a_database_that_prismicx_has_never_seen_is_audited_too(program: Any, postgres: PostgresDatabase) -> None:
    run_as_owner(
        postgres,
        "CREATE TABLE public.invoices (account text NOT NULL CHECK (account <> ''), PRIMARY KEY (account));"
        "ALTER TABLE public.invoices ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON public.invoices USING (account = NULLIF(current_setting('my.account', true), ''))"
        " WITH CHECK (account = NULLIF(current_setting('my.account', true), ''))",
    )
    arguments = (
        "audit",
        "--postgres-dsn",
        postgres.dsn,
        "--tenant-column",
        "account",
        "--tenant-setting",
        "my.account",
    )

    findings = program.data(*arguments, exit_code=ExitCode.HOLES)["databases"][0]["findings"]
    of_owner = program.data(*arguments, "--app-role", "prismicx_test_owner", exit_code=ExitCode.HOLES)

    assert {found["code"] for found in findings} == {"RLS_NOT_FORCED", "DATABASE_TEMP"}
    assert "ROLE_OWNS_TABLE" in {found["code"] for found in of_owner["databases"][0]["findings"]}


def test_a_role_that_nobody_has_is_refused(sound: Any) -> None:
    refused = sound.data("audit", "--app-role", "nobody", exit_code=ExitCode.REFUSED)

    assert refused["error"]["code"] == "invalid_name"


def test_without_a_database_there_is_nothing_to_audit(nothing: Any) -> None:
    assert "No database is configured" in nothing("audit").stdout
