"""docs/source-patterns.md covers every section of the source document, and names nothing that does not exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "source-patterns.md").read_text()
HEADING = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
NAMED = re.compile(r"`((?:src|tests)/[\w/.]+\.py)(?:::([\w.]+))?`")

CHAPTERS = {
    "Introduction": (),
    "Accessing PostgreSQL Data": (
        "Connection Management",
        "Setting Tenant Context",
        "Using SQLAlchemy ORM",
        "Accessing Tenant-Specific Schemas",
    ),
    "Accessing MongoDB Data": (
        "Connection Management",
        "Tenant-Specific Database Access",
        "Multi-Tenant Collection Access",
    ),
    "Multi-Tenant Operations": ("Creating a New Tenant", "Installing a Plugin for a Tenant"),
    "Transaction Management": ("PostgreSQL Transactions", "MongoDB Transactions"),
    "Error Handling": ("Connection Errors", "Tenant Context Errors"),
}
"""The source document's sections, as its table of contents and its headings have them."""


def sections() -> list[tuple[str, str]]:
    """Return title and text of each section that has no sections of its own."""
    found = list(HEADING.finditer(PAGE))
    ends = [heading.start() for heading in found[1:]] + [len(PAGE)]
    return [
        (heading.group(2), PAGE[heading.end() : end])
        for heading, end in zip(found, ends, strict=True)
        if heading.group(1) == "###" or not CHAPTERS.get(heading.group(2))
    ]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a module defines: functions, classes, and theirs as `Class.name`."""
    defined: set[str] = set()

    def look(body: list[ast.stmt], prefix: str) -> None:
        for statement in body:
            match statement:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    defined.add(prefix + name)
                case ast.ClassDef(name=name, body=inner):
                    defined.add(prefix + name)
                    look(inner, f"{prefix}{name}.")

    look(ast.parse(path.read_text()).body, "")
    return frozenset(defined)


def test_every_section_of_the_document_is_there_in_its_order() -> None:
    wanted = []
    for chapter, inner in CHAPTERS.items():
        wanted += [("##", chapter), *(("###", title) for title in inner)]

    assert HEADING.findall(PAGE) == wanted


@pytest.mark.parametrize(("title", "text"), sections())
def test_every_section_names_its_code_and_its_tests(title: str, text: str) -> None:
    places = [path.partition("/")[0] for path, name in NAMED.findall(text) if name]

    assert {"src", "tests"} <= set(places), title


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_whatever_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    if name:
        assert name in names_in(ROOT / path)
