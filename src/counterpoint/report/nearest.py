"""A sample of anchors, each with its nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.page import Part


def nearest(result: Mapping[str, Any]) -> Part | None:
    """Pictures or texts in rows; None if no anchor was taken."""
    found, items = mapping(result, "neighbours"), mapping(result, "items")
    classes = mapping(result, "classes")
    lines = []
    for anchor in sequence(found, "anchors"):
        first = _card(items, classes, anchor["row"])
        others = [
            _card(items, classes, row, similarity, first["label"])
            for row, similarity in zip(anchor["rows"], anchor["similarities"], strict=True)
        ]
        lines.append((first, others))
    if not lines:
        return None
    return Part(
        id="neighbours",
        title="Nearest neighbours",
        template="neighbours.html.jinja",
        context={
            "lines": lines,
            "pictures": any(first["picture"] for first, _ in lines),
            "labelled": bool(classes),
        },
        lead="Random anchors, each with the samples most similar to it, by cosine similarity.",
    )


def _card(
    items: Mapping[str, Any],
    classes: Mapping[str, Any],
    row: int,
    similarity: float | None = None,
    wanted: object = None,
) -> dict[str, Any]:
    item = mapping(items, str(row))
    label = item.get("label")
    return {
        "name": str(item.get("name") or f"row {row}"),
        "label": label,
        "class": "" if label is None else str(classes.get(str(label), label)),
        "text": item.get("text", ""),
        "picture": item.get("picture", ""),
        "similarity": "" if similarity is None else numbers.decimal(similarity),
        "agrees": None if wanted is None or label is None else label == wanted,
    }
