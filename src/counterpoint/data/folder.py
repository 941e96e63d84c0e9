"""A folder of images as a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from counterpoint.data.dataset import Dataset, Problem
from counterpoint.data.images import Found, image_dataset
from counterpoint.data.pictures import readable
from counterpoint.errors import DataError

LEARN = ("train", "training")
HOLD = ("test", "testing", "val", "valid", "validation")


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
    name = root.resolve().name
    return image_dataset(name, str(root), found, problems, held_out, size, seed, test_share)


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
    """Files that are not hidden, through links too, no folder twice."""
    seen: set[Path] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        here = Path(folder)
        if here.resolve() in seen:
            below.clear()
            continue
        seen.add(here.resolve())
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (here / name for name in names if not name.startswith("."))


def _sorted_out(
    files: Sequence[Path], root: Path, problems: list[Problem]
) -> tuple[list[Found], str]:
    """Finds each file's class and part; says which part is held out, if the folder does."""
    tops = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    learn = {top for top in tops if top.lower() in LEARN}
    hold = sorted(tops - learn, key=lambda top: (*HOLD, top.lower()).index(top.lower()))
    if not learn or not hold or hold[0].lower() not in HOLD:
        return [Found(f, f.relative_to(root).as_posix(), _class(f, root), False) for f in files], ""
    found = []
    for file in files:
        name, top = file.relative_to(root).as_posix(), file.relative_to(root).parts[0]
        if top in learn or top == hold[0]:
            found.append(Found(file, name, _class(file, root / top), top == hold[0]))
        else:
            problems.append(Problem(name, f"left aside: {hold[0]}/ is the held-out part"))
    return found, f"the folder {hold[0]}/"


def _class(file: Path, root: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None
