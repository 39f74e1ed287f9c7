"""What holds for every command: help, options, answers, errors and exit codes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from prismicx.cli.command import failing_clearly
from prismicx.cli.output import Answer, ExitCode, code_of, print_answer, print_error, printable, progress
from prismicx.domain import errors
from prismicx.testing.databases import MongoDatabase, PostgresDatabase

COMMANDS = [
    "demo",
    "db init",
    "tenant create",
    "tenant list",
    "tenant show",
    "tenant suspend",
    "tenant resume",
    "plugin publish",
    "plugin install",
    "plugin upgrade",
    "plugin uninstall",
    "plugin list",
]

HOSTILE = [
    "",
    " acme",
    "Acme",
    "acme;drop",
    "acme'--",
    "\N{CYRILLIC SMALL LETTER A}cme",
    "a/b",
    "a.b",
    "a\nb",
    "$ne",
    "x" * 41,
]

SERVICE = """
from prismicx import EntityMapping, AggregateRoot
from prismicx.container import Container, use_memory

class Task(AggregateRoot):
    title: str

MAPPINGS = [EntityMapping(Task, "tasks")]
NUMBER = 7

def container(settings):
    made = Container(settings=settings, postgres_mappings=MAPPINGS)
    use_memory(made)
    return made

def nothing(settings):
    return None
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "service_of_the_test.py").write_text(SERVICE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "service_of_the_test", raising=False)
    monkeypatch.chdir(tmp_path)
    return "service_of_the_test"


# --- Help. ---


def test_help_names_the_commands_and_the_exit_codes(program: Any) -> None:
    shown = program("--help").stdout

    for word in ("demo", "db", "tenant", "plugin", "Exit codes", "database is unavailable"):
        assert word in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_answers_in_json(program: Any, command: str) -> None:
    shown = program(*command.split(), "--help")

    assert shown.exit_code == 0
    assert "--json" in shown.stdout


def test_it_tells_its_version(program: Any) -> None:
    assert program("--version").stdout.startswith("prismicx 0")


def test_it_is_also_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "prismicx", "--version"], capture_output=True, text=True, check=True)

    assert shown.stdout.startswith("prismicx 0")


def test_asking_for_help_loads_no_driver() -> None:
    drivers = ("sqlalchemy", "asyncpg", "beanie", "pymongo", "dependency_injector", "structlog", "pydantic_settings")
    script = f"import sys, prismicx.cli; print([name for name in {drivers} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


# --- Wrong usage: exit code 2. ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tenant", "vanish"], "No such command"),
        (["tenant", "show"], "Missing argument"),
        (["tenant", "list", "--status", "asleep"], "asleep"),
        (["tenant", "list"], "no database is configured: set PRISMICX_POSTGRES_DSN"),
        (["tenant", "list", "--postgres-dsn", "app:pa55word@host/shop"], "not an address like postgresql://"),
        (["tenant", "list", "--registry", "paper"], "PRISMICX_REGISTRY: Input should be 'postgres', 'mongo' or"),
        (["plugin", "install", "acme", "crm", "--set", "currency"], "not of the form KEY=VALUE"),
        (["plugin", "install", "acme", "crm", "--set", "=EUR"], "not of the form KEY=VALUE"),
    ],
)
def test_wrong_usage_is_explained(program: Any, arguments: list[str], said: str) -> None:
    refused = program(*arguments)

    assert refused.exit_code == ExitCode.USAGE
    assert said in refused.stderr
    assert "pa55word" not in refused.output


@pytest.mark.parametrize(
    ("mappings", "said"),
    [
        ("service_of_the_test", "not of the form module:attribute"),
        ("service_of_nobody:MAPPINGS", "there is no module service_of_nobody"),
        ("service_of_the_test:OTHER", "has no OTHER"),
        ("service_of_the_test:NUMBER", "neither a sequence of EntityMapping nor"),
        ("service_of_the_test:nothing", "neither a sequence of EntityMapping nor"),
    ],
)
def test_mappings_that_lead_nowhere_are_explained(nothing: Any, service: str, mappings: str, said: str) -> None:
    refused = nothing("tenant", "list", "--mappings", mappings)

    assert refused.exit_code == ExitCode.USAGE
    assert said in " ".join(refused.stderr.replace("│", " ").split())


@pytest.mark.parametrize("attribute", ["MAPPINGS", "container"])
def test_mappings_are_a_sequence_or_a_function_to_a_container(nothing: Any, service: str, attribute: str) -> None:
    assert nothing.data("tenant", "list", "--mappings", f"{service}:{attribute}") == {"tenants": []}


