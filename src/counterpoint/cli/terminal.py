"""What verbs draw on: tables and JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Writes ``value`` as strict JSON; numbers that JSON cannot hold become null."""
    sys.stdout.write(json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False))
    sys.stdout.write("\n")


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


PROBLEMS_SHOWN = 5


def print_problems(problems: Sequence[Mapping[str, Any]], where: str) -> None:
    """Names the first items that could not be used, on standard error.

    Args:
        problems: as `counterpoint.data.Dataset.describe` gives them.
        where: the file that holds them all.
    """
    for problem in problems[:PROBLEMS_SHOWN]:
        line = f"{problem['where']}: {problem['what']}"
        err.print(line, style="yellow", markup=False, soft_wrap=True)
    if len(problems) > PROBLEMS_SHOWN:
        more = len(problems) - PROBLEMS_SHOWN
        err.print(f"and {more} more; all are in {where}.", markup=False, soft_wrap=True)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    whole: Sequence[str] = (),
    figures: Sequence[str] = (),
) -> Table:
    """A plain table.

    Args:
        columns: their names.
        rows: one cell a column.
        whole: columns that are never broken over lines.
        figures: columns that are set flush right and not broken, as columns of numbers are.
    """
    cells = [list(row) for row in rows]
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        numbers = name in figures or _are_numbers(row[at] for row in cells)
        made.add_column(
            name,
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=numbers or name in whole,
        )
    for row in cells:
        made.add_row(*(Text(_show(cell)) for cell in row))
    return made


def claim_table(parts: Iterable[Mapping[str, Any]]) -> Table:
    """The measured parts of a claim."""
    rows = [
        [part["claim"], part["effect"], "{:.3g} to {:.3g}".format(*part["ci95"]), part["verdict"]]
        for part in parts
    ]
    return table(("part", "effect", "95 % interval", "verdict"), rows, whole=("verdict",))


def _are_numbers(cells: Iterable[Any]) -> bool:
    found = [isinstance(cell, int | float) for cell in cells if cell is not None]
    return bool(found) and all(found)


def _show(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    if isinstance(cell, list):
        return ", ".join(map(str, cell))
    return str(cell)
