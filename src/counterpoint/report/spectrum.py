"""The singular values: how many directions carry the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import Figure
from counterpoint.report.page import Part

SMALLEST = 1e-6


def spectrum(result: Mapping[str, Any]) -> Part | None:
    """Share of each singular value, largest first; None if there is none."""
    shares = [numbers.finite(value) for value in sequence(result, "spectrum")]
    values = [value for value in shares if value is not None]
    if not values:
        return None
    rank = numbers.finite(mapping(result, "geometry").get("effective_rank"))
    line = {"color": "--muted", "width": 1.5, "dash": "dot"}
    shape = {"type": "line", "x0": rank, "x1": rank, "y0": 0, "y1": 1, "yref": "paper"}
    figure = Figure(
        label="Share of each singular value, largest first",
        data=[
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(1, len(values) + 1)),
                "y": [100 * value if value > SMALLEST else None for value in values],
                "line": {"color": "--c1", "width": 2},
                "hovertemplate": "direction %{x}: %{y:.3f} %<extra></extra>",
            }
        ],
        layout={
            "xaxis": {"title": {"text": "direction"}, "range": [0, len(values) + 1]},
            "yaxis": {"title": {"text": "share (%)"}, "type": "log", "exponentformat": "none"},
            "shapes": [] if rank is None else [{**shape, "line": line}],
        },
        height=320,
    )
    dead = sum(value <= SMALLEST for value in values)
    note = "" if rank is None else f"Dotted line: the effective rank, {numbers.decimal(rank, 1)}. "
    return Part(
        id="spectrum",
        title="Spectrum",
        template="chart.html.jinja",
        context={
            "figures": [figure],
            "note": f"{note}{dead} of {len(values)} directions carry nothing." if dead else note,
        },
        lead="Singular values of the embeddings as shares of their sum. A line that falls off a "
        "cliff means that few directions are used: the space has collapsed in part.",
    )
