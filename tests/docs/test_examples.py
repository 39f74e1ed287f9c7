"""Every Python example in README.md and docs/ runs, page by page, from top to bottom.

A block whose first line is a comment with a file's name is that file: it is written, and at the end of the page pytest
runs the tests among these files, as a reader would. A page that speaks of `postgres_dsn`, `postgres_admin_dsn` or
`mongo_uri` is given the addresses of fresh databases.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from asyncio import create_subprocess_exec, subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import prismicx

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(?:python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w/.-]+\.(?:py|toml))\n")
WITH_EXAMPLES = [page for page in PAGES if BLOCK.search(page.read_text())]


def blocks(page: Path) -> list[tuple[int, str]]:
    text = page.read_text()
    return [(text[: found.start(1)].count("\n") + 1, found.group(1)) for found in BLOCK.finditer(text)]


async def run(source: str, name: str, first_line: int, namespace: dict[str, Any]) -> None:
    tree = ast.parse("\n" * (first_line - 1) + source, filename=name)
    code = compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        await result


async def run_tests(folder: Path) -> None:
    here = str(Path(prismicx.__file__).parents[1])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    # Our plugin by its module instead of its entry point, which only an installed prismicx has.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:prismicx"]
    command += ["-p", "prismicx.testing.plugin"]
    ours = ("PYTEST_", "PRISMICX_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = await create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def addresses(page: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    text, found = page.read_text(), {}
    if "postgres_dsn" in text:
        postgres = await request.getfixturevalue("prismicx_postgres_database")()
        found = {"postgres_dsn": postgres.dsn, "postgres_admin_dsn": postgres.admin_dsn}
    if "mongo_uri" in text:
        found["mongo_uri"] = request.getfixturevalue("prismicx_mongo_database")().uri
    return found


def forget_modules(folder: Path, known: frozenset[str]) -> None:
    written = {path.stem for path in folder.iterdir()}
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in written:
            del sys.modules[name]


def test_there_are_pages_with_examples() -> None:
    assert ROOT / "README.md" in WITH_EXAMPLES


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_examples_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    request.addfinalizer(partial(forget_modules, tmp_path, frozenset(sys.modules)))
    namespace: dict[str, Any] = {"__name__": page.stem, **await addresses(page, request)}

    for first_line, source in blocks(page):
        file = FILE.match(source)
        if file is None:
            await run(source, str(page.relative_to(ROOT)), first_line + 1, namespace)
        else:
            path = tmp_path / file.group(1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    if any(tmp_path.rglob("test_*.py")):
        await run_tests(tmp_path)
