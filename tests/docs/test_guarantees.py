"""The page of guarantees names tests that exist, and twins that really are theirs."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.mutants import BEGIN, PAGE, ROOT, WITHOUT_MUTANT, Twin, on_the_page, twins_of_the_tree

CONTRACTS = ROOT / "src/prismicx/testing/contracts"
TWINS = ROOT / "tests/contract"

_NAME = re.compile(r"`(\w+\.py)::(test_\w+)`")
_HEADING = re.compile(r"^### `(tests/[\w/]+\.py)`$")
_PLANTED = re.compile(r"^\| ([\w ]+) \| (`.+`) \| [\w, ]+ \|$")

Name = tuple[str, str]
Row = tuple[list[Name], Name]


def rows() -> list[Row]:
    """Return the tests and the twin of each row, as the page has them."""
    page = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    cells = [line.strip("|").split("|") for line in page.splitlines() if "::" in line]
    found = [([*_NAME.findall(tests)], _NAME.findall(twin)) for _, tests, twin in cells]
    assert all(len(twins) == 1 for _, twins in found)
    return [(tests, twins[0]) for tests, twins in found]


@cache
def sources(folder: Path) -> dict[Name, str]:
    """Return the source of every test in a folder."""
    found = {}
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                lines = [each.lineno for each in node.decorator_list]
                start = min([node.lineno, *lines]) - 1
                found[path.name, node.name] = "\n".join(text.splitlines()[start : node.end_lineno])
    return found


ROWS = rows()


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 60


@pytest.mark.parametrize(("tests", "twin"), ROWS, ids=[twin[1] for _, twin in ROWS])
def test_every_test_and_twin_exists_and_the_twin_runs_the_test(tests: list[Name], twin: Name) -> None:
    twins = sources(TWINS)
    known = sources(CONTRACTS) | twins

    assert tests
    assert set(tests) <= known.keys()
    assert twin in twins
    of_a_contract = [name for name in tests if name in sources(CONTRACTS)]
    assert all(name in twins[twin] for _, name in of_a_contract)


def planted() -> dict[Twin, set[str]]:
    """Return the checks that caught each planted bug, as the page has them."""
    found: dict[Twin, set[str]] = {}
    file = ""
    for line in on_the_page().splitlines():
        if heading := _HEADING.match(line):
            file = heading[1]
        elif row := _PLANTED.match(line):
            found[Twin(file, "test_" + row[1].replace(" ", "_"))] = set(re.findall(r"`([^`]+)`", row[2]))
    return found


def test_every_twin_is_in_the_table_of_the_run() -> None:
    controls = {
        Twin(f"tests/{folder}/{file}", test)
        for folder in ("contract", "isolation")
        for (file, test), source in sources(ROOT / "tests" / folder).items()
        if "@pytest.mark.control" in source
    }

    assert set(twins_of_the_tree()) - planted().keys() == controls


def test_every_test_of_a_contract_catches_a_planted_bug() -> None:
    caught = {check for checks in planted().values() for check in checks}
    tests = {f"{file}::{test}" for file, test in sources(CONTRACTS)}

    assert tests - caught == WITHOUT_MUTANT.keys()
