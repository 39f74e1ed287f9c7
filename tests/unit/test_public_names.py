"""What `import prismicx` gives, and what it does not load."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import prismicx
from prismicx.domain import errors

DRIVERS = (
    "sqlalchemy",
    "asyncpg",
    "beanie",
    "pymongo",
    "bson",
    "motor",
    "dependency_injector",
    "structlog",
    "typer",
    "rich",
    "opentelemetry",
)


@pytest.mark.parametrize("module", ["prismicx", "prismicx.embedded", "prismicx.testing.plugin"])
def test_importing_loads_no_driver(module: str) -> None:
    program = f"import sys, {module}; print([name for name in {DRIVERS} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_every_error_is_public() -> None:
    family = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert family <= set(prismicx.__all__)


def test_every_public_name_exists_once() -> None:
    assert len(set(prismicx.__all__)) == len(prismicx.__all__)
    assert all(hasattr(prismicx, name) for name in prismicx.__all__)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))

    assert prismicx.__version__ == project["project"]["version"] == version("prismicx")


def test_it_says_that_it_is_typed() -> None:
    assert Path(prismicx.__file__).with_name("py.typed").exists()
