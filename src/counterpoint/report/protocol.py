"""What was measured on what: the data, how it was split, and the versioned protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import mapping, sequence
from counterpoint.report.page import Part

MOST_PROBLEMS = 20


def protocol(results: Mapping[str, Any]) -> Part | None:
    """Data and protocol side by side; None if the results hold neither."""
    data, rules = mapping(results, "data"), mapping(results, "protocol")
    if not data and not rules:
        return None
    problems = [p for p in sequence(data, "problems") if isinstance(p, Mapping)]
    return Part(
        id="protocol",
        title="Data and protocol",
        template="protocol.html.jinja",
        context={
            "data": tree({k: v for k, v in data.items() if k != "problems" and v not in ("", 0)}),
            "protocol": tree(rules),
            "problems": problems[:MOST_PROBLEMS],
            "more": max(len(problems) - MOST_PROBLEMS, 0),
            "count": len(problems),
        },
    )


def tree(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Pairs of a name and a text, or of a name and pairs again."""
    return [
        (str(key).replace("_", " "), tree(value) if isinstance(value, Mapping) else _said(value))
        for key, value in values.items()
    ]


def _said(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.count(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_said(item) for item in value)
    return str(value)
