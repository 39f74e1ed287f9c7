"""Mutants: which check went red on which planted bug, as the run found it, and the table of them in the docs.

A twin stands in a file `test_mutants*.py` and says in its name what it plants. It calls `assert_contract_catches`,
`assert_machine_catches` or `assert_goes_red`, which report what caught the bug. A test there that shows a wall holding,
and so catches nothing, is marked `control`.

A run that held every twin compares what it found with `docs/guarantees.md`, or writes it there (`--write-mutants`).
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prismicx.testing.contracts import twins

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/guarantees.md"
BEGIN, END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"

WITHOUT_MUTANT: dict[str, str] = {}
"""Each test of a contract that no planted bug turns red, with the reason."""

_PROPERTY = "caught"
_BACKENDS = {"MemoryBackend": "memory", "SqlAlchemyBackend": "PostgreSQL", "BeanieBackend": "MongoDB"}


class Twin(NamedTuple):
    """A test that plants a bug: its file, from the root of the project, and its name."""

    file: str
    name: str


class Catch(NamedTuple):
    """A check that went red on a backend."""

    check: str
    backend: str


Catches = dict[Twin, set[Catch]]


async def assert_goes_red(test: Callable[..., Awaitable[None]], *arguments: Any, backend: str) -> None:
    """Return if a test of the suite, which is no contract's, goes red with a bug planted.

    Args:
        backend: the name of the backend's class.
    """
    with pytest.raises(AssertionError):
        await test(*arguments)
    report_catch(f"{Path(test.__code__.co_filename).name}::{test.__name__}", backend)


def report_catch(check: str, backend: str) -> None:
    """Say that this check went red on a planted bug."""
    twins._log.info("%s goes red on %s", check, backend, extra={"check": check, "backend": backend})


def twins_of_the_tree() -> list[Twin]:
    """Return every test that stands in a file of mutants, in the order of the files and of their lines."""
    return [
        Twin(path.relative_to(ROOT).as_posix(), node.name)
        for path in sorted((ROOT / "tests").rglob("test_mutants*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def table(catches: Catches) -> str:
    """Return what stands between the two marks of the page."""
    parts: list[str] = []
    file = ""
    for twin in (twin for twin in twins_of_the_tree() if twin in catches):
        if twin.file != file:
            file = twin.file
            parts.append(f"\n### `{file}`\n\n| Planted | Caught by | On |\n|---|---|---|\n")
        checks = "<br>".join(f"`{check}`" for check in sorted({catch.check for catch in catches[twin]}))
        backends = ", ".join(sorted({_BACKENDS.get(found.backend, found.backend) for found in catches[twin]}))
        parts.append(f"| {twin.name.removeprefix('test_').replace('_', ' ')} | {checks} | {backends} |\n")
    if WITHOUT_MUTANT:
        parts.append("\n### Without a planted bug\n\n| Check | Why |\n|---|---|\n")
        parts += [f"| `{check}` | {reason} |\n" for check, reason in sorted(WITHOUT_MUTANT.items())]
    return "".join(parts).lstrip("\n")


def on_the_page() -> str:
    """Return what stands there now."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write_on_the_page(found: str) -> None:
    """Put it there."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + begin + found + END + rest.partition(END)[2], encoding="utf-8")


class _Heard(logging.Handler):
    """Hears what caught a bug while one test runs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.catches: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.catches.append((getattr(record, "check", ""), getattr(record, "backend", "")))


class Run:
    """What the whole run caught, over all of its processes."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._catches: Catches = {}
        self._passed: set[Twin] = set()
        self._controls: set[Twin] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or not report.passed:
            return
        file, _, name = report.nodeid.partition("::")
        twin = Twin(file, name.partition("[")[0])
        self._passed.add(twin)
        if "control" in report.keywords:
            self._controls.add(twin)
        for key, value in report.user_properties:
            if key == _PROPERTY:
                check, backend = str(value).split(" ")
                self._catches.setdefault(twin, set()).add(Catch(check, backend))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        problem = self._problem()
        if problem:
            session.config.hook.pytest_runtest_logreport(report=_failure(problem))
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _problem(self) -> str:
        """Return what is wrong with the run or with the page; nothing can be said of a run that left twins out."""
        expected = twins_of_the_tree()
        left_out = [twin for twin in expected if twin not in self._passed]
        if left_out:
            return f"the run did not hold every twin: {_named(left_out)}" if self._write else ""
        idle = [twin for twin in expected if twin not in self._catches and twin not in self._controls]
        if idle:
            return f"among the mutants, with nothing caught and without the mark `control`: {_named(idle)}"
        found = table(self._catches)
        if self._write:
            write_on_the_page(found)
        elif found != on_the_page():
            return (
                "docs/guarantees.md does not say what this run has caught: "
                "write it there with `python -m pytest -k mutants --write-mutants`"
            )
        return ""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-mutants", action="store_true", help="write the table of mutants in docs/guarantees.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "control: stands among mutants and shows that a wall holds; it catches nothing.")
    if not hasattr(config, "workerinput"):  # where pytest-xdist has several processes, all reports come to the first
        config.pluginmanager.register(Run(write=bool(config.getoption("--write-mutants"))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    heard, level = _Heard(), twins._log.level
    twins._log.addHandler(heard)
    twins._log.setLevel(logging.INFO)
    try:
        yield
    finally:
        twins._log.setLevel(level)
        twins._log.removeHandler(heard)
        item.user_properties.extend((_PROPERTY, f"{check} {backend}") for check, backend in heard.catches)


def _failure(problem: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=PAGE.name,
        location=(PAGE.name, None, "the table of mutants"),
        keywords={},
        outcome="failed",
        longrepr=problem,
        when="setup",
    )


def _named(found: list[Twin], *, at_most: int = 5) -> str:
    more = f", and {len(found) - at_most} more" if len(found) > at_most else ""
    return ", ".join(f"{twin.file}::{twin.name}" for twin in found[:at_most]) + more
