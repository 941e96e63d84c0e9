"""Charts of a run's course: scores, gradient shares, and the path through the space's shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import Board, Row, mapping, sequence
from counterpoint.report.charts import Figure, Trace, colour, dash, plain, symbol
from counterpoint.report.page import Part
from counterpoint.report.scores import KINDS

Point = Mapping[str, Any]
SHOWN = (
    ("plain", "Scores as they are"),
    ("both", "Extrapolated positives, interpolated negatives"),
)
PULL, PUSH = "pull on the positive, 1 − p", "push on the hardest 10 %"


def course(result: Mapping[str, Any]) -> Part | None:
    """Scores and gradient shares by step; None if the run left no course."""
    points = _points(result)
    if len(points) < 2:
        return None
    panels = [(title, "", "", _scores(points, kind, title)) for kind, title in SHOWN]
    panels += [("Where the gradient goes", "", _temperature(points), _shares(points))]
    return Part(
        id="course",
        title="Course of training",
        template="scores.html.jinja",
        context={"panels": panels, "kinds": KINDS, "wide": True},
        lead="Cosine similarity of positive and negative pairs of a training batch, by step: the "
        "line is the median, the band holds nine tenths of the pairs. Beside it what feature "
        "transformation would make of the same pairs: harder positives, more varied negatives.",
    )


def trajectories(board: Board) -> Part | None:
    """The path of each method in the plane of alignment and uniformity; None without a course."""
    paths = [(row, _points(row.raw)) for row in board.of("method", "ceiling")]
    paths = [(row, points) for row, points in paths if len(points) > 1]
    if not paths:
        return None
    figure = Figure(
        label="Alignment and uniformity of the training batches, from step to step",
        data=[_path(row, points) for row, points in paths],
        layout={
            "xaxis": {"title": {"text": "alignment  (← two views lie closer)"}},
            "yaxis": {"title": {"text": "uniformity  (↓ more evenly spread)"}},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hovermode": "closest",
        },
        height=420,
    )
    return Part(
        id="trajectories",
        title="Trajectories",
        template="chart.html.jinja",
        context={
            "figures": [figure],
            "note": "Measured on what the objective sees (behind the head), on batches of "
            "training; the large marker is the end of the run.",
        },
        lead="How the space got its shape. A lower temperature usually ends lower (more uniform) "
        "and further right (views less alike); compare one method at several temperatures with "
        "names such as simclr:temperature=0.07.",
    )


def _points(holder: Mapping[str, Any]) -> list[Point]:
    points = [point for point in sequence(holder, "course") if isinstance(point, Mapping)]
    return [point for point in points if numbers.finite(point.get("step")) is not None]


def _scores(points: Sequence[Point], kind: str, title: str) -> Figure:
    steps = [point["step"] for point in points]
    data: list[Trace] = []
    for key, name, shade in KINDS:
        levels = [sequence(mapping(mapping(p, "scores"), kind), key) for p in points]
        low, middle, high = ([q[i] if len(q) > i else None for q in levels] for i in (0, 2, 4))
        edge = {"type": "scatter", "mode": "lines", "x": steps, "hoverinfo": "skip"}
        data += [
            {**edge, "y": low, "line": {"color": shade, "width": 0}},
            {
                **edge,
                "y": high,
                "line": {"color": shade, "width": 0},
                "fill": "tonexty",
                "fillcolor": f"{shade}-soft",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": steps,
                "y": middle,
                "line": {"color": shade, "width": 2},
                "hovertemplate": "step %{x}: median %{y:.3f}<extra>%{fullData.name}</extra>",
            },
        ]
    return _by_step(f"Similarity of pairs by step: {title}", data, "cosine similarity")


def _shares(points: Sequence[Point]) -> Figure:
    data: list[Trace] = []
    for kind, line, suffix in (("plain", "solid", ""), ("both", "dot", ", transformed")):
        found = [mapping(mapping(point, "scores"), kind) for point in points]
        pulls = [numbers.finite(each.get("pull")) for each in found]
        pushes = [[*sequence(each, "hardest"), None, None][1] for each in found]
        for name, shade, values in ((PULL, "--c1", pulls), (PUSH, "--c2", pushes)):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name + suffix,
                    "x": [point["step"] for point in points],
                    "y": values,
                    "line": {"color": shade, "width": 2, "dash": line},
                    "hovertemplate": "step %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
                }
            )
    return _by_step("Gradient shares by step", data, "share", legend=True)


def _by_step(label: str, data: list[Trace], title: str, legend: bool = False) -> Figure:
    return Figure(
        label=label,
        data=data,
        layout={
            "xaxis": {"title": {"text": "step"}},
            "yaxis": {"title": {"text": title}},
            "showlegend": legend,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "margin": {"l": 48, "r": 12, "t": 8, "b": 36},
        },
        height=300,
    )


def _temperature(points: Sequence[Point]) -> str:
    value = numbers.finite(points[-1].get("temperature"))
    told = "" if value is None else f" at temperature {numbers.decimal(value)}"
    return f"Of a softmax{told}. Dotted: after extrapolation and interpolation."


def _path(row: Row, points: Sequence[Point]) -> Trace:
    last = len(points) - 1
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(row.label),
        "x": [numbers.finite(point.get("alignment")) for point in points],
        "y": [numbers.finite(point.get("uniformity")) for point in points],
        "customdata": [point["step"] for point in points],
        "line": {"color": colour(row), "dash": dash(row), "width": 1.5},
        "marker": {
            "color": colour(row),
            "symbol": symbol(row),
            "size": [13 if i == last else 4 for i in range(len(points))],
        },
        "hovertemplate": "step %{customdata}<br>alignment %{x:.3f}<br>uniformity %{y:.3f}"
        "<extra>%{fullData.name}</extra>",
    }
