"""The table of mutants is what the run has caught: nothing more, and nothing less."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import mutants
from tests.contract.opened import opened_memory
from tests.mutants import BEGIN, END, Run, assert_goes_red

from prismicx.adapters.memory.store import Overlay
from prismicx.testing.contracts import UnitOfWorkContract, assert_contract_catches, twins

FILE = "tests/test_mutants_of_a_shop.py"
SOURCE = """
async def test_a_shop_that_forgets(): ...
async def test_a_shop_that_shouts(): ...
@pytest.mark.control
async def test_a_shop_that_is_sound(): ...
"""
TABLE = f"""### `{FILE}`

| Planted | Caught by | On |
|---|---|---|
| a shop that forgets | `shop.py::test_it_keeps`<br>`shop.py::test_it_lists` | MongoDB, memory |
| a shop that shouts | `assert_isolated` | PostgreSQL |
"""


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with three tests among mutants, and a page without a table."""
    (tmp_path / "tests").mkdir()
    (tmp_path / FILE).write_text(SOURCE, encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{BEGIN}{END}After\n", encoding="utf-8")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "PAGE", page)
    return page


def report(name: str, *caught: str, outcome: str = "passed", mark: str = "any") -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"{FILE}::{name}",
        location=(FILE, 0, name),
        keywords={mark: 1},
        outcome="passed" if outcome == "passed" else "failed",
        longrepr=None,
        when="call",
        user_properties=[("caught", each) for each in caught],
    )


REPORTS = (
    report("test_a_shop_that_shouts", "assert_isolated SqlAlchemyBackend"),
    report("test_a_shop_that_forgets[memory]", "shop.py::test_it_lists MemoryBackend"),
    report("test_a_shop_that_forgets[mongo]", "shop.py::test_it_keeps BeanieBackend"),
    report("test_a_shop_that_is_sound", mark="control"),
)


def problem_of(*reports: pytest.TestReport, write: bool = False) -> str:
    run = Run(write=write)
    for each in reports:
        run.pytest_runtest_logreport(each)
    return run._problem()


def test_a_run_writes_what_it_has_caught(page: Path) -> None:
    assert problem_of(*REPORTS, write=True) == ""

    assert page.read_text(encoding="utf-8") == f"# Before\n{BEGIN}{TABLE}{END}After\n"


def test_the_next_run_finds_nothing_wrong_with_that() -> None:
    problem_of(*REPORTS, write=True)

    assert problem_of(*reversed(REPORTS)) == ""


def test_a_run_that_caught_something_else_fails() -> None:
    problem_of(*REPORTS, write=True)

    assert "--write-mutants" in problem_of(
        *REPORTS, report("test_a_shop_that_shouts", "shop.py::test_more SomeBackend")
    )


def test_a_run_that_left_a_twin_out_says_nothing_and_writes_nothing(page: Path) -> None:
    before = page.read_text(encoding="utf-8")

    assert problem_of(*REPORTS[1:]) == ""
    assert "did not hold every twin" in problem_of(*REPORTS[1:], write=True)
    assert page.read_text(encoding="utf-8") == before


def test_a_mutant_that_survives_is_not_in_the_table(page: Path) -> None:
    survived = report("test_a_shop_that_shouts", "shop.py::test_it_keeps MemoryBackend", outcome="failed")

    assert "did not hold every twin" in problem_of(*REPORTS[1:], survived, write=True)


def test_a_twin_that_reports_nothing_is_named() -> None:
    assert "test_a_shop_that_shouts" in problem_of(*REPORTS[1:], report("test_a_shop_that_shouts"))


def test_what_has_no_mutant_says_why(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mutants.WITHOUT_MUTANT, "shop.py::test_it_is_there", "Nothing could break it.")
    problem_of(*REPORTS, write=True)

    assert "| `shop.py::test_it_is_there` | Nothing could break it. |" in page.read_text(encoding="utf-8")


async def test_what_catches_a_bug_is_on_the_report(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def red() -> None:
        raise AssertionError

    heard = mutants._Heard()
    twins._log.addHandler(heard)
    monkeypatch.setattr(Overlay, "commit", lambda self: None)

    async with opened_memory() as backend:
        await assert_contract_catches(UnitOfWorkContract.test_what_was_committed_lasts, backend)
    await assert_goes_red(red, backend="MemoryBackend")
    twins._log.removeHandler(heard)

    assert heard.catches == [
        ("lifecycle.py::test_what_was_committed_lasts", "MemoryBackend"),
        ("test_table_of_mutants.py::red", "MemoryBackend"),
    ]
