"""A line chart as SVG, by hand: two axes, of which the lower one is logarithmic, and a line a contender and unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, log10
from typing import Final

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 250, 40, 50
_COLOURS: Final = ("#0b6e99", "#d9730d", "#448361", "#9065b0")
_STYLE: Final = "text{font:13px system-ui,sans-serif;fill:#777}line{stroke:#999;stroke-opacity:.4}"

Line = Sequence[tuple[float, float]]
"""Points: where along the lower axis, and how high."""


def chart(title: str, *, below: str, lines: Mapping[str, Line]) -> str:
    """Return the chart; heights begin at zero.

    Args:
        title: says what the heights are, with their unit.
        below: says what the lower axis is.
        lines: points in order, by what each line is called.
    """
    across = [x for line in lines.values() for x, _ in line]
    first, last = log10(min(across)), log10(max(across))
    step = _step(max(y for line in lines.values() for _, y in line))
    steps = ceil(max(y for line in lines.values() for _, y in line) / step)

    def place(x: float, y: float) -> tuple[float, float]:
        along = (log10(x) - first) / (last - first)
        return (
            round(_LEFT + along * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - y / (step * steps) * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="{_LEFT - 40}" y="20">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}">{escape(below)}</text>',
    ]
    for number in range(steps + 1):
        _, y = place(min(across), number * step)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{number * step:g}</text>')
    for x in sorted(set(across)):
        along, _ = place(x, 0)
        parts.append(f'<text x="{along}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_short(x)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [place(x, y) for x, y in line]
        joined = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
        beside = _TOP + 10 + 22 * number
        parts.append(f'<circle cx="{_WIDTH - _RIGHT + 24}" cy="{beside}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 36}" y="{beside + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _step(highest: float) -> float:
    """Return the distance of the lines behind: one, two or five times a power of ten, four to nine of them."""
    rough = highest / 5
    power = 10.0 ** int(log10(rough) if rough >= 1 else log10(rough) - 1)
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda each: abs(each - rough))


def _short(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number:,.0f}"
