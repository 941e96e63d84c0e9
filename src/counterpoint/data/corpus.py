"""A labelled corpus as its owner keeps it: every row and column, in order."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.data import hub
from counterpoint.data.classes import number_classes
from counterpoint.data.dataset import Problem
from counterpoint.data.loading import load
from counterpoint.data.pictures import read_picture
from counterpoint.data.sources import builtin
from counterpoint.data.tables import READERS
from counterpoint.data.texts import Columns, Row
from counterpoint.errors import DataError, SettingError, require

Kind = Literal["text", "images", "embeddings"]
PICTURE_SIZE = 64
HELD = ("test", "testing", "val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Corpus:
    """A corpus of N rows.

    Attributes:
        name: as its owner named it.
        kind: what the items are.
        table: a pyarrow table of N rows with the owner's columns.
        label: column of the labels.
        content: column of the texts or pictures; empty for embeddings.
        items: texts; uint8 pictures ``(C, H, W)``; rows of embeddings. None where there is none.
        names: what to call each row.
        labels: class of each row, int64 ``(N,)``, -1 where missing.
        classes: class names by number.
        truth: true class of each row ``(N,)``, -1 where missing; None without a column of them.
        held: bool ``(N,)``, rows of a test split, which are not to be changed.
        problems: rows that cannot be used, or are odd.
        folder: where the picture files of ``content`` are; None where there are none.
    """

    name: str
    kind: Kind
    table: Any
    label: str
    content: str
    items: Sequence[Any]
    names: Sequence[str]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    truth: NDArray[np.int64] | None
    held: NDArray[np.bool_]
    problems: tuple[Problem, ...]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """bool ``(N,)``: the rows that have both an item and a label."""
        there = np.array([item is not None for item in self.items], dtype=bool)
        return there & (self.labels >= 0)

    def with_labels(self, labels: NDArray[np.int64], truth: NDArray[np.int64] | None) -> Corpus:
        """The corpus with other labels and truth, in the table as well."""
        column = relabelled(self, labels)
        at = self.table.column_names.index(self.label)
        table = self.table.set_column(at, self.label, column)
        return replace(self, labels=labels, truth=truth, table=table)


def read_corpus(
    source: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    image: str | None = None,
    truth: str | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> Corpus:
    """Reads a corpus and leaves its source as it is.

    Args:
        source: a CSV, TSV, JSONL or Parquet table; ``.npz`` with ``embeddings`` ``(N, D)`` and
            ``labels``; a folder of images, one folder a class; ``hf:NAME``; a built-in name.
        text: column of the texts.
        label: column of the labels.
        image: column of picture files, relative to the table's folder, instead of ``text``.
        truth: column of true labels, for a proof.
        split: column whose values "test", "validation" and the like mark rows not to be changed.
        limit: only the first so many rows (of built-in sources and folders: thinned evenly).

    Raises:
        DataError: it cannot be read, lacks a column, or its labels are no classes.
        SettingError: columns that do not go together.
    """
    name = str(source)
    path = Path(source).expanduser()
    if name in {entry.name for entry in builtin()} or path.is_dir():
        if any((text, label, image, truth, split)):
            raise SettingError(f"{name} has no columns to choose: leave --text, --label etc. out.")
        if not path.is_dir():
            return _loaded(name, limit)
        return replace(_loaded(path, limit), folder=path.resolve())
    if path.suffix.lower() == ".npz":
        return _embedded(path, limit)
    if text is not None and image is not None:
        raise SettingError("Name one column of content: either text or image, not both.")
    table, names, problems = _table(name, path, text or image)
    if limit is not None:
        table, names = table.slice(0, limit), names[:limit]
    content = text or image
    _check_columns(name, table.column_names, {"text": content, "label": label})
    _check_columns(name, table.column_names, {"truth": truth or label, "split": split or label})
    items = (
        _pictures(table, str(image), path.parent, names, problems)
        if image is not None
        else _texts(table, str(text), names, problems)
    )
    corpus = _corpus(
        path.name if path.is_file() else name,
        "images" if image is not None else "text",
        table,
        str(label),
        str(content),
        items,
        names,
        table[truth].to_pylist() if truth else None,
        table[split].to_pylist() if split else None,
        problems,
    )
    return corpus if image is None else replace(corpus, folder=path.parent.resolve())


def relabelled(corpus: Corpus, labels: NDArray[np.int64]) -> Any:
    """The label column with the classes ``labels`` ``(N,)``, written as the owner writes them.

    A row whose class does not change keeps its value to the letter.
    """
    arrow = require("pyarrow", "data")
    column = corpus.table[corpus.label].combine_chunks()
    values = column.to_pylist()
    written: dict[int, Any] = {}
    for number, value in zip(corpus.labels.tolist(), values, strict=True):
        if number >= 0:
            written.setdefault(number, value)
    changed = [
        value if old == new else written.get(new, corpus.classes[new] if new >= 0 else None)
        for value, old, new in zip(values, corpus.labels.tolist(), labels.tolist(), strict=True)
    ]
    return arrow.array(changed, type=column.type)


def _loaded(source: str | Path, limit: int | None) -> Corpus:
    """A built-in source or a folder of images."""
    arrow = require("pyarrow", "data")
    data = load(source, test_share=0.0, limit=limit)
    if not data.classes:
        raise DataError(f"{data.name} has no labels: images need one folder a class.")
    parts = [("train", data.train), ("test", data.test)]
    items = [item for _, part in parts for item in part.items]
    names = [name for _, part in parts for name in part.names]
    label = [
        data.classes[n] if n >= 0 else None
        for _, part in parts
        if part.labels is not None
        for n in part.labels.tolist()
    ]
    split = [name for name, part in parts for _ in range(len(part))]
    columns: dict[str, Any] = {"name": names, "label": label}
    if data.modality == "text":
        columns = {"name": names, "text": list(items), "label": label}
    if len(data.test):
        columns["split"] = split
    content = "text" if data.modality == "text" else "name"
    table = arrow.table(columns)
    held = split if len(data.test) else None
    kind: Kind = "text" if data.modality == "text" else "images"
    problems = list(data.problems)
    return _corpus(data.name, kind, table, "label", content, items, names, None, held, problems)


def _embedded(path: Path, limit: int | None) -> Corpus:
    arrow = require("pyarrow", "data")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from error
    z, labels = arrays.get("embeddings"), arrays.get("labels")
    if z is None or labels is None:
        raise DataError(
            f"{path} needs the arrays 'embeddings' and 'labels'; it holds {', '.join(arrays)}."
        )
    if z.ndim != 2 or len(z) != len(labels) or not np.issubdtype(z.dtype, np.number):
        raise DataError(
            f"{path}: embeddings must be numbers (N, D) and labels (N,); got {z.shape} "
            f"and {labels.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: embeddings hold NaN or infinity in row {bad[0]}.")
    classes = arrays.get("classes")
    columns: dict[str, Any] = {"label": _named(labels, classes)}
    for key in ("truth", "names", "splits"):
        if key in arrays and len(arrays[key]) == len(z):
            columns[key] = _named(arrays[key], classes if key == "truth" else None)
    table = arrow.table(columns).slice(0, limit)
    items = list(z[:limit])
    names = [f"row {row}" for row in range(len(items))]
    truth = table["truth"].to_pylist() if "truth" in columns else None
    split = table["splits"].to_pylist() if "splits" in columns else None
    return _corpus(path.name, "embeddings", table, "label", "", items, names, truth, split, [])


def _named(values: NDArray[Any], classes: NDArray[Any] | None) -> list[Any]:
    if classes is None or not np.issubdtype(values.dtype, np.integer):
        found: list[Any] = values.tolist()
        return found
    return [str(classes[n]) if 0 <= n < len(classes) else None for n in values.tolist()]


class _WholeRows(Columns):
    """Asks a reader of tables for every column."""

    def check(self, there: Sequence[str]) -> None:
        for column in there:
            if there.count(column) > 1:
                raise DataError(f"{self.where} has several columns named {column!r}. Rename one.")

    def row(self, name: str, record: Any) -> Row:
        return Row(name, dict(record))


def _table(name: str, path: Path, content: str | None) -> tuple[Any, list[str], list[Problem]]:
    """Table, names of its rows, and the rows that could not be read."""
    arrow = require("pyarrow", "data")
    if name.startswith("hf:"):
        parts = hub._parts(name.removeprefix("hf:"))
        table = (parts.get("train") or next(iter(parts.values()))).with_format("arrow")[:]
        return table, [f"row {row}" for row in range(table.num_rows)], []
    if not path.is_file():
        raise DataError(f"There is no folder or file {path} (looked in {Path.cwd()}).")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise DataError(
            f"{path} ends in {suffix or 'nothing'}: a corpus ends in {', '.join(READERS)} or .npz, "
            "or is a folder of images."
        )
    if suffix == ".parquet":
        try:
            table = require("pyarrow.parquet", "data").read_table(path)
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet: {error}") from error
        return table, [f"row {row}" for row in range(table.num_rows)], []
    problems: list[Problem] = []
    rows = list(READERS[suffix](path, _WholeRows(str(path), content, None), problems))
    if not rows:
        raise DataError(f"{path} has no rows that can be read.")
    columns = list(dict.fromkeys(key for row in rows for key in row.text))
    made = {key: _column(arrow, [row.text.get(key) for row in rows]) for key in columns}
    return arrow.table(made), [row.name for row in rows], problems


def _column(arrow: Any, values: list[Any]) -> Any:
    """Values as they are; where their types do not go together, as text."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        return arrow.array([None if value is None else str(value) for value in values])


