"""The checks as nox sessions: `nox` runs lint, types, docs, the demo and the tests; `nox -s tests-3.12` one of them."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

NEWEST_FIRST = ["3.13", "3.12", "3.11"]


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style and layers."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Types, by two checkers."""
    session.install("-e", ".[test]")
    session.run("mypy", "--strict", "src", "tests")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")


@nox.session(python=NEWEST_FIRST)
def tests(session: nox.Session) -> None:
    """The whole suite, on the embedded servers; arguments after `--` go to pytest."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The documentation, warnings as errors; it ends up in docs/_build."""
    session.install("-e", ".[test,docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session(python="3.11")
def demo(session: nox.Session) -> None:
    """The reference service's story; arguments after `--` go to `prismicx demo`."""
    session.install("-e", ".[embedded]")
    session.run("prismicx", "demo", *session.posargs)


@nox.session(python="3.11")
def soak(session: nox.Session) -> None:
    """The proof of isolation over 20,000 new histories per backend (`PRISMICX_SOAK_EXAMPLES` says how many): hours."""
    session.install("-e", ".[test]")
    examples = session.env.get("PRISMICX_SOAK_EXAMPLES") or "20000"
    environment = {"PRISMICX_SOAK_EXAMPLES": examples}
    session.run("python", "-m", "pytest", "tests/isolation/test_machine.py", *session.posargs, env=environment)
