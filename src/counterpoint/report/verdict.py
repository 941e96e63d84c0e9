"""The finding of a comparison in one sentence, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from counterpoint.report import numbers
from counterpoint.report.board import PROBES, Board, Column, Role, Row, mapping
from counterpoint.report.noise import standard_error

NOTABLY_LONGER = 1.5
NBSP = "\u00a0"
BOUNDS: tuple[tuple[Role, str], ...] = (
    ("floor", "without training on this data:"),
    ("ceiling", "with the labels that the methods never see:"),
)


def headline(board: Board) -> tuple[str, str]:
    """Which method embeds the data best, or why nobody can say: a sentence in two parts."""
    methods = board.of("method")
    if not methods:
        return "No method was compared.", ""
    if all(row.error for row in methods):
        return "Every method failed;", "the warnings below say why."
    lead = board.lead
    best = board.best(lead) if lead else None
    if lead is None or best is None:
        return "Nobody can say which method is best:", "no probe was measured, only geometry."
    floor = board.best(lead, "floor")
    if floor and not _beats(board, lead, best, floor):
        return _under_the_floor(board, lead, best, floor)
    scores = ", ".join(
        f"{column.title}{NBSP}{column.show(value)}"
        for column in PROBES
        if (value := best.value(column)) is not None
    )
    rivals = [row.label for row in board.rivals(lead)]
    noise = f"; within noise of {listed(rivals)}" if rivals else ""
    return f"{best.label} embeds this data best:", f"{scores}{noise}."


def notes(board: Board, results: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader must know to weigh the headline."""
    found = [
        _difference(board),
        _disagreement(board),
        _bounds(board),
        _noise(board),
        _seeds(results),
    ]
    return tuple(note for note in found if note)


def listed(names: Sequence[str]) -> str:
    """Names as prose: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def seeds(results: Mapping[str, Any]) -> int:
    """How many seeds stand behind the numbers: a count or a list in the protocol, else one."""
    found = mapping(results, "protocol").get("seeds", 1)
    if isinstance(found, (list, tuple)):
        return len(found)
    return int(numbers.finite(found) or 1)


def _beats(board: Board, column: Column, row: Row, floor: Row) -> bool:
    higher = (row.value(column) or 0.0) > (floor.value(column) or 0.0)
    return higher and not board.tied(column, row, floor)


def _under_the_floor(board: Board, column: Column, best: Row, floor: Row) -> tuple[str, str]:
    verb = "is within noise of" if board.tied(column, best, floor) else "stays below"
    return (
        "No method beats the floor:",
        f"{best.label}, the best, {verb} {floor.label} "
        f"({column.title}{NBSP}{_shown(best, column)} against {_shown(floor, column)}).",
    )


def _difference(board: Board) -> str:
    """What a method that leads beyond noise does, and a better ceiling: where to look for why."""
    lead = board.lead
    best = board.best(lead) if lead else None
    if lead is None or best is None or board.rivals(lead):
        return ""
    floor, ceiling = board.best(lead, "floor"), board.best(lead, "ceiling")
    if floor and not _beats(board, lead, best, floor):
        return ""
    rows = [best, *([ceiling] if ceiling and _beats(board, lead, ceiling, best) else [])]
    said = [
        f"{row.label}: {idea}{_time(board, row)}" for row in rows if (idea := row.raw.get("idea"))
    ]
    return f"Why they may lead, by what they do: {' '.join(said)}" if said else ""


def _time(board: Board, row: Row) -> str:
    """How much longer a row trained than the quickest method."""
    times = [t for other in board.of("method") if (t := numbers.finite(other.raw.get("seconds")))]
    own = numbers.finite(row.raw.get("seconds"))
    if not own or own < NOTABLY_LONGER * min(times, default=own):
        return ""
    return (
        f" It trained {numbers.decimal(own / min(times), 1)} times as long as the quickest method."
    )


def _disagreement(board: Board) -> str:
    lead = board.lead
    best = board.best(lead) if lead else None
    others = []
    for column in PROBES:
        other = board.best(column)
        if best and other and other is not best and not board.tied(column, best, other):
            others.append(
                f"the {column.title} probe prefers {other.label} ({_shown(other, column)})"
            )
    return f"The probes disagree: {listed(others)}." if others else ""


def _bounds(board: Board) -> str:
    lead = board.lead
    if lead is None:
        return ""
    said = []
    for role, words in BOUNDS:
        rows = [row for row in board.of(role) if row.value(lead) is not None]
        if rows:
            values = listed([f"{row.label}{NBSP}{_shown(row, lead)}" for row in rows])
            said.append(f"{words} {values}")
    return f"By {lead.title}, {'; '.join(said)}." if said else ""


def _noise(board: Board) -> str:
    lead = board.lead
    best = board.best(lead) if lead else None
    if lead is None or best is None:
        return ""
    if board.test < 1:
        return "The size of the test set is not known, so ties cannot be told."
    error = math.sqrt(2) * standard_error(best.value(lead) or 0.0, board.test)
    return (
        f"On {numbers.count(board.test)} test samples, methods within about "
        f"{numbers.decimal(100 * error, 1)} points of the best {lead.title} are ties: "
        "that is the standard error of their difference."
    )


def _seeds(results: Mapping[str, Any]) -> str:
    if seeds(results) > 1:
        return f"Each method was trained with {seeds(results)} seeds."
    return (
        "One seed: training again with another may move any method, "
        "by more than the test set's own error."
    )


def _shown(row: Row, column: Column) -> str:
    value = row.value(column)
    return numbers.MISSING if value is None else column.show(value)
