"""The two regimes of each method's embedding: few labels, naive Bayes; many, logistic regression.

Source: Zheng et al., Revisiting Discriminative vs. Generative Classifiers, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import ROLES, Board, Row, mapping, sequence
from counterpoint.report.charts import Figure, Trace
from counterpoint.report.page import Part

PROBES = (
    ("naive_bayes", "naive Bayes", "--c3", "square"),
    ("logistic", "logistic regression", "--c2", "diamond"),
)
CLOSEST_TICKS = 2.2


def regimes(board: Board) -> Part | None:
    """One small chart a row; None if no row has the curve."""
    rows = [(row, mapping(mapping(row.raw, "curves"), "two_regimes")) for row in board.of(*ROLES)]
    rows = [(row, curve) for row, curve in rows if sequence(curve, "m")]
    if not rows:
        return None
    top = max((value for _, curve in rows for value in _heights(curve)), default=1.0)
    panels = [(row.label, _verdict(curve), _figure(row, curve, top)) for row, curve in rows]
    return Part(
        id="regimes",
        title="Few labels or many",
        template="regimes.html.jinja",
        context={"panels": panels, "probes": PROBES},
        lead="Test error of two probes of the same embedding against the number m of labelled "
        "training samples. With few labels naive Bayes is often ahead, with many logistic "
        "regression. Bands: one standard deviation over repeated draws.",
    )


def _heights(curve: Mapping[str, Any]) -> list[float]:
    heights = []
    for key, *_ in PROBES:
        for mean, spread in _points(curve, key):
            heights.append(mean + spread)
    return heights


def _points(curve: Mapping[str, Any], key: str) -> list[tuple[float, float]]:
    means = [numbers.finite(v) for v in sequence(mapping(curve, key), "mean")]
    spreads = [numbers.finite(v) for v in sequence(mapping(curve, key), "std")]
    spreads += [None] * (len(means) - len(spreads))
    return [(m, s or 0.0) for m, s in zip(means, spreads, strict=False) if m is not None]


def _figure(row: Row, curve: Mapping[str, Any], top: float) -> Figure:
    data: list[Trace] = []
    for key, title, colour, symbol in PROBES:
        data += _traces(curve, key, title, colour, symbol)
    crossing = numbers.finite(curve.get("crossing"))
    line = {"color": "--muted", "width": 1.5, "dash": "dot"}
    shape = {"type": "line", "x0": crossing, "x1": crossing, "y0": 0, "y1": 1, "yref": "paper"}
    return Figure(
        label=f"Test error against labelled samples for {row.label}",
        data=data,
        layout={
            "xaxis": {"title": {"text": "labelled samples m"}, **_sizes(curve)},
            "yaxis": {"title": {"text": "test error (%)"}, "range": [0, 105 * top]},
            "shapes": [] if crossing is None else [{**shape, "line": line}],
            "showlegend": False,
            "margin": {"l": 48, "r": 12, "t": 8, "b": 36},
        },
        height=240,
    )


def _sizes(curve: Mapping[str, Any]) -> dict[str, Any]:
    ticks: list[float] = []
    for size in sorted(numbers.finite(value) or 0.0 for value in sequence(curve, "m")):
        if size > 0 and (not ticks or size >= CLOSEST_TICKS * ticks[-1]):
            ticks.append(size)
    text = [numbers.count(tick) for tick in ticks]
    return {"type": "log", "tickvals": ticks, "ticktext": text}


def _traces(
    curve: Mapping[str, Any], key: str, title: str, colour: str, symbol: str
) -> list[Trace]:
    points = _points(curve, key)
    sizes = list(sequence(curve, "m"))[: len(points)]
    upper = [100 * (mean + spread) for mean, spread in points]
    lower = [100 * max(mean - spread, 0.0) for mean, spread in points]
    band: Trace = {
        "type": "scatter",
        "x": [*sizes, *reversed(sizes)],
        "y": [*upper, *reversed(lower)],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.16,
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
    }
    means: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": title,
        "x": sizes,
        "y": [100 * mean for mean, _ in points],
        "customdata": [100 * spread for _, spread in points],
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "symbol": symbol, "size": 7},
        "hovertemplate": "m = %{x}<br>error %{y:.1f} ± %{customdata:.1f} %<extra>%{fullData.name}"
        "</extra>",
    }
    return [band, means]


def _verdict(curve: Mapping[str, Any]) -> str:
    crossing = numbers.finite(curve.get("crossing"))
    if crossing is not None:
        return f"crossing at m ≈ {numbers.count(crossing)}"
    last = [points[-1][0] for key, *_ in PROBES if (points := _points(curve, key))]
    if len(last) < 2:
        return ""
    winner = PROBES[0][1] if last[0] < last[1] else PROBES[1][1]
    return f"no crossing; {winner} ends ahead"
