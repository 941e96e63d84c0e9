"""The leaderboard: every number of every row, sortable, with best values and ties marked."""

from __future__ import annotations

from dataclasses import dataclass

from counterpoint.report import numbers
from counterpoint.report.board import GROUPS, PROBES, Board, Column, Role, Row
from counterpoint.report.page import Part

EXPLAINED: dict[Role, tuple[str, str]] = {
    "method": ("Methods", ""),
    "ceiling": ("Ceiling", "learns from the labels that the methods above never see"),
    "floor": (
        "Floors",
        "without training on this data; a method must rise above them",
    ),
}


@dataclass(frozen=True)
class Cell:
    """A value as the table shows it; ``share`` in [0, 1] draws a bar."""

    text: str
    value: float | None
    reason: str = ""
    share: float | None = None
    best: bool = False
    tie: bool = False


@dataclass(frozen=True)
class Line:
    """A row as the table shows it."""

    label: str
    method: str
    cells: tuple[Cell, ...]
    error: str
    below: str


def leaderboard(board: Board) -> Part:
    """The table, its rows grouped into methods, ceiling and floors."""
    columns = [column for _, group in GROUPS for column in group]
    bodies = [
        {
            "role": role,
            "title": title,
            "words": words,
            "lines": [_line(board, row, columns) for row in board.of(role)],
        }
        for role, (title, words) in EXPLAINED.items()
    ]
    return Part(
        id="leaderboard",
        title="Leaderboard",
        template="leaderboard.html.jinja",
        context={
            "groups": [(title, len(group)) for title, group in GROUPS],
            "columns": columns,
            "bodies": [body for body in bodies if body["lines"]],
            "test": numbers.count(board.test) if board.test else "",
            "lead": board.lead,
            "starts": {group[0].key for _, group in GROUPS},
        },
    )


def _line(board: Board, row: Row, columns: list[Column]) -> Line:
    method = str(row.raw.get("method") or "")
    return Line(
        label=row.label,
        method=method if method != row.label else "",
        cells=tuple(_cell(board, row, column) for column in columns),
        error=row.error,
        below=_below(board, row),
    )


def _cell(board: Board, row: Row, column: Column) -> Cell:
    value = row.value(column)
    if value is None:
        return Cell(numbers.MISSING, None, reason=row.missing(column, board.labelled))
    best = board.best(column)
    return Cell(
        text=column.show(value),
        value=value,
        share=min(max(value, 0.0), 1.0) if column in PROBES else None,
        best=best is not None and row.role == "method" and value == best.value(column),
        tie=row in board.rivals(column),
    )


def _below(board: Board, row: Row) -> str:
    lead = board.lead
    if row.role != "method" or lead is None:
        return ""
    floor, value = board.best(lead, "floor"), row.value(lead)
    level = floor.value(lead) if floor else None
    if floor is None or level is None or value is None:
        return ""
    if board.tied(lead, row, floor):
        return f"{lead.title} ties {floor.label}"
    return f"{lead.title} below {floor.label}" if value < level else ""
