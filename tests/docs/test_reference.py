"""The reference holds every public name: where it is defined, or where it is exported."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).parents[2] / "docs/reference"
PACKAGES = (
    "prismicx",
    "prismicx.adapters.memory",
    "prismicx.adapters.sqlalchemy",
    "prismicx.adapters.beanie",
    "prismicx.embedded",
    "prismicx.testing.contracts",
    "prismicx.testing.isolation",
)
_MODULE = re.compile(r"^\.\. automodule:: ([\w.]+)$", re.MULTILINE)
_FUNCTION = re.compile(r"^\.\. autofunction:: ([\w.]+)$", re.MULTILINE)

PAGES = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
DOCUMENTED, FUNCTIONS = set(_MODULE.findall(PAGES)), set(_FUNCTION.findall(PAGES))


def home_of(package: Any, name: str) -> str:
    """Return the module that defines a name of a package; a constant's is one that has it, as the reference does."""
    found = getattr(package, name)
    home = getattr(found, "__module__", None)
    if isinstance(home, str) and home.startswith("prismicx."):
        return home
    return next((each for each in sorted(DOCUMENTED) if name in vars(importlib.import_module(each))), "nowhere")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    exported = importlib.import_module(package)
    names = [name for name in exported.__all__ if not name.startswith("__")]

    assert names
    homes = {name: home_of(exported, name) for name in names if f"{package}.{name}" not in FUNCTIONS}
    assert package in DOCUMENTED or {name: home for name, home in homes.items() if home not in DOCUMENTED} == {}


def test_every_documented_module_exists() -> None:
    for name in DOCUMENTED:
        importlib.import_module(name)
