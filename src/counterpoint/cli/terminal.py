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


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], whole: Sequence[str] = ()
) -> Table:
    """A plain table; numbers are set flush right, the columns ``whole`` are never broken."""
    cells = [list(row) for row in rows]
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        numbers = bool(cells) and all(isinstance(row[at], int | float) for row in cells)
        made.add_column(
            name,
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=numbers or name in whole,
        )
    for row in cells:
        made.add_row(*(Text(_show(cell)) for cell in row))
    return made


def _show(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    if isinstance(cell, list):
        return ", ".join(map(str, cell))
    return str(cell)
