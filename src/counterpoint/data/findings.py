"""What `counterpoint reannotate` leaves for a review: corpus, findings, embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.classes import class_name
from counterpoint.data.corpus import MultiLabelCorpus, Rows
from counterpoint.data.label_sets import label_set, mark, rewritten
from counterpoint.errors import DataError, require

FOUND = "credibility.parquet"
SOURCE = "source.parquet"
EMBEDDINGS = "embeddings.npy"
PICTURES = "pictures.parquet"
_KEY = b"counterpoint"


@dataclass(frozen=True)
class Findings:
    """A corpus of N rows and what was found in it.

    Attributes:
        name, kind, label, content, folder, truth_column: as of `Corpus`.
        separator: as of `MultiLabelCorpus`.
        table: a pyarrow table with the owner's columns, labels as they were judged.
        found: a pyarrow table with the columns of `counterpoint.reannotate`.
    """

    name: str
    kind: str
    label: str
    content: str
    folder: Path | None
    table: Any
    found: Any
    truth_column: str | None = None
    separator: str | None = None

    @property
    def several(self) -> bool:
        """Whether a row carries any number of labels."""
        return bool(require("pyarrow", "data").types.is_list(self.found["label"].type))

    def relabelled(self, labels: Mapping[int, Any]) -> Any:
        """The table with the classes ``labels`` in the rows named, as its owner writes them.

        A class a row, or a list of classes where a row may carry several.

        Every other row keeps its value to the letter.
        """
        arrow = require("pyarrow", "data")
        column = self.table[self.label]
        changed = self._sets if self.several else self._singles
        values = changed(column.to_pylist(), labels)
        at = self.table.column_names.index(self.label)
        array = arrow.array(values, type=column.type)
        return self.table.set_column(at, self.label, array).replace_schema_metadata(None)

    def _singles(self, values: list[Any], labels: Mapping[int, str]) -> list[Any]:
        written: dict[str, Any] = {}
        for value in values:
            written.setdefault(class_name(value), value)
        for row, label in labels.items():
            if class_name(values[row]) != label:
                values[row] = written.get(label, label)
        return values

    def _sets(self, values: list[Any], labels: Mapping[int, Sequence[str]]) -> list[Any]:
        sets = [label_set(value, self.separator) for value in values]
        classes, marks = mark(sets, list(labels.values()))
        old, decided = marks[: len(values)], marks[len(values) :]
        new = old.copy()
        new[list(labels)] = decided
        return rewritten(values, old, new, classes, self.separator)


def source_table(corpus: Rows) -> Any:
    """The owner's table, with what a review must know of the corpus in its metadata."""
    about = {
        "name": corpus.name,
        "kind": corpus.kind,
        "label": corpus.label,
        "content": corpus.content,
        "truth_column": corpus.truth_column,
        "folder": None if corpus.folder is None else str(corpus.folder),
        "separator": corpus.separator if isinstance(corpus, MultiLabelCorpus) else None,
    }
    old = corpus.table.schema.metadata or {}
    return corpus.table.replace_schema_metadata({**old, _KEY: json.dumps(about).encode()})


def check_findings(folder: Path) -> None:
    """Proves that a folder holds findings, without reading them.

    Raises:
        DataError: it does not.
    """
    if (folder / FOUND).with_suffix("").is_dir():
        raise DataError(
            f"{folder} holds a corpus in parts, which has no review: put the rows to decide on "
            "into one file, and reannotate that."
        )
    missing = [name for name in (FOUND, SOURCE) if not (folder / name).is_file()]
    if missing:
        there = "is no folder" if not folder.is_dir() else f"has no {' and no '.join(missing)}"
        raise DataError(
            f"{folder} {there}: a review needs what reannotate writes. Run "
            f"`counterpoint reannotate FILE --out {folder}` first."
        )


def read_findings(folder: Path) -> Findings:
    """Reads what was found, for a review.

    Raises:
        DataError: the folder holds no results, or damaged ones.
    """
    check_findings(folder)
    found, table = _read(folder / FOUND), _read(folder / SOURCE)
    about = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if not about or table.num_rows != found.num_rows:
        raise DataError(
            f"{folder / SOURCE} does not belong to {folder / FOUND}: run reannotate again."
        )
    place = about.pop("folder")
    return Findings(**about, folder=place and Path(place), table=table, found=found)


def read_embeddings(folder: Path) -> NDArray[np.float16]:
    """Centred embeddings ``(N, D)`` of length 1, left on disk; NaN in rows that were not judged.

    Raises:
        DataError: they are missing or damaged.
    """
    file = folder / EMBEDDINGS
    try:
        z: NDArray[np.float16] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}. Run reannotate again.") from error
    return z


def read_pictures(folder: Path) -> list[bytes | None]:
    """PNG files of a corpus whose pictures are no files; empty where there are none."""
    file = folder / PICTURES
    if not file.is_file():
        return []
    pictures: list[bytes | None] = _read(file)["picture"].to_pylist()
    return pictures


def _read(file: Path) -> Any:
    arrow = require("pyarrow", "data")
    try:
        return require("pyarrow.parquet", "data").read_table(file)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read: {error}. Run reannotate again.") from error