def _check_columns(name: str, there: Sequence[str], wanted: dict[str, str | None]) -> None:
    for option, column in wanted.items():
        columns = f"Columns: {', '.join(there)}."
        if column is None:
            raise DataError(f"{name}: say which column holds the {option}s ({option}=). {columns}")
        if column not in there:
            close = difflib.get_close_matches(column, there, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise DataError(f"{name} has no column {column!r}. {hint}{columns}")


def _texts(table: Any, column: str, names: Sequence[str], problems: list[Problem]) -> list[Any]:
    items: list[Any] = []
    for name, value in zip(names, table[column].to_pylist(), strict=True):
        text = "" if value is None else str(value)
        items.append(text if text.strip() else None)
        if not text.strip():
            problems.append(Problem(name, f"column {column!r} is empty"))
    return items


def _pictures(
    table: Any, column: str, folder: Path, names: Sequence[str], problems: list[Problem]
) -> list[Any]:
    items: list[Any] = []
    for name, value in zip(names, table[column].to_pylist(), strict=True):
        try:
            if not value:
                raise DataError(f"column {column!r} is empty")
            items.append(read_picture(folder / str(value), PICTURE_SIZE, 3))
        except DataError as error:
            items.append(None)
            problems.append(Problem(name, str(error)))
    return items


def _corpus(
    name: str,
    kind: Kind,
    table: Any,
    label: str,
    content: str,
    items: Sequence[Any],
    names: Sequence[str],
    truth: Sequence[Any] | None,
    split: Sequence[Any] | None,
    problems: list[Problem],
) -> Corpus:
    given = table[label].to_pylist()
    every = list(given) + list(truth or [])
    classes, numbers = number_classes(every)
    codes = numbers.numpy()
    labels, true = codes[: len(given)], codes[len(given) :]
    problems += [
        Problem(names[row], f"column {label!r} is empty")
        for row in np.flatnonzero(labels < 0).tolist()
    ]
    used = set(labels[labels >= 0].tolist())
    if len(used) < 2:
        what = "is empty" if not used else f"holds one class only ({classes[used.pop()]})"
        raise DataError(f"{name}: the column {label!r} {what}; at least two classes are needed.")
    labelled = int((labels >= 0).sum())
    if len(used) > labelled / 2:
        raise DataError(
            f"{name}: the column {label!r} has {len(used)} different values in {labelled} rows, so "
            "it names no classes. Choose another column."
        )
    if all(item is None for item in items):
        raise DataError(f"{name}: no row has content in the column {content!r}.")
    held = [str(value).strip().lower() in HELD for value in split or [""] * len(given)]
    return Corpus(
        name,
        kind,
        table,
        label,
        content,
        items,
        names,
        labels,
        classes,
        true if truth is not None else None,
        np.array(held, dtype=bool),
        tuple(problems),
    )
