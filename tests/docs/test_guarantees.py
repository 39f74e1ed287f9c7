"""The page of guarantees names tests that exist, and twins that really are theirs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "src/prismicx/testing/contracts"
TWINS = ROOT / "tests/contract"

_NAME = re.compile(r"`(\w+\.py)::(test_\w+)`")
_SIDE_BY_SIDE = {
    # Shown to hold with the other wall down; the twin with both down is on the page.
    ("test_mutants_databases.py", "test_the_policy_alone_keeps_tenants_apart"),
    ("test_mutants_databases.py", "test_the_predicate_alone_keeps_tenants_apart"),
}

Name = tuple[str, str]
Row = tuple[list[Name], Name]


def rows() -> list[Row]:
    """Return the tests and the twin of each row, as the page has them."""
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split("|") for line in page.splitlines() if "::" in line]
    found = [([*_NAME.findall(tests)], _NAME.findall(twin)) for _, tests, twin in cells]
    assert all(len(twins) == 1 for _, twins in found)
    return [(tests, twins[0]) for tests, twins in found]


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


def test_every_twin_is_on_the_page() -> None:
    twins = {name for name in sources(TWINS) if name[0].startswith("test_mutants")}
    named = {twin for _, twin in ROWS} | {test for tests, _ in ROWS for test in tests}

    assert twins - named == _SIDE_BY_SIDE
