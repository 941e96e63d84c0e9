"""A folder of images as a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from counterpoint.data.classes import number_classes
from counterpoint.data.dataset import Dataset, Problem, Split
from counterpoint.data.items import ImageStack
from counterpoint.data.pictures import (
    Header,
    PictureFiles,
    read_header,
    read_picture,
    readable,
)
from counterpoint.data.splits import described, stratified
from counterpoint.errors import DataError

LEARN = ("train", "training")
HOLD = ("test", "testing", "val", "valid", "validation")
IN_MEMORY = 2**30
"""Up to so many bytes of decoded images are kept in memory; more are decoded when asked for."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Found:
    """A picture file: its name below the root, its class, and whether its folder holds it out."""

    file: Path
    name: str
    label: str | None
    held: bool


def load(root: Path, size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """Reads ``class/*.png`` (a class is a folder of the first level, with all below it) or a flat,
    unlabelled folder. ``train/`` beside ``test/`` or ``val/`` is taken as the split.

    One folder alone makes no classes. Colour if any file has colour. Damaged files, files that are
    no images, and images of one pixel are listed in the data set's problems.

    Args:
        root: the folder.
        size: height and width; 32 where the images' median short side is at most 64, else 64.
        seed: seed of the split.
        test_share: part held out, drawn class by class; images of equal pixels stay together.

    Raises:
        DataError: there is no readable image.
    """
    problems: list[Problem] = []
    files = _pictures(root, problems)
    found, held_out = _sorted_out(files, root, problems)
    found, headers = _sound(found, read_header, problems)
    if not found:
        raise _nothing_left(root, problems)
    problems += _tiny(found, headers)
    side = size or (32 if median(min(h.width, h.height) for h in headers) <= 64 else 64)
    channels = 1 if all(header.grey for header in headers) else 3
    found, items, twins = _items(found, side, channels, problems)
    if not found:
        raise _nothing_left(root, problems)
    classes, labels = _labelled(found, problems)
    if held_out:
        held = torch.tensor([f.held for f in found])
        train, test = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
    else:
        train, test = stratified(labels, len(found), test_share, seed, twins)
        held_out = described("images", test_share, labels)
    whole = Split(items, [f.name for f in found], labels)
    return Dataset(
        name=root.resolve().name,
        modality="images",
        train=whole.take(train),
        test=whole.take(test),
        classes=classes,
        channels=channels,
        size=side,
        mirror=channels == 3,
        held_out=held_out,
        problems=tuple(problems),
    )


def _pictures(root: Path, problems: list[Problem]) -> list[Path]:
    files = sorted(_visible(root))
    pictures = [file for file in files if readable(file)]
    problems += [
        Problem(file.relative_to(root).as_posix(), "not a kind of image that Pillow reads")
        for file in files
        if not readable(file)
    ]
    if not pictures:
        other = f" ({len(files)} other files)" if files else ""
        raise DataError(
            f"{root} holds no images{other}. "
            "Put them in one folder a class (class/picture.png), or directly inside."
        )
    return pictures


def _visible(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _sorted_out(
    files: Sequence[Path], root: Path, problems: list[Problem]
) -> tuple[list[_Found], str]:
    """Finds each file's class and part; says which part is held out, if the folder does."""
    tops = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    learn = {top for top in tops if top.lower() in LEARN}
    hold = sorted(tops - learn, key=lambda top: (*HOLD, top.lower()).index(top.lower()))
    if not learn or not hold or hold[0].lower() not in HOLD:
        return [
            _Found(f, f.relative_to(root).as_posix(), _class(f, root), False) for f in files
        ], ""
    found = []
    for file in files:
        name, top = file.relative_to(root).as_posix(), file.relative_to(root).parts[0]
        if top in learn or top == hold[0]:
            found.append(_Found(file, name, _class(file, root / top), top == hold[0]))
        else:
            problems.append(Problem(name, f"left aside: {hold[0]}/ is the held-out part"))
    return found, f"the folder {hold[0]}/"


def _class(file: Path, root: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _sound(
    found: Sequence[_Found], read: Callable[[Path], T], problems: list[Problem]
) -> tuple[list[_Found], list[T]]:
    """Reads every file; what cannot be read becomes a problem."""

    def attempt(one: _Found) -> T | DataError:
        try:
            return read(one.file)
        except DataError as error:
            return error

    kept, values = [], []
    with ThreadPoolExecutor() as pool:
        for one, value in zip(found, pool.map(attempt, found), strict=True):
            if isinstance(value, DataError):
                problems.append(Problem(one.name, str(value)))
            else:
                kept.append(one)
                values.append(value)
    return kept, values


def _items(
    found: list[_Found], size: int, channels: int, problems: list[Problem]
) -> tuple[list[_Found], Sequence[Tensor], list[bytes] | None]:
    """The images, and a key of each one's pixels where they are in memory."""
    if len(found) * channels * size * size > IN_MEMORY:
        return found, PictureFiles([f.file for f in found], size, channels), None
    kept, pixels = _sound(found, lambda file: read_picture(file, size, channels), problems)
    if not kept:
        return kept, [], None
    return kept, ImageStack(torch.stack(pixels)), [p.numpy().tobytes() for p in pixels]


def _labelled(
    found: Sequence[_Found], problems: list[Problem]
) -> tuple[tuple[str, ...], Tensor | None]:
    if len({f.label for f in found if f.label is not None}) < 2:
        return (), None
    problems += [Problem(f.name, "in no class folder", used=True) for f in found if f.label is None]
    classes, labels = number_classes([f.label for f in found])
    seen = {f.label for f in found if not f.held}
    problems += [
        Problem(name, "a class without images to learn from", used=True)
        for name in classes
        if name not in seen
    ]
    return classes, labels


def _tiny(found: Sequence[_Found], headers: Sequence[Header]) -> list[Problem]:
    return [
        Problem(f.name, f"{h.width}×{h.height} pixels: enlarged, it is one flat colour", used=True)
        for f, h in zip(found, headers, strict=True)
        if h.width * h.height == 1
    ]


def _nothing_left(root: Path, problems: Sequence[Problem]) -> DataError:
    first = "; ".join(problem.what for problem in problems[:3])
    return DataError(f"None of the {len(problems)} files in {root} can be used. {first}")
