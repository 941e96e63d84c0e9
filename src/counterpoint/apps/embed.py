"""Embeds a data set and writes the embeddings to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from counterpoint.apps.model import Model
from counterpoint.data.dataset import Dataset, Split
from counterpoint.errors import SettingError, require
from counterpoint.files import write_whole
from counterpoint.progress import OnProgress

Which = Literal["all", "train", "test"]


def embed(
    model: Model,
    data: Dataset,
    out: str | Path,
    *,
    which: Which = "all",
    batch_size: int = 256,
    on_progress: OnProgress | None = None,
) -> Path:
    """Embeds the samples of ``data`` and writes one row a sample.

    Args:
        model: what embeds.
        data: what is embedded.
        out: ``.parquet`` (columns ``name``, ``split``, ``label``, ``class``, ``embedding``) or
            ``.npz`` (arrays ``names``, ``splits``, ``labels``, ``embeddings``); labels are -1
            where missing. Written whole or not at all.
        which: which split, or both.
        batch_size: samples at once.
        on_progress: told how far it is.

    Raises:
        SettingError: another ending, an unknown split, or a file that cannot be written.
        DataError: the model cannot take the data.
    """
    out = Path(out)
    writers = {".parquet": _parquet, ".npz": _npz}
    if out.suffix not in writers:
        raise SettingError(f"{out} must end in .parquet or .npz.")
    splits: dict[str, Split] = {"train": data.train, "test": data.test}
    if which != "all":
        if which not in splits:
            raise SettingError(f"which must be 'all', 'train' or 'test', got {which!r}.")
        splits = {which: splits[which]}
    splits = {name: split for name, split in splits.items() if len(split)}
    columns = {
        "names": np.array([name for split in splits.values() for name in split.names]),
        "splits": np.repeat(list(splits), [len(split) for split in splits.values()]),
        "labels": np.concatenate([_labels(split) for split in splits.values()]),
        "embeddings": np.concatenate(
            [model.embed(split, batch_size, on_progress) for split in splits.values()]
        ),
    }
    write_whole(out, lambda file: writers[out.suffix](file, columns, data.classes))
    return out


def _labels(split: Split) -> Any:
    return np.full(len(split), -1) if split.labels is None else split.labels.numpy()


def _npz(file: Any, columns: dict[str, Any], classes: tuple[str, ...]) -> None:
    np.savez(file, classes=np.array(classes), **columns)


def _parquet(file: Any, columns: dict[str, Any], classes: tuple[str, ...]) -> None:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    z = columns["embeddings"]
    labels = columns["labels"].tolist()
    table = pa.table(
        {
            "name": pa.array(columns["names"].tolist()),
            "split": pa.array(columns["splits"].tolist()),
            "label": pa.array(labels),
            "class": pa.array([classes[i] if 0 <= i < len(classes) else None for i in labels]),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(z.ravel()), z.shape[1]),
        }
    )
    parquet.write_table(table, file)
