"""The table of the MongoDB path, with what it was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.documents.peer import Beanie
from benchmarks.documents.product import Prismicx
from benchmarks.documents.raw import RawPyMongo
from benchmarks.units.measuring import Figures

BEGIN, END = "<!-- documents: begin -->", "<!-- documents: end -->"
PACKAGES = ("pymongo", "beanie", "secantusdb", "pydantic")

_HEADING = (
    "| unit | contender | commands | CPU µs | times PyMongo's | times Beanie's | units/s | of PyMongo's "
    "| p50 ms | p99 ms |"
)


def times_the_limit(figures: Mapping[str, Figures]) -> float:
    """Return how many times the limit's CPU we take, by which runs are compared."""
    return _cpu_ratio(figures[Prismicx.name], figures[RawPyMongo.name])


def table(results: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return the figures as a table in Markdown, one row a workload and contender."""
    lines = [_HEADING, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for title, figures in results.items():
        limit, peer = figures[RawPyMongo.name], figures[Beanie.name]
        for number, (name, each) in enumerate(figures.items()):
            cells = (
                "" if number else title,
                name,
                f"{each.trips or ''}",
                f"{1e6 * median(each.cpu):,.0f}",
                f"{_cpu_ratio(each, limit):.2f}",
                f"{_cpu_ratio(each, peer):.2f}",
                f"{each.rate:,.0f}" if each.rate >= 10 else f"{each.rate:.1f}",
                f"{each.ratio_to(limit):.2f}",
                f"{1e3 * each.percentile(50):.2f}",
                f"{1e3 * each.percentile(99):.2f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cpu_ratio(one: Figures, other: Figures) -> float:
    """Return how many times the other's CPU one needs: the median over the rounds, each compared with itself."""
    return median(mine / its for mine, its in zip(one.cpu, other.cpu, strict=True))
