"""The checks as nox sessions: `nox` runs lint, types, docs, the demo and the tests; `nox -s tests-3.12` one of them."""

import argparse

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
def coverage(session: nox.Session) -> None:
    """The whole suite with branch coverage, which must be 95 % of `src` with nothing left out: eleven minutes."""
    session.install("-e", ".[test]")
    environment = {"PRISMICX_ISOLATION_EXAMPLES": "60"}
    session.run("python", "-m", "pytest", "-n", "2", "--cov", "--cov-report=term", *session.posargs, env=environment)


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
    """The long forms of the tests that search: hours. Each takes its number from the environment, where it is given.

    `PRISMICX_SOAK_EXAMPLES`: histories of the proof of isolation per backend, 20,000. `PRISMICX_SOAK_HISTORIES`:
    histories with faults per backend, 2,000. `PRISMICX_SOAK_POOLER_UNITS`: units of each of eight processes behind
    PgBouncer, 2,000. `PRISMICX_SOAK_EVENTS`: events through the outbox while a relay is killed, per backend, 50,000.
    `PRISMICX_SOAK_CRASH_POINTS`: `all` kills before each message to a server too.
    """
    session.install("-e", ".[test]")
    numbers = {
        "PRISMICX_SOAK_EXAMPLES": "20000",
        "PRISMICX_SOAK_HISTORIES": "2000",
        "PRISMICX_SOAK_POOLER_UNITS": "2000",
        "PRISMICX_SOAK_EVENTS": "50000",
        "PRISMICX_SOAK_CRASH_POINTS": "all",
    }
    environment = {name: session.env.get(name) or number for name, number in numbers.items()}
    searches = (
        "tests/isolation/test_machine.py",
        "tests/faults/test_history.py",
        "tests/poolers/test_load.py",
        "tests/outbox/test_killed_relays.py",
        "tests/crash/test_tenants.py",
    )
    session.run("python", "-m", "pytest", *searches, *session.posargs, env=environment)


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """Units of work beside raw asyncpg, SQLAlchemy by hand and advanced-alchemy, and growth; PyMongo and Beanie.

    `-- --quick` is the short form; with `--only get,list` some units and nothing else; `--runs 3` takes all but growth
    three times, of which the middle one counts.
    """
    session.install("-e", ".[test,bench]")
    session.run("python", "-m", "benchmarks.units", *session.posargs)
    apart = argparse.ArgumentParser()
    apart.add_argument("--only")
    apart.add_argument("--runs")
    given, shared = apart.parse_known_args(session.posargs)
    if given.only is None:
        session.run("python", "-m", "benchmarks.documents", *session.posargs)
        session.run("python", "-m", "benchmarks.growth", *shared)
