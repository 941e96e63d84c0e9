"""Draws the seeds of a claim: one row a part, right of the line is what was claimed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

LABELS, PLOT, NUMBERS, ROW, EDGE = 225, 280, 215, 26, 8
WIDTH = LABELS + PLOT + NUMBERS
MARKS = {"holds": "✓", "not shown": "?", "refuted": "✗"}


def plot(claim: dict[str, Any]) -> str:
    """An SVG of the effect of every seed and the interval of each part, in its own scale.

    Args:
        claim: a committed result.
    """
    parts = claim["parts"]
    height = ROW * len(parts) + EDGE
    rows = "".join(line for number, part in enumerate(parts) for line in _row(number, part))
    return (
        f'<figure class="claim"><svg role="img" viewBox="0 0 {WIDTH} {height}" '
        f'aria-label="Seeds and intervals of {escape(claim["id"])}">{rows}</svg>'
        "<figcaption>Every dot is a seed, the bar is the 95 % interval, the line is no effect, the "
        "dashed line the margin; right is the claimed direction. Each row has its own scale."
        "</figcaption></figure>"
    )


def _row(number: int, part: dict[str, Any]) -> Iterator[str]:
    sign = 1 if part["direction"] == "higher" else -1
    seeds = [sign * (value["method"] - value["baseline"]) for value in part["values"]]
    low, high = sorted(sign * end for end in part["ci95"])
    margin = part["margin"]
    largest = max(map(abs, [low, high, margin, *seeds])) or 1.0
    middle = ROW * number + ROW / 2

    def across(value: float) -> str:
        half = PLOT / 2
        return f"{LABELS + half + (half - EDGE) * value / largest:.1f}"

    def upright(value: float, kind: str) -> str:
        return f'<path class="{kind}" d="M{across(value)} {ROW * number}v{ROW}"/>'

    yield f'<g class="{part["verdict"].replace(" ", "-")}"><title>{escape(part["claim"])}</title>'
    yield f'<text class="part" x="{LABELS - EDGE}" y="{middle + 4}">{escape(part["id"])}</text>'
    yield upright(0, "zero")
    if margin:
        yield upright(margin, "margin")
    yield f'<line class="interval" x1="{across(low)}" x2="{across(high)}" '
    yield f'y1="{middle}" y2="{middle}"/>'
    for seed in seeds:
        yield f'<circle cx="{across(seed)}" cy="{middle}" r="3"/>'
    start, end = part["ci95"]
    numbers = f"{MARKS[part['verdict']]} {part['effect']:.3g} ({start:.3g} to {end:.3g})"
    yield f'<text x="{LABELS + PLOT + EDGE}" y="{middle + 4}">{numbers}</text></g>'
