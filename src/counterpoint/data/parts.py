"""A corpus in parts that are read one at a time: a folder of Parquet files, or a large ``.npz``."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.corpus import PICTURE_SIZE, Kind
from counterpoint.data.owner_tables import is_held
from counterpoint.data.pictures import Encoded, read_picture, stored_picture
from counterpoint.data.stored_rows import StoredRows, npy_header
from counterpoint.errors import DataError, SettingError, require

PART_ROWS = 65_536
_LOCAL_HEADER = 30


class Part(Protocol):
    """Some consecutive rows of a corpus; may be read on any machine that sees the files."""

    @property
    def name(self) -> str:
        """What to call it, and what is written of it."""

    @property
    def source(self) -> Path:
        """The file or folder that it is a part of."""

    @property
    def label(self) -> str:
        """Column of the labels in its table."""

    @property
    def kind(self) -> Kind:
        """What its items are."""

    @property
    def content(self) -> str | None:
        """Column of the texts or picture files; None where there is none."""

    def __len__(self) -> int: ...

    def items(self) -> Any:
        """Texts or pictures (None where there is none), or a matrix of embeddings ``(n, D)``."""

    def said(self) -> list[Any]:
        """The values of its column of content."""

    def labels(self) -> list[Any]:
        """Labels as the owner writes them."""

    def truth(self) -> list[Any] | None:
        """True labels as the owner writes them; None where there are none."""

    def held(self) -> NDArray[np.bool_]:
        """bool ``(n,)``, rows of a test split."""

    def table(self) -> Any:
        """The owner's columns, a pyarrow table."""


@dataclass(frozen=True)
class ParquetPart:
    """One file of a folder.

    Attributes:
        path: the file.
        rows: how many it has.
        text: column of the texts; None where there are embeddings.
        embedding: column of lists of numbers, all of one length.
        label: column of the labels.
        split: column that marks test rows.
        truths: column of the true labels.
        image: column of picture files, relative to the folder, or of their bytes.
    """

    path: Path
    rows: int
    text: str | None
    embedding: str | None
    label: str
    split: str | None
    truths: str | None = None
    image: str | None = None

    @property
    def kind(self) -> Kind:
        if self.image is not None:
            return "images"
        return "embeddings" if self.text is None else "text"

    @property
    def content(self) -> str | None:
        return self.image if self.image is not None and self._holds_files() else self.text

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def source(self) -> Path:
        return self.path.parent

    def __len__(self) -> int:
        return self.rows

    def items(self) -> Any:
        if self.text is not None:
            texts = self._values(self.text)
            return [None if t is None or not str(t).strip() else str(t) for t in texts]
        if self.image is not None:
            stored = self._values(self.image)
            return Pictures([stored_picture(value, self.path.parent) for value in stored])
        column = self._column(str(self.embedding)).combine_chunks()
        try:
            values = column.flatten().to_numpy(zero_copy_only=False)
            z = values.reshape(len(column), -1)
        except (AttributeError, ValueError) as error:
            raise DataError(
                f"{self.path}: column {self.embedding!r} must hold a list of numbers in every row, "
                "all of one length."
            ) from error
        return _finite(z, self.path, 0)

    def said(self) -> list[Any]:
        return self._values(str(self.content))

    def labels(self) -> list[Any]:
        return self._values(self.label)

    def truth(self) -> list[Any] | None:
        return None if self.truths is None else self._values(self.truths)

    def held(self) -> NDArray[np.bool_]:
        if self.split is None:
            return np.zeros(self.rows, dtype=bool)
        return np.array([is_held(value) for value in self._values(self.split)], dtype=bool)

    def table(self) -> Any:
        return self._read(None)

    def _holds_files(self) -> bool:
        arrow, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
        kind = parquet.read_schema(self.path).field(self.image).type
        return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind))

    def _values(self, name: str) -> list[Any]:
        found: list[Any] = self._column(name).to_pylist()
        return found

    def _column(self, name: str) -> Any:
        return self._read([name])[name]

    def _read(self, columns: list[str] | None) -> Any:
        arrow = require("pyarrow", "data")
        try:
            return require("pyarrow.parquet", "data").ParquetFile(self.path).read(columns)
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{self.path} cannot be read as Parquet: {error}") from error


@dataclass(frozen=True)
class ArrayPart:
    """Some rows of the arrays in one ``.npz``.

    Attributes:
        rows: the embeddings, read where they are in the file.
        start, stop: which of them.
        given: labels of those rows.
        splits: where there are any.
        truths: true labels, where there are any.
    """

    rows: StoredRows
    start: int
    stop: int
    given: Sequence[Any]
    splits: Sequence[Any] | None
    truths: Sequence[Any] | None = None

    @property
    def source(self) -> Path:
        return self.rows.path

    @property
    def label(self) -> str:
        return "label"

    @property
    def kind(self) -> Kind:
        return "embeddings"

    @property
    def content(self) -> None:
        return None

    @property
    def name(self) -> str:
        return f"rows {self.start} to {self.stop - 1}"

    def __len__(self) -> int:
        return self.stop - self.start

    def items(self) -> NDArray[Any]:
        return _finite(self.rows[self.start : self.stop], self.rows.path, self.start)

    def said(self) -> list[Any]:
        return []

    def labels(self) -> list[Any]:
        return list(self.given)

    def truth(self) -> list[Any] | None:
        return None if self.truths is None else list(self.truths)

    def held(self) -> NDArray[np.bool_]:
        if self.splits is None:
            return np.zeros(len(self), dtype=bool)
        return np.array([is_held(value) for value in self.splits], dtype=bool)

    def table(self) -> Any:
        arrow = require("pyarrow", "data")
        columns: dict[str, Any] = {
            "row": np.arange(self.start, self.stop),
            "label": list(self.given),
        }
        if self.splits is not None:
            columns["splits"] = list(self.splits)
        if self.truths is not None:
            columns["truth"] = list(self.truths)
        return arrow.table(columns)


