"""Chart of the geometry: how close positives are against how evenly the space is filled."""

from __future__ import annotations

from counterpoint.report import numbers
from counterpoint.report.board import GEOMETRY, Board, Column, Row
from counterpoint.report.charts import LONGEST_NAME, Figure, Trace, colour, plain, symbol
from counterpoint.report.page import Part

ALIGNMENT, UNIFORMITY, TOLERANCE, RANK = GEOMETRY
WIDTH, HEIGHT, LETTER, LINE, EDGE = 260, 330, 8, 18, 20
OUTSIDE = 10_000
PLACES = {
    "middle right": (0.5, 0.0),
    "middle left": (-0.5, 0.0),
    "top center": (0.0, -1.0),
    "bottom center": (0.0, 1.0),
}
Box = tuple[float, float, float, float]


def geometry(board: Board) -> Part | None:
    """Alignment against uniformity; None if no row has both."""
    rows = [r for r in board.of("method", "ceiling", "floor") if _measured(r)]
    if not rows:
        return None
    figure = Figure(
        label="Alignment against uniformity of each row",
        data=[_trace(row, place) for row, place in zip(rows, _places(rows), strict=True)],
        layout={
            "xaxis": {"title": {"text": "alignment  (← two views lie closer)"}},
            "yaxis": {"title": {"text": "uniformity  (↓ more evenly spread)"}},
            "showlegend": False,
        },
        height=420,
    )
    return Part(
        id="geometry",
        title="Geometry",
        template="chart.html.jinja",
        context={
            "figures": [figure],
            "note": "Hover for tolerance and effective rank. Near the lower left corner, views of "
            "a sample agree and different samples keep apart; a space that has collapsed sits at "
            "the upper left, with perfect alignment and no use.",
        },
        lead="The shape of the space on the unit sphere. No end of these scales is best by itself.",
    )


def _measured(row: Row) -> bool:
    return row.value(ALIGNMENT) is not None and row.value(UNIFORMITY) is not None


def _places(rows: list[Row]) -> list[str]:
    """Where each label stands: the first place that covers nothing, on a phone's chart."""
    spots = list(
        zip(_pixels(rows, ALIGNMENT, WIDTH), _pixels(rows, UNIFORMITY, -HEIGHT), strict=True)
    )
    taken: list[Box] = [(x - 9, y - 9, x + 9, y + 9) for x, y in spots]
    taken += [(-OUTSIDE, -OUTSIDE, -EDGE, OUTSIDE), (WIDTH + EDGE, -OUTSIDE, OUTSIDE, OUTSIDE)]
    chosen = []
    for row, (x, y) in zip(rows, spots, strict=True):
        boxes = {place: _box(row, place, x, y) for place in PLACES}
        best = min(boxes, key=lambda place: sum(_overlap(boxes[place], box) for box in taken))
        taken.append(boxes[best])
        chosen.append(best)
    return chosen


def _pixels(rows: list[Row], column: Column, length: int) -> list[float]:
    values = [row.value(column) or 0.0 for row in rows]
    span = max(values) - min(values) or 1.0
    return [length * (value - min(values)) / span for value in values]


def _box(row: Row, place: str, x: float, y: float) -> Box:
    width = LETTER * min(len(row.label), LONGEST_NAME)
    across, down = PLACES[place]
    middle = x + across * (width + 24)
    centre = y + down * LINE
    return (middle - width / 2, centre - LINE / 2, middle + width / 2, centre + LINE / 2)


def _overlap(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


def _trace(row: Row, place: str) -> Trace:
    shown = []
    for column in (TOLERANCE, RANK):
        value = row.value(column)
        text = numbers.MISSING if value is None else column.show(value)
        shown.append(f"{column.title} {text}")
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [row.value(ALIGNMENT)],
        "y": [row.value(UNIFORMITY)],
        "text": [plain(row.label)],
        "textposition": place,
        "cliponaxis": False,
        "customdata": ["<br>".join(shown)],
        "marker": {"color": colour(row), "symbol": symbol(row), "size": 13},
        "hovertemplate": "%{text}<br>alignment %{x:.3f}<br>uniformity %{y:.3f}"
        "<br>%{customdata}<extra></extra>",
    }
