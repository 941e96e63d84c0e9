"""Texts of anything that the `datasets` library reads, on the Hub or in a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterpoint.data.dataset import Dataset
from counterpoint.data.texts import Columns, Row, text_dataset
from counterpoint.errors import DataError, require

HOLD = ("test", "validation", "val", "dev")


def load(
    name: str, text: str | None, label: str | None, seed: int = 0, test_share: float = 0.2
) -> Dataset:
    """Reads a data set through ``datasets.load_dataset``, or one saved with ``save_to_disk``.

    Its ``train`` part is learnt from and its ``test`` part, or else ``validation``, held out; a
    part alone is split here. Classes that the data set names keep their names.

    Args:
        name: name on the Hub or path of a folder; ``name:config`` chooses a configuration.
        text: column of the texts.
        label: column of the classes; None for unlabelled.
        seed: seed of the split.
        test_share: part held out where the data bring no split.

    Raises:
        DataError: it cannot be read, or lacks a column.
        MissingExtraError: `datasets` is not installed.
    """
    parts = _parts(name)
    learn = parts.get("train") or next(iter(parts.values()))
    hold = next((parts[key] for key in HOLD if key in parts and parts[key] is not learn), None)
    columns = Columns(f"hf:{name}", text, label)
    columns.check(learn.column_names)
    return text_dataset(
        f"hf:{name}",
        list(_rows(learn, "", columns)),
        label=label,
        seed=seed,
        test_share=test_share,
        held=None if hold is None else list(_rows(hold, "test ", columns)),
    )


def _parts(name: str) -> dict[str, Any]:
    datasets = require("datasets", "data")
    path, _, config = name.partition(":")
    try:
        if (Path(path) / "dataset_dict.json").is_file() or (Path(path) / "state.json").is_file():
            found = datasets.load_from_disk(path)
        else:
            found = datasets.load_dataset(path, config or None)
    except Exception as error:  # network, scripts and readers raise all kinds
        raise DataError(f"hf:{name} cannot be read: {error}") from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _rows(part: Any, prefix: str, columns: Columns) -> Iterator[Row]:
    names = getattr(part.features.get(columns.label), "names", None)
    for number, record in enumerate(part.select_columns(columns.named)):
        row = columns.row(f"{prefix}row {number}", record)
        if names is not None and row.label is not None:
            row = replace(row, label=names[row.label] if row.label >= 0 else None)
        yield row
