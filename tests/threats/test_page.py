"""docs/threats.md names every test of this folder, and none that does not exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "threats.md").read_text()
NAMED = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| threat ")]


def written() -> set[tuple[str, str]]:
    """Return the tests of this folder, by file and name."""
    return {
        (path.name, statement.name)
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test_")
    }


def test_every_test_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    assert written() == NAMED


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_threat_has_a_test(row: str) -> None:
    assert re.search(r"`test_\w+\.py::test_\w+`", row)
