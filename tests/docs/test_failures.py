"""The table of docs/failures.md is made from `Cause`; `python tests/docs/test_failures.py` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from prismicx.domain.causes import Cause

PAGE = Path(__file__).parents[2] / "docs/failures.md"

_TABLE = re.compile(r"^\| Cause .*?(?=^$|\Z)", re.MULTILINE | re.DOTALL)


def table() -> str:
    """Return the table of causes."""
    head = "| Cause | Known by | What lasts of the unit | What `run` does |\n|---|---|---|---|\n"
    rows = (f"| `{cause.name}` | {cause.seen} | {cause.left} | {cause.response.value} |\n" for cause in Cause)
    return head + "".join(rows)


def test_the_table_is_that_of_the_code() -> None:
    assert _TABLE.findall(PAGE.read_text(encoding="utf-8")) == [table()]


if __name__ == "__main__":
    PAGE.write_text(_TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
