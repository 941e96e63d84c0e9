"""Texts and classes out of CSV, TSV, JSONL and Parquet files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from counterpoint.data.dataset import Dataset, Problem
from counterpoint.data.texts import Columns, Row, text_dataset
from counterpoint.errors import DataError, require

LONGEST_FIELD = 2**31 - 1
Reader = Callable[[Path, Columns, list[Problem]], Iterator[Row]]


def load(
    file: Path, text: str | None, label: str | None, seed: int = 0, test_share: float = 0.2
) -> Dataset:
    """Reads a table of texts; the ending of its name tells which kind it is.

    ``.csv`` (separated by commas, semicolons or tabs, whichever the first line has most of),
    ``.tsv``, ``.jsonl`` or ``.ndjson``, ``.parquet``. Damaged rows, rows without text and missing
    classes are listed in the data set's problems.

    Args:
        file: the table.
        text: column of the texts.
        label: column of the classes, of any type; None for unlabelled.
        seed: seed of the split.
        test_share: part held out, drawn class by class; equal texts stay together.

    Raises:
        DataError: the file cannot be read, lacks a column, or has no usable text.
    """
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            f"{file} ends in {file.suffix or 'nothing'}: tables end in {', '.join(READERS)}, "
            "and images are read from folders."
        )
    problems: list[Problem] = []
    rows = list(reader(file, Columns(str(file), text, label), problems))
    return text_dataset(file.name, rows, problems, label, seed, test_share)


def _separated(file: Path, columns: Columns, problems: list[Problem]) -> Iterator[Row]:
    with _text_stream(file) as stream:
        first = stream.readline()
        stream.seek(0)
        tabs = file.suffix.lower() == ".tsv"
        separator = "\t" if tabs else max(",;\t", key=first.count)
        table = csv.reader(stream, delimiter=separator, strict=True)
        csv.field_size_limit(LONGEST_FIELD)
        try:
            header = [name.strip() for name in next(table, [])]
            columns.check(header)
            for cells in table:
                if len(cells) == len(header):
                    yield columns.row(
                        f"line {table.line_num}", dict(zip(header, cells, strict=True))
                    )
                elif cells:
                    said = f"{len(cells)} fields where the header has {len(header)}"
                    problems.append(Problem(f"line {table.line_num}", said))
        except csv.Error as error:
            raise DataError(
                f"{file}, line {table.line_num}: {error}. Check the quotes there."
            ) from error


def _json_lines(file: Path, columns: Columns, problems: list[Problem]) -> Iterator[Row]:
    records: list[tuple[str, dict[str, Any]]] = []
    with _text_stream(file) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                problems.append(Problem(f"line {number}", f"not JSON: {error.msg}"))
                continue
            if isinstance(record, dict):
                records.append((f"line {number}", record))
            else:
                problems.append(Problem(f"line {number}", "not a JSON object"))
    columns.check(list(dict.fromkeys(key for _, record in records for key in record)))
    yield from (columns.row(name, record) for name, record in records)


def _parquet(file: Path, columns: Columns, problems: list[Problem]) -> Iterator[Row]:
    arrow = require("pyarrow", "data")
    parquet = require("pyarrow.parquet", "data")
    try:
        columns.check(parquet.read_schema(file).names)
        table = parquet.read_table(file, columns=columns.named)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error
    for number, record in enumerate(table.to_pylist(), 1):
        yield columns.row(f"row {number}", record)


@contextmanager
def _text_stream(file: Path) -> Iterator[TextIO]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}, {_undecodable(file)}: not UTF-8 ({error.reason}). "
            "Save the file with the encoding UTF-8."
        ) from error


def _undecodable(file: Path) -> str:
    """The first line and byte that are not UTF-8."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.start + 1}"
    return "at its end"


READERS: dict[str, Reader] = {
    ".csv": _separated,
    ".tsv": _separated,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
