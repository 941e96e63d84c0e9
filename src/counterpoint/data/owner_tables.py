"""A table as its owner keeps it: every row and column, in order, with the parts it brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint.data import hub
from counterpoint.data.dataset import Problem
from counterpoint.data.tables import READERS
from counterpoint.data.texts import Columns, Row
from counterpoint.errors import DataError, require

HELD = ("test", "testing", "val", "valid", "validation", "dev")
LEARNT = ("train", "training", "learn")
SPLIT = "split"


@dataclass(frozen=True)
class OwnerTable:
    """A table of N rows.

    Attributes:
        table: a pyarrow table.
        names: what to call each row.
        problems: rows that could not be read, or are odd.
        parts: the part of each row, such as "train" or "test"; None where there are no parts.
    """

    table: Any
    names: Sequence[str]
    problems: list[Problem]
    parts: Sequence[Any] | None = None

    def head(self, limit: int | None) -> OwnerTable:
        """The first rows."""
        parts = None if self.parts is None else self.parts[:limit]
        return OwnerTable(self.table.slice(0, limit), self.names[:limit], self.problems, parts)


def is_held(part: Any) -> bool:
    """Whether a part of this name is held out for a test."""
    return _part_name(part) in HELD


def _part_name(value: Any) -> str:
    return str(value).strip().lower()


def read_table(name: str, content: str | None) -> OwnerTable:
    """Reads ``hf:NAME`` or a CSV, TSV, JSONL or Parquet file.

    Parts of ``hf:NAME`` follow each other and are told apart by a column ``split``; classes that
    it names are written as their names.

    Args:
        name: the source.
        content: column of the texts or pictures.

    Raises:
        DataError: it cannot be read.
    """
    if name.startswith("hf:"):
        return _parts_joined(name)
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataError(f"There is no folder or file {path} (looked in {Path.cwd()}).")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise DataError(
            f"{path} ends in {suffix or 'nothing'}: a corpus ends in {', '.join(READERS)} or .npz, "
            "or is a folder of images."
        )
    read = _parquet(path) if suffix == ".parquet" else _records(path, suffix, content)
    problems = read.problems + _repeated_ids(read)
    return OwnerTable(read.table, read.names, problems, _own_parts(read.table))


def _own_parts(table: Any) -> Sequence[Any] | None:
    """The column ``split``, where it names parts and nothing else."""
    if SPLIT not in table.column_names:
        return None
    parts: list[Any] = table[SPLIT].to_pylist()
    return parts if {_part_name(part) for part in parts} <= {*HELD, *LEARNT} else None


def _parquet(path: Path) -> OwnerTable:
    arrow = require("pyarrow", "data")
    try:
        table = require("pyarrow.parquet", "data").read_table(path)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    if not table.num_rows:
        raise DataError(f"{path} has no rows that can be read.")
    return OwnerTable(table, [f"row {row}" for row in range(table.num_rows)], [])


class _WholeRows(Columns):
    """Asks a reader of tables for every column."""

    def check(self, there: Sequence[str]) -> None:
        for column in there:
            if there.count(column) > 1:
                raise DataError(f"{self.where} has several columns named {column!r}. Rename one.")

    def row(self, name: str, record: Any) -> Row:
        return Row(name, dict(record))


def _records(path: Path, suffix: str, content: str | None) -> OwnerTable:
    arrow = require("pyarrow", "data")
    problems: list[Problem] = []
    rows = list(READERS[suffix](path, _WholeRows(str(path), content, None), problems))
    if not rows:
        raise DataError(f"{path} has no rows that can be read.")
    columns = list(dict.fromkeys(key for row in rows for key in row.text))
    made = {key: _column(arrow, [row.text.get(key) for row in rows]) for key in columns}
    return OwnerTable(arrow.table(made), [row.name for row in rows], problems)


def _column(arrow: Any, values: list[Any]) -> Any:
    """Values as they are; where their types do not go together, as text."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        return arrow.array([None if value is None else str(value) for value in values])


def _repeated_ids(read: OwnerTable) -> list[Problem]:
    """Rows whose ``id`` an earlier row has; they are used, since results go by row."""
    column = next((name for name in read.table.column_names if name.lower() == "id"), None)
    if column is None:
        return []
    first: dict[Any, str] = {}
    problems = []
    for name, value in zip(read.names, read.table[column].to_pylist(), strict=True):
        if value in (None, "") or isinstance(value, (list, dict)):
            continue
        if first.setdefault(value, name) != name:
            said = f"column {column!r} repeats {value!r} of {first[value]}; rows go by their place"
            problems.append(Problem(name, said, used=True))
    return problems


def _parts_joined(name: str) -> OwnerTable:
    arrow = require("pyarrow", "data")
    found = hub.parts(name.removeprefix("hf:"))
    tables = [_named_classes(part) for part in found.values()]
    parts = [part for part, table in zip(found, tables, strict=True) for _ in range(len(table))]
    names = [
        f"row {row}" if len(found) == 1 else f"{part} row {row}"
        for part, table in zip(found, tables, strict=True)
        for row in range(len(table))
    ]
    try:
        joined = arrow.concat_tables(tables, promote_options="permissive")
    except arrow.ArrowException as error:
        raise DataError(f"{name}: its parts have different columns: {error}") from error
    if len(found) > 1 and SPLIT not in joined.column_names:
        joined = joined.append_column(SPLIT, arrow.array(parts))
    return OwnerTable(joined, names, [], parts)


def _named_classes(data: Any) -> Any:
    """The part as a plain pyarrow table: class names for numbers, pictures as they are stored."""
    arrow = require("pyarrow", "data")
    stored = require("datasets", "data").Image(decode=False)
    for column, kind in data.features.items():
        if type(kind).__name__ == "Image":
            data = data.cast_column(column, stored)
    table = data.with_format("arrow")[:].replace_schema_metadata(None)
    for at, (column, kind) in enumerate(data.features.items()):
        names = getattr(kind, "names", None) or getattr(
            getattr(kind, "feature", None), "names", None
        )
        if names:
            values = [_named(value, names) for value in table[column].to_pylist()]
            table = table.set_column(at, column, arrow.array(values))
    return table


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return names[value] if value is not None and value >= 0 else None
