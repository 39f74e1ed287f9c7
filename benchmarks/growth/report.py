"""What the documentation shows of growth: a table an axis, a table of what comes before the first unit, and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.growth.plots import chart
from benchmarks.growth.services import WORKLOADS
from benchmarks.growth.sizes import Size
from benchmarks.growth.starting import ENTITIES
from benchmarks.units.measuring import Figures

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
CONTENDERS: Final = ("raw asyncpg", "prismicx")

Measured = Mapping[str, Mapping[str, Figures]]
"""By key of a workload and name of a contender."""

_MEBIBYTE: Final = 1 << 20


def growth_table(what: str, sizes: Sequence[Size], measured: Measured) -> str:
    """Return a table of what each unit costs at each size, and how many times as much as at the smallest one."""
    lines = [
        f"| unit | {what} | prismicx, units/s | of raw asyncpg | CPU µs | p50 ms | times the smallest | raw: times |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for workload in WORKLOADS:
        of_all = measured[workload.key]
        for number, size in enumerate(sizes):
            raw, ours = (of_all[f"{name}, {size.name}"] for name in CONTENDERS)
            raw_first, ours_first = (of_all[f"{name}, {sizes[0].name}"] for name in CONTENDERS)
            cells = (
                "" if number else workload.title,
                f"{_amount(what, size):,}",
                f"{ours.rate:,.0f}",
                f"{ours.ratio_to(raw):.2f}",
                f"{1e6 * median(ours.cpu):,.0f}",
                f"{1e3 * ours.percentile(50):.2f}",
                f"{ours_first.ratio_to(ours):.2f}",
                f"{raw_first.ratio_to(raw):.2f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def growth_chart(what: str, sizes: Sequence[Size], measured: Measured) -> str:
    """Return the same as a plot: the median latency of each unit."""
    lines = {
        f"{name}, {workload.title}": [
            (_amount(what, size), 1e6 * measured[workload.key][f"{name}, {size.name}"].percentile(50)) for size in sizes
        ]
        for workload in WORKLOADS
        for name in reversed(CONTENDERS)
    }
    return chart("median latency of a unit, µs", below=what, lines=lines)


def starting_table(imports: Mapping[str, float], starts: Mapping[int, Mapping[str, float]]) -> str:
    """Return what comes before the first unit, by how many tenants the registry has."""
    first = imports["pydantic"]
    lines = [
        "| before the first unit of work | seconds | more memory, MB |",
        "|---|--:|--:|",
        f"| `from pydantic import BaseModel` | {first:.3f} | |",
        f"| … and a first model of it | {imports['a first model']:.3f} | |",
        f"| `import prismicx` | {imports['prismicx']:.3f} (+ {imports['prismicx'] - first:.3f}) | |",
    ]
    for tenants, figures in starts.items():
        rows = (
            (f"{ENTITIES} entities and their mappings are made", "entities"),
            (f"the backend is made and starts, {tenants:,} tenants in the registry", "start"),
            ("the first unit opens, for which the registry is read", "first unit"),
        )
        memory = {"first unit": "registry"}
        lines += [
            f"| {title} | {figures[key]:.3f} | {figures[f'memory, {memory.get(key, key)}'] / _MEBIBYTE:.1f} |"
            for title, key in rows
        ]
        together = sum(figures[key] for key in ("start", "first unit"))
        lines.append(f"| start and first unit | {together:.3f} | {figures['memory, all'] / _MEBIBYTE:.0f} in all |")
    return "\n".join(lines)


def _amount(what: str, size: Size) -> int:
    return size.tenants if what == "tenants" else size.total
