"""Decisions and the corrected corpus, as tables for whoever goes on with them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

from counterpoint.apps.review.labels import Label
from counterpoint.apps.review.store import Store
from counterpoint.data.findings import read_findings
from counterpoint.errors import SettingError, require
from counterpoint.files import write_whole

What = Literal["decisions", "corrected"]
SUFFIXES = (".csv", ".parquet")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_STARTS_FORMULA = tuple("=+-@＝＋－＠")
_COLUMNS = ("row", "reviewer", "action", "before", "suggested", "after", "when")


def decisions_table(store: Store, reviewer: str | None = None) -> Any:
    """A pyarrow table of the decisions that stand: who, when, before, after.

    Args:
        store: of the review.
        reviewer: whose; None for everyone's.
    """
    arrow = require("pyarrow", "data")
    said = store.decisions(reviewer)
    columns = {name: [d["made" if name == "when" else name] for d in said] for name in _COLUMNS}
    kept = arrow.list_(arrow.string()) if store.several else arrow.string()
    types = {"row": arrow.int64(), **dict.fromkeys(("before", "suggested", "after"), kept)}
    return arrow.table(
        {
            name: arrow.array(values, types.get(name, arrow.string()))
            for name, values in columns.items()
        }
    )


def corrected_table(store: Store, folder: Path, reviewer: str | None = None) -> tuple[Any, int]:
    """The owner's table with the labels that were decided for, and rows left as they were.

    Args:
        store: of the review.
        folder: of the findings.
        reviewer: whose decisions; None for everyone's, where they agree.

    Returns:
        The table; how many rows keep their label because reviewers disagree.
    """
    said: dict[int, list[Label]] = defaultdict(list)
    for decision in store.decisions(reviewer):
        if decision["after"] is not None:
            said[decision["row"]].append(decision["after"])
    agreed = {
        row: labels[0] for row, labels in said.items() if all(one == labels[0] for one in labels)
    }
    return read_findings(folder).relabelled(agreed), len(said) - len(agreed)


def export(
    store: Store, folder: Path, file: Path, what: What, reviewer: str | None = None
) -> dict[str, Any]:
    """Writes decisions, or the corrected corpus, whole or not at all.

    Args:
        store: of the review.
        folder: of the findings.
        file: ``.csv`` or ``.parquet``.
        what: ``"decisions"`` or ``"corrected"``.
        reviewer: whose decisions; None for everyone's.

    Returns:
        ``file``, ``rows``, ``disputed`` (rows on which reviewers disagree, of the corrected corpus)
        and ``quoted`` (cells that a spreadsheet would have run as formulas, of CSV).

    Raises:
        SettingError: another ending, or a file that cannot be written.
    """
    check_suffix(file)
    disputed = 0
    if what == "decisions":
        table = decisions_table(store, reviewer)
    else:
        table, disputed = corrected_table(store, folder, reviewer)
    quoted = 0

    def write(out: IO[bytes]) -> None:
        nonlocal quoted
        quoted = writer(file.suffix.lower())(table, out)

    write_whole(file, write)
    return {"file": str(file), "rows": table.num_rows, "disputed": disputed, "quoted": quoted}


def check_suffix(file: Path) -> None:
    """Refuses files that are neither CSV nor Parquet.

    Raises:
        SettingError: it is one.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise SettingError(f"{file} must end in {' or '.join(SUFFIXES)}.")


def writer(suffix: str) -> Callable[[Any, IO[bytes]], int]:
    """What writes a pyarrow table to an open file and tells how many cells it had to quote."""
    return _write_csv if suffix == ".csv" else _write_parquet


def _write_parquet(table: Any, out: IO[bytes]) -> int:
    require("pyarrow.parquet", "data").write_table(table, out)
    return 0


def _write_csv(table: Any, out: IO[bytes]) -> int:
    """UTF-8 with a header; a cell that a spreadsheet would run is led by an apostrophe."""
    quoted = 0
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([inert(name) for name in table.column_names])
    for batch in table.to_batches(max_chunksize=1000):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            plain = [_cell(value) for value in values]
            safe = [inert(cell) for cell in plain]
            quoted += sum(a != b for a, b in zip(plain, safe, strict=True))
            lines.writerow(safe)
    text.detach()
    return quoted


def inert(cell: str) -> str:
    """The cell, led by an apostrophe where a spreadsheet would take it for a formula.

    Numbers stay as they are.
    """
    runs = cell.lstrip().startswith(_STARTS_FORMULA) and not _NUMBER.fullmatch(cell.strip())
    return f"'{cell}" if runs else cell


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
