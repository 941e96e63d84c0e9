"""Chart of the training curves."""

from __future__ import annotations

from collections.abc import Sequence

from counterpoint.report import numbers
from counterpoint.report.board import Board, Row, mapping, sequence
from counterpoint.report.charts import Figure, Trace, colour, dash, plain
from counterpoint.report.page import Part

MOST_POINTS = 240


def training(board: Board) -> Part | None:
    """Loss by step; None if no row kept its history."""
    curves = [(row, *_history(row)) for row in board.of("method", "ceiling")]
    curves = [curve for curve in curves if len(curve[1]) > 1]
    if not curves:
        return None
    figure = Figure(
        label="Training loss by step",
        data=[_trace(row, steps, losses) for row, steps, losses in curves],
        layout={
            "xaxis": {"title": {"text": "step"}},
            "yaxis": {"title": {"text": "training loss"}},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "closest",
        },
        height=400,
    )
    longest = max(len(steps) for _, steps, _ in curves)
    width = -(-longest // MOST_POINTS)
    note = f"Each point is the mean of up to {width} recorded steps." if width > 1 else ""
    return Part(
        id="training",
        title="Training",
        template="chart.html.jinja",
        context={"figures": [figure], "note": note},
        lead="The shape of a curve tells whether training had settled; its height does not compare "
        "objectives, which live on different scales.",
    )


def _history(row: Row) -> tuple[list[float], list[float]]:
    history = mapping(row.raw, "history")
    pairs = zip(sequence(history, "step"), sequence(history, "loss"), strict=False)
    kept = [
        (step, loss)
        for step, loss in ((numbers.finite(a), numbers.finite(b)) for a, b in pairs)
        if step is not None and loss is not None
    ]
    return [step for step, _ in kept], [loss for _, loss in kept]


def _trace(row: Row, steps: Sequence[float], losses: Sequence[float]) -> Trace:
    width = -(-len(steps) // MOST_POINTS)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(row.label),
        "x": _means(steps, width),
        "y": _means(losses, width),
        "line": {"color": colour(row), "dash": dash(row), "width": 2},
        "hovertemplate": "step %{x:.0f}<br>loss %{y:.4f}<extra>%{fullData.name}</extra>",
    }


def _means(values: Sequence[float], width: int) -> list[float]:
    groups = (values[start : start + width] for start in range(0, len(values), width))
    return [sum(group) / len(group) for group in groups]
