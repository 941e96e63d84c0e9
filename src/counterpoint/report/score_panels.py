"""Score histograms of every row of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report.board import ROLES, Board, Row, mapping
from counterpoint.report.page import Part
from counterpoint.report.scores import KINDS, facts, histogram_figure, span_of

SOURCES = (
    ("scores_of_views", "two views of one held-out sample, negative pairs of two"),
    ("scores_of_labels", "two held-out samples of one class, negative pairs of two"),
)


def score_panels(board: Board) -> Part | None:
    """One small chart a row, of views where they were measured; None without any."""
    for key, words in SOURCES:
        rows = [(row, found) for row in board.of(*ROLES) if (found := _curve(row, key))]
        if rows:
            return _part(rows, words)
    return None


def _part(rows: list[tuple[Row, Mapping[str, Any]]], words: str) -> Part:
    spans = [span_of(histogram) for _, histogram in rows]
    span = min(low for low, _ in spans), max(high for _, high in spans)
    panels = [
        (row.label, facts(histogram), "", histogram_figure(histogram, row.label, span, 220))
        for row, histogram in rows
    ]
    return Part(
        id="scores",
        title="Scores",
        template="scores.html.jinja",
        context={"panels": panels, "kinds": KINDS, "wide": False},
        lead=f"Cosine similarity of pairs. Positive pairs are {words}. The less the two hills "
        "overlap, the more a similarity tells.",
    )


def _curve(row: Row, key: str) -> Mapping[str, Any]:
    return mapping(mapping(row.raw, "curves"), key)
