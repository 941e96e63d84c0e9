"""The map: every point a sample, its picture or text shown on hover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.charts import COLOURS, SYMBOLS, Figure, Trace, plain
from counterpoint.report.page import Part

CAUTION = {
    "t-SNE": "Points that lie close are close in the space; the size of a cluster and the "
    "distance between clusters mean nothing.",
    "PCA": "Distances on the map are never larger than in the space, often much smaller.",
}
UNLABELLED = "none"


def space_map(result: Mapping[str, Any]) -> Part | None:
    """The scatter chart with its tooltip; None without points."""
    chart, items = mapping(result, "map"), mapping(result, "items")
    rows = [str(row) for row in sequence(chart, "rows")]
    if not rows:
        return None
    classes = mapping(result, "classes")
    method = str(chart.get("method") or "")
    used = numbers.finite(result.get("samples")) or len(rows)
    shown = f"{numbers.count(len(rows))} of {numbers.count(used)} samples"
    figure = Figure(
        label=f"Map of {shown}",
        data=_traces(chart, rows, items, classes),
        layout={
            "xaxis": {"visible": False},
            "yaxis": {"visible": False, "scaleanchor": "x"},
            "dragmode": "zoom",
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "legend": {"itemsizing": "constant"},
            "showlegend": False,
        },
        height=560,
    )
    return Part(
        id="map",
        title="Map",
        template="map.html.jinja",
        context={
            "figure": figure,
            "classes": _legend(classes, figure),
            "items": {row: _tip(items, row, classes) for row in rows},
            "note": f"{method}: {chart.get('settings', '')}. {CAUTION.get(method, '')} {shown} "
            "are shown. Drag to enlarge a part, double-click to go back.",
        },
        lead="",
    )


def style(place: int) -> tuple[str, str]:
    """Colour and symbol of the class at a place; both repeat late and not together."""
    return COLOURS[place % len(COLOURS)], SYMBOLS[(place // len(COLOURS)) % len(SYMBOLS)]


def _traces(
    chart: Mapping[str, Any],
    rows: list[str],
    items: Mapping[str, Any],
    classes: Mapping[str, Any],
) -> list[Trace]:
    points = list(zip(rows, sequence(chart, "x"), sequence(chart, "y"), strict=True))
    by_label: dict[str, list[tuple[str, float, float]]] = {}
    for point in points:
        by_label.setdefault(_label(items, point[0]), []).append(point)
    traces = []
    for place, label in enumerate([*classes, UNLABELLED]):
        known = label in classes
        mine = by_label.get(label, [])
        colour, symbol = style(place) if known else ("--floor", "circle")
        if not classes:
            colour = COLOURS[0]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(str(classes[label])) if known else "no label",
                "meta": label,
                "x": [x for _, x, _ in mine],
                "y": [y for _, _, y in mine],
                "customdata": [row for row, _, _ in mine],
                "marker": {"color": colour, "symbol": symbol, "size": 6, "opacity": 0.8},
                "hoverinfo": "none",
            }
        )
    return [trace for trace in traces if trace["x"]]


def _label(items: Mapping[str, Any], row: str) -> str:
    label = mapping(items, row).get("label")
    return UNLABELLED if label is None else str(label)


def _legend(classes: Mapping[str, Any], figure: Figure) -> list[tuple[str, str, str, str]]:
    shown = {trace["meta"] for trace in figure.data}
    named = [(label, str(classes[label]), *style(place)) for place, label in enumerate(classes)]
    if named:
        named.append((UNLABELLED, "no label", "--floor", "circle"))
    return [entry for entry in named if entry[0] in shown]


def _tip(items: Mapping[str, Any], row: str, classes: Mapping[str, Any]) -> dict[str, Any]:
    item = mapping(items, row)
    tip = {"name": item.get("name") or f"row {row}"}
    if item.get("label") is not None:
        tip["class"] = classes.get(str(item["label"]), str(item["label"]))
    for key in ("text", "picture"):
        if item.get(key):
            tip[key] = item[key]
    return tip
