"""What the parts of a corpus hold, before anything is embedded: contents, labels, classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.apps.engines import Engine
from counterpoint.curation.duplicates import plain_text
from counterpoint.curation.judge import Flags
from counterpoint.data.classes import class_name, number_classes
from counterpoint.data.corpus import Corpus
from counterpoint.data.dataset import Problem
from counterpoint.data.parts import Part
from counterpoint.data.vectors import content_keys
from counterpoint.errors import DataError
from counterpoint.probes.inputs import Ints
from counterpoint.progress import OnProgress, Progress


@dataclass(frozen=True)
class _Looked:
    """What a part says before anything is embedded.

    Attributes:
        content: digest of all that it holds.
        keys: digest of what each row holds, equal for texts that differ in case or white space
            only; empty where there is nothing.
        labels, truth: labels of its rows.
        held: bool, rows of a test split.
    """

    content: str
    keys: NDArray[np.bytes_]
    labels: _Named
    truth: _Named | None
    held: Flags


@dataclass(frozen=True)
class _Named:
    """Labels of a part: how its owner writes each class, and which each row has, or -1."""

    values: list[Any]
    codes: Ints


@dataclass(frozen=True)
class Contents:
    """Contents of the corpus.

    Attributes:
        rows: that are usable.
        group: content of each of them.
        new: of each part, the rows that bring a new content.
        digests: of all that each part holds.
    """

    rows: Ints
    group: Ints
    new: list[Ints]
    digests: list[str]


def look(part: Part) -> _Looked:
    """Reads a part once, without embedding it."""
    items = part.items()
    keys = own = content_keys(items)
    if part.kind == "text":
        keys = content_keys([item and plain_text(item) for item in items])
    truth = part.truth()
    return _Looked(
        hashlib.sha256(own.tobytes()).hexdigest(),
        keys,
        _named(part.labels()),
        None if truth is None else _named(truth),
        part.held(),
    )


def _named(given: list[Any]) -> _Named:
    seen: dict[str, int] = {}
    values: list[Any] = []
    codes = np.empty(len(given), dtype=np.int64)
    for row, value in enumerate(given):
        name = class_name(value)
        codes[row] = seen.setdefault(name, len(seen)) if name else -1
        if name and len(seen) > len(values):
            values.append(value)
    return _Named(values, codes)


def read_contents(
    parts: Sequence[Part], engine: Engine, on_progress: OnProgress | None
) -> tuple[Corpus, dict[int, Any], Contents]:
    """Reads every part once, where the engine is.

    Returns:
        The corpus, whose items are read from disk when they are asked for; how its owner writes
        each class, by its number; and which rows hold which content.

    Raises:
        DataError: nothing has both content and a label, or the labels are no classes.
    """
    looked: list[_Looked] = []
    for found in engine.map(look, parts):
        looked.append(found)
        if on_progress is not None:
            on_progress(Progress("read the parts", len(looked), len(parts)))
    own = [found.labels for found in looked]
    true = [found.truth for found in looked if found.truth is not None]
    written: dict[str, Any] = {}
    for value in (value for named in own + true for value in named.values):
        written.setdefault(class_name(value), value)
    classes, _ = number_classes(list(written))
    number = {name: at for at, name in enumerate(classes)}
    problems: list[Problem] = []
    every, keys, rows = [], [], []
    for part, found in zip(parts, looked, strict=True):
        usable = (found.keys != b"") & (found.labels.codes >= 0)
        every.append(usable)
        keys.append(found.keys[usable])
        rows.append(np.flatnonzero(usable))
        problems += _lacking(part, usable)
    held = np.concatenate([found.held for found in looked])
    digests = [found.content for found in looked]
    del looked
    y = _numbers(own, number)
    truth = _numbers(true, number) if true else None
    del own, true
    _check_classes(y, sum(map(len, rows)))
    corpus = Corpus(
        name=parts[0].source.name,
        kind=parts[0].kind,
        table=None,
        label=parts[0].label,
        content=parts[0].content or "",
        items=ByRow(parts, lambda part: part.items()),
        names=_Names(len(y)),
        labels=y,
        classes=classes,
        truth=truth,
        held=held,
        problems=tuple(problems),
    )
    usable_rows = np.flatnonzero(np.concatenate(every))
    contents = Contents(usable_rows, *_numbered(keys, rows), digests)
    return corpus, {number[name]: value for name, value in written.items()}, contents


def _lacking(part: Part, usable: Flags) -> list[Problem]:
    if usable.all():
        return []
    content = "a picture that can be read" if part.kind == "images" else "content"
    return [Problem(part.name, f"{int((~usable).sum())} rows lack {content} or label")]


def _check_classes(labels: Ints, usable: int) -> None:
    if not usable:
        raise DataError("No row has both content and a label; there is nothing to judge.")
    used = len(np.unique(labels[labels >= 0]))
    if not 2 <= used <= usable / 2:
        raise DataError(
            f"The labels hold {used} different values in {usable} rows; at least two, "
            "and at most half as many as rows, can be judged. Choose another column."
        )


def _numbers(parts: Sequence[_Named], number: dict[str, int]) -> Ints:
    """Class of every row of the corpus, -1 where it is missing."""
    every = []
    for named in parts:
        own = np.array([*(number[class_name(v)] for v in named.values), -1], dtype=np.int64)
        every.append(own[named.codes])
    return np.concatenate(every)


def _numbered(keys: list[NDArray[np.bytes_]], rows: list[Ints]) -> tuple[Ints, list[Ints]]:
    """Contents by number, in order of first sight, and the rows of each part with new ones."""
    first, group = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)[1:]
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    ends = np.cumsum([len(own) for own in rows])
    is_new = np.zeros(len(group), dtype=bool)
    is_new[first] = True
    new = [own[is_new[end - len(own) : end]] for own, end in zip(rows, ends, strict=True)]
    return place[group.reshape(-1)], new


class ByRow(Sequence[Any]):
    """What parts hold by row, read when asked for; embeddings have nothing to show."""

    def __init__(self, parts: Sequence[Part], read: Callable[[Part], Any]) -> None:
        self.ends = np.cumsum([len(part) for part in parts])
        self.shown = parts[0].kind != "embeddings"
        self.read = lru_cache(maxsize=4)(lambda at: read(parts[at]))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, row: Any) -> Any:
        if not self.shown:
            return ()
        at = int(np.searchsorted(self.ends, row, side="right"))
        return self.read(at)[row - (self.ends[at - 1] if at else 0)]


class _Names(Sequence[str]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: Any) -> Any:
        return f"row {row}"