# --- What the domain refuses: exit code 1, before any database is asked. ---


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "command",
    [
        ["tenant", "show"],
        ["tenant", "suspend"],
        ["tenant", "resume"],
        ["tenant", "create", "Acme", "--id"],
        ["plugin", "list", "--tenant"],
    ],
)
def test_hostile_ids_are_refused_before_any_database_is_asked(program: Any, command: list[str], hostile: str) -> None:
    refused = program(*command, hostile, "--postgres-dsn", "postgresql://app:pa55word@127.0.0.1:1/shop", "--json")

    assert refused.exit_code == ExitCode.REFUSED
    assert json.loads(refused.stdout)["error"]["code"] == "invalid_tenant_id"
    assert refused.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tenant", "create", "Acme", "--region", "EU"], "invalid_name"),
        (["tenant", "create", "Acme", "--tier", "gold!"], "invalid_name"),
        (["tenant", "create", "Acme", "--plugin-type", "crm__x"], "invalid_plugin_type"),
        (["plugin", "install", "acme", "crm", "--version", "1"], "invalid_name"),
        (["plugin", "install", "acme", "crm'; DROP"], "invalid_name"),
        (["plugin", "upgrade", "acme", "$where"], "invalid_name"),
        (["plugin", "uninstall", "acme", "CRM"], "invalid_name"),
        (["plugin", "publish", "none.toml"], "invalid_manifest"),
    ],
)
def test_hostile_names_are_refused_before_any_database_is_asked(program: Any, arguments: list[str], code: str) -> None:
    address = ("--postgres-dsn", "postgresql://app:pa55word@127.0.0.1:1/shop")

    assert program.data(*arguments, *address, exit_code=ExitCode.REFUSED)["error"]["code"] == code


def test_a_tenants_name_that_is_none_is_refused(nothing: Any) -> None:
    assert nothing.data("tenant", "create", " ", exit_code=ExitCode.REFUSED)["error"]["code"] == "invalid_name"


# --- A database that is not there: exit code 3. ---


@pytest.fixture
def silent_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
    return port


@pytest.mark.parametrize("command", [["tenant", "list"], ["db", "init"], ["plugin", "list"]])
def test_a_postgresql_that_does_not_answer_is_named_without_its_password(
    program: Any, silent_port: int, command: list[str]
) -> None:
    refused = program(*command, "--postgres-dsn", f"postgresql://app:pa55word@127.0.0.1:{silent_port}/shop", "--json")

    assert refused.exit_code == ExitCode.UNAVAILABLE
    assert f"127.0.0.1:{silent_port}" in refused.stderr
    assert json.loads(refused.stdout)["error"]["code"] == "database_unavailable"
    assert "pa55word" not in refused.output


def test_a_mongodb_that_does_not_answer_is_named_without_its_password(silent_port: int) -> None:
    # A process of its own: PyMongo leaves the socket of its last attempt to whoever closes the loop.
    arguments = ["tenant", "list", "--mongo-uri", f"mongodb://app:pa55word@127.0.0.1:{silent_port}/", "--json"]
    refused = subprocess.run(
        [sys.executable, "-m", "prismicx", *arguments], capture_output=True, text=True, check=False
    )

    assert refused.returncode == ExitCode.UNAVAILABLE
    assert refused.stderr.startswith(f"error: no database answers at mongodb://127.0.0.1:{silent_port}; ")
    assert refused.stderr.count("\n") == 1
    assert json.loads(refused.stdout)["error"]["code"] == "database_unavailable"
    assert "pa55word" not in refused.stdout + refused.stderr


def test_a_role_that_could_walk_around_the_walls_is_refused(program: Any, postgres: PostgresDatabase) -> None:
    program("db", "init", "--postgres-dsn", postgres.dsn, "--postgres-admin-dsn", postgres.admin_dsn)

    refused = program.data("tenant", "list", "--postgres-dsn", postgres.superuser_dsn, exit_code=ExitCode.REFUSED)

    assert refused["error"]["code"] == "unsafe_role"


def test_one_database_is_enough(program: Any, mongo: MongoDatabase) -> None:
    there = ("--mongo-uri", mongo.uri, "--mongo-database", mongo.name)
    program.data("db", "init", *there)

    created = program.data("tenant", "create", "Acme", "--id", "acme", *there)["tenant"]

    assert created["status"] == "active"
    assert program.data("tenant", "list", *there) == {"tenants": [created]}


# --- The pieces. ---


def _made(kind: type[errors.PrismicxError]) -> errors.PrismicxError:
    made = kind.__new__(kind)
    Exception.__init__(made, "so it is")
    return made


@pytest.mark.parametrize(
    ("kind", "exit_code", "code"),
    [
        (errors.TenantNotActiveError, ExitCode.REFUSED, "tenant_not_active"),
        (errors.SettingsError, ExitCode.USAGE, "settings"),
        (errors.DatabaseUnavailableError, ExitCode.UNAVAILABLE, "database_unavailable"),
        (errors.ConnectionLostError, ExitCode.UNAVAILABLE, "connection_lost"),
        (errors.CommitOutcomeUnknownError, ExitCode.UNKNOWN, "commit_outcome_unknown"),
    ],
)
def test_each_error_has_an_exit_code_and_a_code(
    kind: type[errors.PrismicxError], exit_code: ExitCode, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_error(_made(kind), as_json=True) is exit_code

    printed = capsys.readouterr()
    assert printed.err == "error: so it is\n"
    assert json.loads(printed.out) == {"error": {"code": code, "message": "so it is"}}


def test_the_codes_of_errors_are_all_different() -> None:
    family = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PrismicxError)
    ]

    assert len({code_of(_made(kind)) for kind in family}) == len(family)


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb\nc\\u202e"


def test_a_view_that_is_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(Answer({}, "x" * 500), as_json=False)

    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_a_script_sees_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("thinking", as_json=True):
        pass

    assert capsys.readouterr() == ("", "")


def test_log_events_leave_standard_output_to_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()

    with failing_clearly(as_json=False):
        structlog.get_logger("test").warning("beware")

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "beware" in printed.err
    assert structlog.get_config() == before
