"""Chart of how the push on the negatives is shared out by their hardness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import Figure
from counterpoint.report.page import Part

NAMES = (
    ("plain", "as they are", "--c1", "solid"),
    ("extrapolation", "positives extrapolated", "--c2", "dash"),
    ("interpolation", "negatives interpolated", "--c3", "dot"),
    ("both", "both", "--c4", "dashdot"),
)


def hardness(result: Mapping[str, Any]) -> Part | None:
    """Cumulative share of the push by share of the negatives; None if there were no views."""
    found = mapping(result, "hardness")
    fractions = [100 * value for value in sequence(found, "fractions")]
    kinds = mapping(found, "kinds")
    if not fractions or not kinds:
        return None
    figure = Figure(
        label="Share of the push on the hardest negatives, cumulative",
        data=[
            {
                "type": "scatter",
                "mode": "lines",
                "name": title,
                "x": fractions,
                "y": [100 * share for share in sequence(mapping(kinds, key), "push")],
                "line": {"color": shade, "dash": line, "width": 2},
                "hovertemplate": "hardest %{x:.1f} %: %{y:.1f} % of the push"
                "<extra>%{fullData.name}</extra>",
            }
            for key, title, shade, line in NAMES
            if key in kinds
        ],
        layout={
            "xaxis": {"title": {"text": "hardest negatives (%)"}, "type": "log"},
            "yaxis": {"title": {"text": "share of the push (%)"}, "range": [0, 102]},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        },
        height=360,
    )
    return Part(
        id="hardness",
        title="Hardness",
        template="chart.html.jinja",
        context={"figures": [figure], "note": _note(found)},
        lead="How a softmax contrast shares its push among the negatives of an anchor, on two "
        "views of held-out samples: the steeper the rise, the fewer negatives really count.",
    )


def _note(found: Mapping[str, Any]) -> str:
    temperature = numbers.finite(found.get("temperature"))
    pulls = {
        key: numbers.finite(mapping(mapping(found, "kinds"), key).get("pull"))
        for key in ("plain", "extrapolation")
    }
    if temperature is None or None in pulls.values():
        return ""
    plain, harder = (numbers.decimal(value) for value in pulls.values() if value is not None)
    return (
        f"Temperature {numbers.decimal(temperature)}. Pull on the positive (1 − p): {plain}; on "
        f"the extrapolated positive {harder}."
    )
