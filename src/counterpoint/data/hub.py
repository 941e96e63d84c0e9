"""Texts or images of anything that `datasets` reads, on the Hub or in a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterpoint.data.dataset import Dataset, Problem
from counterpoint.data.images import Found, image_dataset
from counterpoint.data.texts import BROUGHT, Columns, Row, text_dataset
from counterpoint.errors import DataError, require

HOLD = ("test", "validation", "val", "dev")
READERS = ("arrow", "csv", "imagefolder", "json", "parquet", "text")


def load(
    name: str,
    text: str | None,
    label: str | None,
    size: int | None = None,
    seed: int = 0,
    test_share: float = 0.2,
) -> Dataset:
    """Reads a data set through ``datasets.load_dataset``, or one saved with ``save_to_disk``.

    Its ``train`` part is learnt from and its ``test`` part, or else ``validation``, held out; a
    part alone is split here. Classes that the data set names keep their names.

    Args:
        name: see `parts`.
        text: column of the texts; without it, the first column of images is read.
        label: column of the classes; None for unlabelled.
        size: height and width of images, see `counterpoint.data.images.image_dataset`.
        seed: seed of the split.
        test_share: part held out where the data bring no split.

    Raises:
        DataError: it cannot be read, or lacks a column.
        MissingExtraError: `datasets` is not installed.
    """
    found = parts(name)
    learn = found.get("train") or next(iter(found.values()))
    hold = next((found[key] for key in HOLD if key in found and found[key] is not learn), None)
    pictures = [c for c, kind in learn.features.items() if type(kind).__name__ == "Image"]
    where = f"hf:{name}"
    columns = Columns(where, text or next(iter(pictures), None), label)
    columns.check(learn.column_names)
    rows = list(_rows(learn, "", columns))
    held = None if hold is None else list(_rows(hold, "test ", columns))
    if columns.text not in pictures:
        return text_dataset(where, rows, label=label, seed=seed, test_share=test_share, held=held)
    drawn, problems = _pictures(rows, held or [])
    how = BROUGHT if held else ""
    return image_dataset(where, where, drawn, problems, how, size, seed, test_share)


def _pictures(rows: list[Row], held: list[Row]) -> tuple[list[Found], list[Problem]]:
    found, problems = [], []
    for number, row in enumerate(rows + held):
        content = row.text or {}
        source = content.get("bytes") or (content.get("path") and Path(content["path"]))
        if source:
            found.append(Found(source, row.name, row.label, number >= len(rows)))
        else:
            problems.append(Problem(row.name, "no image"))
    return found, problems


def parts(name: str) -> dict[str, Any]:
    """Every part of a data set by name, as ``datasets`` calls them.

    Args:
        name: name on the Hub or path of a folder, ``name:config``; or ``READER:PATH`` with one of
            `READERS` and a file, a pattern of files, or a folder.

    Raises:
        DataError: it cannot be read.
        MissingExtraError: `datasets` is not installed.
    """
    datasets = require("datasets", "data")
    path, _, config = name.partition(":")
    if path in READERS and not Path(path).exists():
        if not config:
            raise DataError(f"hf:{path} reads files: say which, as in hf:{path}:PATH.")
        where = {"data_dir" if Path(config).is_dir() else "data_files": config}
    else:
        where = {"name": config} if config else {}
    try:
        if (Path(path) / "dataset_dict.json").is_file() or (Path(path) / "state.json").is_file():
            found = datasets.load_from_disk(path)
        else:
            found = datasets.load_dataset(path, **where)
    except Exception as error:  # network, scripts and readers raise all kinds
        raise DataError(f"hf:{name} cannot be read: {error}") from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _rows(part: Any, prefix: str, columns: Columns) -> Iterator[Row]:
    names = getattr(part.features.get(columns.label), "names", None)
    wanted = part.select_columns(columns.named)
    if type(part.features[columns.text]).__name__ == "Image":
        kind = require("datasets", "data").Image(decode=False)
        wanted = wanted.cast_column(columns.text, kind)
    for number, record in enumerate(wanted):
        row = columns.row(f"{prefix}row {number}", record)
        if names is not None and row.label is not None:
            row = replace(row, label=names[row.label] if row.label >= 0 else None)
        yield row
