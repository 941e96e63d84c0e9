"""A labelled corpus as its owner keeps it: every row and column, in order."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.classes import number_classes
from counterpoint.data.dataset import Problem
from counterpoint.data.label_sets import Marks, is_list, label_set, mark
from counterpoint.data.loading import load
from counterpoint.data.owner_tables import OwnerTable, is_held, read_table
from counterpoint.data.pictures import read_picture, stored_picture
from counterpoint.data.relations import check_template, marked
from counterpoint.data.sources import builtin
from counterpoint.errors import DataError, SettingError, require

Kind = Literal["text", "images", "embeddings"]
PICTURE_SIZE = 64
LONGEST_TEXT = 20_000
"""Characters of a text that are read; far more than any text encoder sees."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N rows of an owner, whatever their labels are.

    Attributes:
        name: as their owner named them.
        kind: what the items are.
        table: a pyarrow table of N rows with the owner's columns.
        label: column of the labels.
        content: column of the texts or picture files; empty where there is none.
        items: texts; uint8 pictures ``(C, H, W)``; rows of embeddings. None where there is none.
        names: what to call each row.
        held: bool ``(N,)``, rows of a test split, which are not to be changed.
        problems: rows that cannot be used, or are odd.
        folder: where the picture files of ``content`` are; None where there are none.
        truth_column: column of the true labels; None where there is none.
    """

    name: str
    kind: Kind
    table: Any
    label: str
    content: str
    items: Sequence[Any]
    names: Sequence[str]
    held: NDArray[np.bool_]
    problems: tuple[Problem, ...]
    folder: Path | None = None
    truth_column: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def full(self) -> NDArray[np.bool_]:
        """bool ``(N,)``: the rows that have an item."""
        return np.array([item is not None for item in self.items], dtype=bool)


@dataclass(frozen=True, kw_only=True)
class Corpus(Rows):
    """Rows that carry one class each.

    Attributes:
        labels: class of each row, int64 ``(N,)``, -1 where missing.
        classes: class names by number.
        truth: true class of each row ``(N,)``, -1 where missing; None without a column of them.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    truth: NDArray[np.int64] | None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """bool ``(N,)``: the rows that have both an item and a label."""
        return self.full & (self.labels >= 0)

    def with_labels(self, labels: NDArray[np.int64], truth: NDArray[np.int64] | None) -> Corpus:
        """The corpus with other labels and truth, in the table as well."""
        column = relabelled(self, labels)
        at = self.table.column_names.index(self.label)
        table = self.table.set_column(at, self.label, column)
        return replace(self, labels=labels, truth=truth, table=table)


@dataclass(frozen=True, kw_only=True)
class MultiLabelCorpus(Rows):
    """Rows that carry any number of classes each.

    Attributes:
        marks: bool ``(N, C)``, which row carries which class.
        labelled: bool ``(N,)``, False where the classes of a row are not known.
        classes: class names by number.
        truth: true classes, bool ``(N, C)``; None without a column of them.
        separator: what stands between the labels of a text; None where they are lists.
    """

    marks: Marks
    labelled: NDArray[np.bool_]
    classes: tuple[str, ...]
    truth: Marks | None
    separator: str | None

    @property
    def usable(self) -> NDArray[np.bool_]:
        """bool ``(N,)``: the rows that have an item and are labelled."""
        return self.full & self.labelled


