"""What all charts share. A figure is plain JSON in plotly's schema.

Colours are names of the page's CSS variables (``--c1``), which the page's script puts in, so that
charts follow light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoint.report.board import Row

Trace = dict[str, Any]
COLOURS = tuple(f"--c{i}" for i in range(1, 11))
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "star",
    "triangle-down",
    "hexagon",
)
FLOOR_SYMBOLS = ("x", "hourglass", "bowtie")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
LONGEST_NAME = 40


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        label: what it shows, for readers who do not see it.
        data: plotly traces.
        layout: what differs from the page's common layout.
        height: in CSS pixels.
    """

    label: str
    data: Sequence[Trace]
    layout: Mapping[str, Any]
    height: int = 360

    @property
    def json(self) -> dict[str, Any]:
        return {"data": list(self.data), "layout": dict(self.layout)}


def plain(text: str) -> str:
    """Text that plotly shows as it is: its own small markup language does not see it."""
    short = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def colour(row: Row) -> str:
    """The colour of a row on every chart: grey for floors, ink for ceilings."""
    if row.role == "method":
        return COLOURS[row.series % len(COLOURS)]
    return "--floor" if row.role == "floor" else "--ceiling"


def symbol(row: Row) -> str:
    """The marker of a row on every chart, so that colour is never needed to tell rows apart."""
    if row.role == "method":
        return SYMBOLS[row.series % len(SYMBOLS)]
    if row.role == "floor":
        return FLOOR_SYMBOLS[row.series % len(FLOOR_SYMBOLS)]
    return "star-diamond"


def dash(row: Row) -> str:
    """The line style of a row."""
    return DASHES[row.series % len(DASHES)]
