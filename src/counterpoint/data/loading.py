"""One door for all data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from counterpoint.data import folder, hub, tables
from counterpoint.data.dataset import Dataset, Split
from counterpoint.data.sources import Source, builtin
from counterpoint.data.splits import check_share, thin
from counterpoint.errors import DataError, MissingExtraError, SettingError, unknown_name


def load(
    name_or_path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    size: int | None = None,
    seed: int = 0,
    test_share: float = 0.2,
    limit: int | None = None,
) -> Dataset:
    """Loads data by the name of a built-in source or by path.

    Args:
        name_or_path: a name of `builtin` (``./NAME`` is a path); a folder of images
            (``class/*.png``, or flat and unlabelled; ``train/`` and ``test/`` or ``val/`` are
            taken as the split); a CSV, TSV, JSONL or Parquet file; ``hf:NAME`` for texts or images
            that ``datasets.load_dataset`` reads.
        text: column that holds the texts; needed for tables.
        label: column that holds the classes of a table or of ``hf:NAME``; unlabelled if not given.
        size: height and width of images in pixels; chosen by the data unless given.
        seed: seed of every random choice made here.
        test_share: part of the samples to hold out, in [0, 1), where the data bring no split.
        limit: at most this many samples in all, both splits and all classes thinned alike.

    Raises:
        DataError: the data cannot be used.
        SettingError: an unknown name, or a setting out of range.
        MissingExtraError: the source needs a package that is not installed.
    """
    check_share(test_share)
    if size is not None and size < 1:
        raise SettingError(f"size must be at least 1 pixel; got {size}.")
    if limit is not None and limit < 2:
        raise SettingError(f"limit must be at least 2 samples; got {limit}.")
    data = _whole(name_or_path, text, label, size, seed, test_share)
    if size is not None and data.modality == "text":
        raise SettingError(f"size is for images; {data.name} holds texts.")
    if limit is not None:
        data = _limited(data, limit, seed)
    if len(data.train) < 2:
        raise DataError(
            f"{data.name} leaves {len(data.train)} samples to learn from; at least 2 are needed."
        )
    return data


def _whole(
    name_or_path: str | Path,
    text: str | None,
    label: str | None,
    size: int | None,
    seed: int,
    test_share: float,
) -> Dataset:
    name = str(name_or_path)
    source = next((s for s in builtin() if s.name == name), None)
    if source is not None and isinstance(name_or_path, str):
        if text is not None or label is not None:
            raise SettingError(f"{name} is built in: it has no columns to choose with text, label.")
        return _built_in(source, size, seed, test_share)
    if name.startswith("hf:"):
        return hub.load(name.removeprefix("hf:"), text, label, size, seed, test_share)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if text is not None or label is not None:
            raise SettingError(f"{path} is a folder of images: it has no text and label columns.")
        return folder.load(path, size, seed, test_share)
    if path.is_file():
        return tables.load(path, text, label, seed, test_share)
    if isinstance(name_or_path, Path) or "/" in name or "." in name:
        raise DataError(f"There is no folder or file {path} (looked in {Path.cwd()}).")
    raise unknown_name("data set", name, [s.name for s in builtin()])


def _built_in(source: Source, size: int | None, seed: int, test_share: float) -> Dataset:
    if source.missing:
        raise MissingExtraError(
            f"{source.name} needs {', '.join(source.missing)}. "
            f"Install with: pip install 'counterpoint[{source.extra}]'"
        )
    return source.load(size, seed, test_share)


def _limited(data: Dataset, limit: int, seed: int) -> Dataset:
    held = len(data.test)
    total = len(data.train) + held
    if total <= limit:
        return data
    tests = min(max(round(limit * held / total), 1), limit - 1) if held else 0

    def thinned(split: Split, keep: int) -> Split:
        return split.take(thin(split.labels, len(split), keep, seed))

    return replace(data, train=thinned(data.train, limit - tests), test=thinned(data.test, tests))