def read_corpus(
    source: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    image: str | None = None,
    subject: str | None = None,
    object_: str | None = None,
    template: str | None = None,
    separator: str | None = None,
    truth: str | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> Corpus | MultiLabelCorpus:
    """Reads a corpus and leaves its source as it is.

    Args:
        source: a CSV, TSV, JSONL or Parquet table; ``.npz`` with ``embeddings`` ``(N, D)`` and
            ``labels``; a folder of images, one folder a class; ``hf:NAME``; a built-in name.
        text: column of the texts.
        label: column of the labels; of lists where a row may carry several.
        image: column of picture files, relative to the table's folder, or of the files' bytes,
            instead of ``text``.
        subject: column of the first entity of a relation; the items then are texts with both
            entities marked, see `counterpoint.data.relations.marked`. ``text`` may be left out.
        object_: column of the second one.
        template: how to write a relation instead, with ``{subject}``, ``{object}``, ``{text}``.
        separator: what stands between several labels in one text of the label column.
        truth: column of true labels, for a proof.
        split: column whose values "test", "validation" and the like mark rows not to be changed;
            None takes the parts of ``hf:NAME``, or a column ``split`` that names nothing else.
        limit: only the first so many rows (of built-in sources and folders: thinned evenly).

    Raises:
        DataError: it cannot be read, lacks a column, or its labels are no classes.
        SettingError: columns that do not go together.
    """
    name = str(source)
    path = Path(source).expanduser()
    columns = (text, label, image, subject, object_, template, separator, truth, split)
    if name in {entry.name for entry in builtin()} or path.is_dir():
        if any(columns):
            raise SettingError(f"{name} has no columns to choose: leave --text, --label etc. out.")
        if not path.is_dir():
            return _loaded(name, limit)
        return replace(_loaded(path, limit), folder=path.resolve())
    if path.suffix.lower() == ".npz":
        return _embedded(path, limit)
    _check_choice(text, image, subject, object_, template)
    read = read_table(name, text or image or subject)
    read = replace(read.head(limit), problems=list(read.problems))
    there = read.table.column_names
    if image is not None:
        asked = {"image": image, "label": label}
    elif subject is not None:
        asked = {"subject": subject, "object": object_, "text": text or subject, "label": label}
    else:
        asked = {"text": text, "label": label}
    _check_columns(name, there, asked | {"truth": truth or label, "split": split or label})
    folder, content = None, text or subject or ""
    if image is not None:
        items = _pictures(read, image, path.parent)
        if _holds_files(read.table, image):
            folder, content = path.parent.resolve(), image
        else:
            content = ""
    elif subject is not None:
        items = _relations(read, text, subject, str(object_), template)
    else:
        items = _texts(read, str(text))
    parts = read.table[split].to_pylist() if split else read.parts
    rows = Rows(
        name=path.name if path.is_file() else name,
        kind="images" if image is not None else "text",
        table=read.table,
        label=str(label),
        content=content,
        items=items,
        names=read.names,
        held=_held(parts, len(items)),
        problems=(),
        folder=folder,
        truth_column=truth,
    )
    true = read.table[truth].to_pylist() if truth else None
    given = read.table[str(label)].to_pylist()
    if separator is not None or any(is_list(value) for value in given):
        return _many(rows, given, true, separator, read.problems)
    return _one(rows, given, true, read.problems)


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
    rows = Rows(
        name=data.name,
        kind="text" if data.modality == "text" else "images",
        table=arrow.table(columns),
        label="label",
        content="text" if data.modality == "text" else "name",
        items=items,
        names=names,
        held=_held(split if len(data.test) else None, len(items)),
        problems=(),
    )
    return _one(rows, label, None, list(data.problems))


def _embedded(path: Path, limit: int | None) -> Corpus | MultiLabelCorpus:
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
    if (
        z.ndim != 2
        or labels.ndim not in (1, 2)
        or len(z) != len(labels)
        or not np.issubdtype(z.dtype, np.number)
    ):
        raise DataError(
            f"{path}: embeddings must be numbers (N, D) and labels (N,), or (N, C) of 0 and 1; got "
            f"{z.shape} and {labels.shape}."
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
    rows = Rows(
        name=path.name,
        kind="embeddings",
        table=table,
        label="label",
        content="",
        items=items,
        names=[f"row {row}" for row in range(len(items))],
        held=_held(table["splits"].to_pylist() if "splits" in columns else None, len(items)),
        problems=(),
    )
    truth = table["truth"].to_pylist() if "truth" in columns else None
    given = table["label"].to_pylist()
    if labels.ndim == 2:
        return _many(rows, given, truth, None, [])
    return _one(rows, given, truth, [])


def _named(values: NDArray[Any], classes: NDArray[Any] | None) -> list[Any]:
    if values.ndim == 2:
        names = [str(n) for n in range(values.shape[1])] if classes is None else classes.tolist()
        return [[names[n] for n in np.flatnonzero(row)] for row in values]
    if classes is None or not np.issubdtype(values.dtype, np.integer):
        found: list[Any] = values.tolist()
        return found
    return [str(classes[n]) if 0 <= n < len(classes) else None for n in values.tolist()]


def _check_choice(
    text: str | None,
    image: str | None,
    subject: str | None,
    object_: str | None,
    template: str | None,
) -> None:
    if image is not None and (text is not None or subject is not None):
        raise SettingError("Name one column of content: either text or image, not both.")
    if (subject is None) != (object_ is None):
        raise SettingError("A relation needs both columns: name subject and object.")
    if template is not None:
        if subject is None:
            raise SettingError("A template needs the columns subject and object.")
        check_template(template, text is not None)


def _check_columns(name: str, there: Sequence[str], wanted: dict[str, str | None]) -> None:
    for option, column in wanted.items():
        columns = f"Columns: {', '.join(there)}."
        if column is None:
            raise DataError(f"{name}: say which column holds the {option}s ({option}=). {columns}")
        if column not in there:
            close = difflib.get_close_matches(column, there, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(close)}? " if close else ""
            raise DataError(f"{name} has no column {column!r}. {hint}{columns}")


def _texts(read: OwnerTable, column: str) -> list[Any]:
    items: list[Any] = []
    for name, value in zip(read.names, read.table[column].to_pylist(), strict=True):
        text = "" if value is None else str(value)
        items.append(text if text.strip() else None)
        if not text.strip():
            read.problems.append(Problem(name, f"column {column!r} is empty"))
        elif len(text) > LONGEST_TEXT:
            said = f"column {column!r} has {len(text):,} characters; {LONGEST_TEXT:,} are read"
            read.problems.append(Problem(name, said, used=True))
    return items


def _relations(
    read: OwnerTable, text: str | None, subject: str, object_: str, template: str | None
) -> list[Any]:
    columns = [name for name in (text, subject, object_) if name is not None]
    values = [read.table[column].to_pylist() for column in columns]
    items: list[Any] = []
    for name, row in zip(read.names, zip(*values, strict=True), strict=True):
        found = ["" if value is None else " ".join(str(value).split()) for value in row]
        empty = [column for column, value in zip(columns, found, strict=True) if not value]
        if empty:
            items.append(None)
            read.problems.append(Problem(name, f"column {empty[0]!r} is empty"))
            continue
        one, two = found[-2:]
        said = found[0] if text is not None else ""
        if template is not None:
            items.append(template.format(subject=one, object=two, text=said))
            continue
        item, missing = marked(one, two, said)
        items.append(item)
        if text is not None and missing:
            what = f"column {text!r} does not hold the {' and the '.join(missing)}; put before it"
            read.problems.append(Problem(name, what, used=True))
    return items


def _holds_files(table: Any, column: str) -> bool:
    return not any(isinstance(value, (bytes, dict)) for value in table[column].to_pylist())


def _pictures(read: OwnerTable, column: str, folder: Path) -> list[Any]:
    items: list[Any] = []
    for name, value in zip(read.names, read.table[column].to_pylist(), strict=True):
        source = stored_picture(value, folder)
        try:
            if source is None:
                raise DataError(f"column {column!r} is empty")
            items.append(read_picture(source, PICTURE_SIZE, 3))
        except DataError as error:
            items.append(None)
            said = str(error)
            what = said if said.startswith("column") else f"column {column!r}: {said}"
            read.problems.append(Problem(name, what))
    return items


def _held(parts: Sequence[Any] | None, count: int) -> NDArray[np.bool_]:
    return np.array([is_held(part) for part in parts or [""] * count], dtype=bool)


def _one(
    rows: Rows, given: Sequence[Any], truth: Sequence[Any] | None, problems: list[Problem]
) -> Corpus:
    """Numbers the classes of rows that carry one each."""
    classes, numbers = number_classes([*given, *(truth or [])])
    codes = numbers.numpy()
    labels, true = codes[: len(given)], codes[len(given) :]
    used = np.unique(labels[labels >= 0])
    _check_classes(rows, [classes[n] for n in used], int((labels >= 0).sum()))
    return Corpus(
        **_fields(rows, labels >= 0, problems),
        labels=labels,
        classes=classes,
        truth=true if truth is not None else None,
    )


def _many(
    rows: Rows,
    given: Sequence[Any],
    truth: Sequence[Any] | None,
    separator: str | None,
    problems: list[Problem],
) -> MultiLabelCorpus:
    """Numbers the classes of rows that carry any number of them."""
    sets = [label_set(value, separator) for value in given]
    true = [label_set(value, separator) for value in truth or []]
    classes, marks = mark(sets, true)
    labelled = np.array([labels is not None for labels in sets], dtype=bool)
    count = marks[: len(given)].sum(axis=0)
    used = [classes[n] for n in np.flatnonzero(count)]
    _check_classes(rows, used, int(count.sum()), least=1)
    known = all(labels is not None for labels in true)
    if truth is not None and not known:
        row = next(row for row, labels in enumerate(true) if labels is None)
        problems = [*problems, Problem(rows.names[row], "the truth is missing; nothing is proven")]
    return MultiLabelCorpus(
        **_fields(rows, labelled, problems),
        marks=marks[: len(given)],
        labelled=labelled,
        classes=classes,
        truth=marks[len(given) :] if truth is not None and known else None,
        separator=separator,
    )


def _fields(rows: Rows, labelled: NDArray[np.bool_], problems: list[Problem]) -> dict[str, Any]:
    empty = [
        Problem(rows.names[row], f"column {rows.label!r} is empty")
        for row in np.flatnonzero(~labelled).tolist()
    ]
    found = {field.name: getattr(rows, field.name) for field in fields(Rows)}
    return found | {"problems": (*problems, *empty)}


def _check_classes(rows: Rows, used: Sequence[str], count: int, least: int = 2) -> None:
    where = f"{rows.name}: the column {rows.label!r}"
    if len(used) < least:
        what = "is empty" if not used else f"holds one class only ({used[0]})"
        raise DataError(f"{where} {what}; at least {_NUMBERS[least]} needed.")
    if len(used) > count / 2:
        raise DataError(
            f"{where} has {len(used)} different values among {count} labels, so it names no "
            "classes. Choose another column."
        )
    if not rows.full.any():
        raise DataError(f"{rows.name}: no row has content in the column {rows.content!r}.")


_NUMBERS = {1: "one class is", 2: "two classes are"}
