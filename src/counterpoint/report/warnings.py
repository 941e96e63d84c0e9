"""Warnings and failures of the run, by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report.board import Board, mapping, sequence
from counterpoint.report.page import Part


def warnings(board: Board, results: Mapping[str, Any]) -> Part:
    """What went wrong or looked wrong; says so when nothing did."""
    said = [
        (row.label, row.error, [str(w) for w in sequence(row.raw, "warnings")])
        for row in board.rows
    ]
    unread = len(sequence(mapping(results, "data"), "problems"))
    return Part(
        id="warnings",
        title="Warnings",
        template="warnings.html.jinja",
        context={
            "rows": [(label, error, found) for label, error, found in said if error or found],
            "general": [str(w) for w in sequence(results, "warnings")],
            "unread": unread,
        },
    )
