"""Chart of the probes: how useful each embedding is, with the error of the test set."""

from __future__ import annotations

from typing import Any

from counterpoint.report.board import PROBES, Board, Column, Row
from counterpoint.report.charts import Figure, Trace, plain
from counterpoint.report.noise import standard_error
from counterpoint.report.page import Part

STYLES = (("--c1", "circle"), ("--c2", "diamond"), ("--c3", "square"))
SPREAD = 0.2


def probes(board: Board) -> Part | None:
    """Accuracy by probe and row; None if no probe was measured."""
    rows = [row for row in board.of("method", "ceiling", "floor") if _measured(row)][::-1]
    if not rows:
        return None
    lines = rows[::1]
    data = [_trace(board, lines, i, column) for i, column in enumerate(PROBES)]
    figure = Figure(
        label="Accuracy of each row by probe",
        data=[trace for trace in data if trace["x"]],
        layout={
            "xaxis": {"title": {"text": "test accuracy (%)"}, "ticksuffix": ""},
            "yaxis": _names(lines),
            "shapes": _floor(board),
            "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
            "margin": {"l": 20, "t": 36},
        },
        height=110 + 44 * len(lines),
    )
    return Part(
        id="probes",
        title="Probes",
        template="chart.html.jinja",
        context={"figures": [figure], "note": _note(board)},
        lead="Each embedding is frozen and asked for the class of held-out samples in three ways.",
    )


def _measured(row: Row) -> bool:
    return any(row.value(column) is not None for column in PROBES)


def _trace(board: Board, rows: list[Row], place: int, column: Column) -> Trace:
    shown = [(i, row, row.value(column)) for i, row in enumerate(rows)]
    points = [(i, row, value) for i, row, value in shown if value is not None]
    colour, symbol = STYLES[place]
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": column.title,
        "x": [100 * value for _, _, value in points],
        "y": [i + SPREAD * (1 - place) for i, _, _ in points],
        "text": [plain(row.label) for _, row, _ in points],
        "marker": {"color": colour, "symbol": symbol, "size": 10},
        "hovertemplate": "%{text}<br>" + column.title + " %{x:.1f} %<extra></extra>",
    }
    if board.test:
        errors = [100 * standard_error(min(max(v, 0), 1), board.test) for _, _, v in points]
        trace["error_x"] = {
            "type": "data",
            "array": errors,
            "color": colour,
            "thickness": 1.5,
            "width": 0,
        }
        trace["customdata"] = errors
        trace["hovertemplate"] = (
            "%{text}<br>" + column.title + " %{x:.1f} ± %{customdata:.1f} %<extra></extra>"
        )
    return trace


def _names(rows: list[Row]) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(rows))),
        "ticktext": [plain(row.label) for row in rows],
        "range": [-0.6, len(rows) - 0.4],
        "showgrid": True,
        "ticks": "",
    }


def _floor(board: Board) -> list[dict[str, Any]]:
    lead = board.lead
    floor = board.best(lead, "floor") if lead else None
    value = floor.value(lead) if floor and lead else None
    if value is None:
        return []
    line = {"color": "--floor", "width": 1.5, "dash": "dot"}
    return [
        {
            "type": "line",
            "x0": 100 * value,
            "x1": 100 * value,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": line,
            "layer": "below",
        }
    ]


def _note(board: Board) -> str:
    lead = board.lead
    bars = "Bars: one standard error of the test set each way. " if board.test else ""
    if lead and board.best(lead, "floor"):
        return f"{bars}Dotted line: the best floor by {lead.title}."
    return bars