class Pictures(Sequence[Any]):
    """Pictures, each decoded when it is asked for; None where there is none, or a damaged one.

    Args:
        stored: files, or their bytes.
    """

    def __init__(self, stored: Sequence[Encoded | None]) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, row: Any) -> Any:
        stored = self._stored[row]
        try:
            return None if stored is None else read_picture(stored, PICTURE_SIZE, 3)
        except DataError:
            return None

    def at(self, rows: Sequence[int]) -> Pictures:
        """Some of them."""
        return Pictures([self._stored[row] for row in rows])


def is_parts(source: str | Path) -> bool:
    """Whether ``source`` is a folder of Parquet files."""
    path = Path(source).expanduser()
    return path.is_dir() and any(path.glob("*.parquet"))


def parquet_parts(
    folder: Path,
    *,
    text: str | None,
    label: str | None,
    embedding: str | None = None,
    split: str | None = None,
    truth: str | None = None,
    image: str | None = None,
) -> list[ParquetPart]:
    """The files of a folder, in order of their names.

    Args:
        folder: holds ``*.parquet``; or one such file.
        text: column of the texts; or
        embedding: column of embeddings, lists of numbers.
        label: column of the labels.
        split: column that marks test rows.
        truth: column of true labels.
        image: column of pictures instead, see `ParquetPart`.

    Raises:
        DataError: a file cannot be read or lacks a column.
        SettingError: not one of text, image and embedding.
    """
    if [text, image, embedding].count(None) != 2:
        raise SettingError("Name one column of content: text, image or embedding.")
    arrow = require("pyarrow", "data")
    parquet = require("pyarrow.parquet", "data")
    wanted = (text, image, embedding, label, split, truth)
    parts = []
    for path in [folder] if folder.is_file() else sorted(folder.glob("*.parquet")):
        try:
            about = parquet.ParquetFile(path)
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet: {error}") from error
        there = about.schema_arrow.names
        if label is None:
            raise DataError(f"{folder}: say which column holds the labels. Columns: {there}.")
        missing = [name for name in wanted if name is not None and name not in there]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}. Columns: {', '.join(there)}.")
        rows = about.metadata.num_rows
        parts.append(ParquetPart(path, rows, text, embedding, label, split, truth, image))
    if not sum(map(len, parts)):
        raise DataError(f"{folder} has no rows.")
    return parts


def array_parts(path: Path) -> list[ArrayPart]:
    """The ``embeddings`` and ``labels`` of an ``.npz``, the embeddings left on disk.

    ``classes``, ``splits`` and ``truth`` are taken where it holds them.

    Raises:
        DataError: it cannot be read, is compressed, or lacks an array.
    """
    rows = _stored_in(path, "embeddings")
    with np.load(path, allow_pickle=False) as file:
        if "labels" not in file.files:
            raise DataError(f"{path} needs the arrays 'embeddings' and 'labels'.")
        wanted = ("labels", "splits", "truth")
        columns = {name: file[name] for name in wanted if name in file.files}
        classes = file["classes"] if "classes" in file.files else None
    if columns["labels"].ndim != 1:
        raise DataError(
            f"{path}: so many rows carry one label each; got {columns['labels'].shape}."
        )
    for name, column in columns.items():
        if len(column) != len(rows):
            raise DataError(f"{path}: {len(rows)} embeddings and {len(column)} {name}.")
        if name != "splits":
            columns[name] = _named(column, classes)

    def of(name: str, start: int) -> list[Any] | None:
        found = columns.get(name)
        return None if found is None else found[start : start + PART_ROWS].tolist()

    return [
        ArrayPart(
            rows,
            start,
            min(start + PART_ROWS, len(rows)),
            columns["labels"][start : start + PART_ROWS].tolist(),
            of("splits", start),
            of("truth", start),
        )
        for start in range(0, len(rows), PART_ROWS)
    ]


def _named(numbers: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any]:
    """Names for numbers, where there are any; None for those below 0."""
    if classes is None or not np.issubdtype(numbers.dtype, np.integer):
        return numbers
    return np.array([*classes.tolist(), None], dtype=object)[np.where(numbers < 0, -1, numbers)]


def array_rows(path: Path) -> int:
    """How many embeddings an ``.npz`` holds, without reading them; 0 where that is not plain."""
    try:
        return len(_stored_in(path, "embeddings"))
    except DataError:
        return 0


def _stored_in(path: Path, name: str) -> StoredRows:
    """A matrix within an ``.npz``, read where it is."""
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            entry = archive.getinfo(f"{name}.npy")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise DataError(
                    f"{path} is compressed, so it cannot be read in parts: write it with np.savez."
                )
            file.seek(entry.header_offset + 26)
            lengths = np.frombuffer(file.read(4), "<u2")
            file.seek(entry.header_offset + _LOCAL_HEADER + int(lengths.sum()))
            shape, kept = npy_header(file)
            return StoredRows(path, shape, kept, file.tell())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as .npz with {name!r}: {error}") from error


def _finite(z: NDArray[Any], path: Path, first: int) -> NDArray[Any]:
    if z.dtype.kind not in "fiu":
        raise DataError(f"{path}: embeddings must be numbers; got {z.dtype}.")
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: embeddings hold NaN or infinity in row {first + bad[0]}.")
    return z
