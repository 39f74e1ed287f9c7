"""docs/cli.md has every command and every option of the program, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from prismicx.cli import app
from prismicx.cli.output import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SECTION = re.compile(r"^## ([^\n]+)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^\| `(--[\w-]+)`", re.MULTILINE)
SECTIONS = dict(SECTION.findall(PAGE))
SHARED = set(OPTION.findall(SECTIONS["Where the databases are"]))


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from commands(found, f"{name} {word}")
        else:
            yield f"{name} {word}", found


COMMANDS = dict(commands(typer.main.get_command(app), "prismicx"))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert {title for title in SECTIONS if title.startswith("prismicx ")} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_on_the_page_and_no_other(name: str) -> None:
    offered = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    described = set(OPTION.findall(SECTIONS[name]))

    assert offered - {"--help"} == described | (SHARED if name != "prismicx demo" else set())


def test_every_exit_code_is_on_the_page() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d) \|", SECTIONS["Exit codes"], re.MULTILINE)}

    assert described == set(ExitCode)
