"""Which classes lie among which: the labels of neighbours, by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import Figure, plain
from counterpoint.report.page import Part

MOST_CLASSES = 30
MOST_WRITTEN = 12
MOST_PAIRS = 8


def confusion(result: Mapping[str, Any]) -> Part | None:
    """The matrix and its largest entries off the diagonal; None without labels."""
    found, names = mapping(result, "confusion"), mapping(result, "classes")
    matrix: Sequence[Sequence[float]] = sequence(found, "matrix")
    if not matrix:
        return None
    classes = [str(names.get(str(label), label)) for label in sequence(found, "classes")]
    purest = sorted(range(len(classes)), key=lambda i: matrix[i][i])
    kept = sorted(purest[:MOST_CLASSES])
    hidden = len(classes) - len(kept)
    k = numbers.count(numbers.finite(found.get("k")) or 0)
    return Part(
        id="confusion",
        title="Confused classes",
        template="confusion.html.jinja",
        context={
            "figure": _figure(
                [classes[i] for i in kept], [[matrix[i][j] for j in kept] for i in kept]
            ),
            "pairs": _pairs(classes, matrix),
            "note": f"The {len(kept)} classes with the least pure neighbours are shown; "
            f"{hidden} more are not, so rows need not add up to 100 %."
            if hidden
            else "",
        },
        lead=f"For the samples of a class (row), the share of their {k} nearest neighbours that "
        "belong to each class (column).",
    )


def _figure(classes: list[str], matrix: list[list[float]]) -> Figure:
    places = list(range(len(classes)))
    shares = [[100 * value for value in row] for row in matrix]
    axis: dict[str, Any] = {
        "tickvals": places,
        "ticktext": [plain(name) for name in classes],
        "showgrid": False,
        "ticks": "",
        "range": [-0.5, len(classes) - 0.5],
    }
    return Figure(
        label="Share of neighbours by class",
        data=[
            {
                "type": "heatmap",
                "x": places,
                "y": places,
                "z": shares,
                "zmin": 0,
                "zmax": 100,
                "xgap": 1,
                "ygap": 1,
                "colorscale": [[0, "--heat-low"], [1, "--heat-high"]],
                "showscale": False,
                "text": [[_written(value) for value in row] for row in shares],
                "texttemplate": "%{text}" if len(classes) <= MOST_WRITTEN else "",
                "textfont": {"size": 11},
                "customdata": [[[plain(a), plain(b)] for b in classes] for a in classes],
                "hovertemplate": "%{customdata[0]}: %{z:.1f} % of its neighbours are "
                "%{customdata[1]}<extra></extra>",
            }
        ],
        layout={
            "xaxis": {**axis, "side": "top"},
            "yaxis": {**axis, "range": [len(classes) - 0.5, -0.5]},
            "margin": {"l": 20, "r": 8, "t": 30, "b": 8},
        },
        height=max(280, min(90 + 34 * len(classes), 760)),
    )


def _written(value: float) -> str:
    return "" if value < 0.5 else numbers.decimal(value, 0)


def _pairs(classes: list[str], matrix: Sequence[Sequence[float]]) -> list[tuple[str, str, str]]:
    mixed = [
        (matrix[i][j], i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and matrix[i][j] > 0
    ]
    mixed.sort(key=lambda entry: -entry[0])
    return [(classes[i], classes[j], numbers.percent(share)) for share, i, j in mixed[:MOST_PAIRS]]
