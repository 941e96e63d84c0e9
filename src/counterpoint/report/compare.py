"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint.files import write_text
from counterpoint.report import board as boards
from counterpoint.report import numbers, verdict
from counterpoint.report.board import Board, mapping
from counterpoint.report.course import trajectories
from counterpoint.report.geometry import geometry
from counterpoint.report.leaderboard import leaderboard
from counterpoint.report.origin import origin
from counterpoint.report.page import Head, Part, render
from counterpoint.report.probes import probes
from counterpoint.report.protocol import protocol
from counterpoint.report.regimes import regimes
from counterpoint.report.reproduce import reproduce
from counterpoint.report.score_panels import score_panels
from counterpoint.report.training import training
from counterpoint.report.warnings import warnings


def compare_page(results: Mapping[str, Any], path: Path) -> None:
    """Writes the report of a comparison as one self-contained HTML file, whole or not at all.

    Args:
        results: as in ``results.json``; every part may be missing.
        path: the file to write; its folder is made if need be.

    Raises:
        MissingExtraError: jinja2 or plotly is not installed.
        SettingError: the folder cannot be written.
    """
    board = boards.read(results)
    parts: list[Part | None] = [
        leaderboard(board) if board.rows else None,
        probes(board),
        geometry(board),
        trajectories(board),
        score_panels(board),
        training(board),
        regimes(board),
        warnings(board, results),
        protocol(results),
        reproduce(results),
    ]
    write_text(path, render(_head(board, results), [part for part in parts if part]))


def _head(board: Board, results: Mapping[str, Any]) -> Head:
    name = str(mapping(results, "data").get("name") or "")
    return Head(
        title=f"{name} – compare" if name else "compare",
        kind="compare",
        headline=verdict.headline(board),
        notes=verdict.notes(board, results),
        facts=_facts(board, results),
        origin=origin(results),
    )


def _facts(board: Board, results: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    data = mapping(results, "data")
    seconds = [numbers.finite(row.raw.get("seconds")) for row in board.rows]
    total = sum(value for value in seconds if value is not None)
    size = [numbers.finite(data.get(key)) for key in ("train", "test")]
    samples = " + ".join(numbers.count(value) for value in size if value is not None)
    classes = numbers.finite(data.get("classes"))
    facts = [
        ("data", str(data.get("name") or "")),
        ("train + test", samples),
        ("classes", numbers.count(classes) if classes else ""),
        ("methods", numbers.count(len(board.of("method")))),
        ("seeds", numbers.count(verdict.seeds(results))),
        ("training time", numbers.duration(total) if total else ""),
    ]
    return tuple((key, value) for key, value in facts if value)
