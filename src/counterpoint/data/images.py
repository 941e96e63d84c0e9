"""From picture files to a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor

from counterpoint.data.classes import number_classes
from counterpoint.data.dataset import Dataset, Problem, Split
from counterpoint.data.items import ImageStack
from counterpoint.data.pictures import Encoded, Header, PictureFiles, read_header, read_picture
from counterpoint.data.splits import described, stratified
from counterpoint.errors import DataError

IN_MEMORY = 2**30
"""Up to so many bytes of decoded images are kept in memory; more are decoded when asked for."""

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A picture to be read.

    Attributes:
        source: file, or its content.
        name: what to call it.
        label: its class, of any type; None where missing.
        held: whether its place holds it out.
    """

    source: Encoded
    name: str
    label: Any = None
    held: bool = False


def image_dataset(
    name: str,
    where: str,
    found: list[Found],
    problems: list[Problem],
    held_out: str = "",
    size: int | None = None,
    seed: int = 0,
    test_share: float = 0.2,
) -> Dataset:
    """Reads pictures; those that cannot be read, and those of one pixel, are listed as problems.

    Args:
        name: what the user calls the data.
        where: what to call their place in errors.
        found: the pictures. Fewer than two classes among them make unlabelled data.
        problems: what finding them has met so far.
        held_out: how ``Found.held`` came about; empty for a split drawn here.
        size: height and width; 32 where the images' median short side is at most 64, else 64.
        seed: seed of the split.
        test_share: part held out, drawn class by class; images of equal pixels stay together.

    Raises:
        DataError: no picture can be read.
    """
    met = list(problems)
    found, headers = _sound(found, read_header, met)
    if not found:
        raise _nothing_left(where, met)
    met += _tiny(found, headers)
    side = size or (32 if median(min(h.width, h.height) for h in headers) <= 64 else 64)
    channels = 1 if all(header.grey for header in headers) else 3
    found, items, twins = _items(found, side, channels, met)
    if not found:
        raise _nothing_left(where, met)
    classes, labels = _labelled(found, met)
    if held_out:
        held = torch.tensor([f.held for f in found])
        train, test = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
    else:
        train, test = stratified(labels, len(found), test_share, seed, twins)
        held_out = described("images", test_share, labels)
    whole = Split(items, [f.name for f in found], labels)
    return Dataset(
        name=name,
        modality="images",
        train=whole.take(train),
        test=whole.take(test),
        classes=classes,
        channels=channels,
        size=side,
        mirror=channels == 3,
        held_out=held_out,
        problems=tuple(met),
    )


def _sound(
    found: Sequence[Found], read: Callable[[Encoded], T], problems: list[Problem]
) -> tuple[list[Found], list[T]]:
    """Reads every file; what cannot be read becomes a problem."""

    def attempt(one: Found) -> T | DataError:
        try:
            return read(one.source)
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
    found: list[Found], size: int, channels: int, problems: list[Problem]
) -> tuple[list[Found], Sequence[Tensor], list[bytes] | None]:
    """The images, and a key of each one's pixels where they are in memory."""
    if len(found) * channels * size * size > IN_MEMORY:
        return found, PictureFiles([f.source for f in found], size, channels), None
    kept, pixels = _sound(found, lambda source: read_picture(source, size, channels), problems)
    if not kept:
        return kept, [], None
    return kept, ImageStack(torch.stack(pixels)), [p.numpy().tobytes() for p in pixels]


def _labelled(
    found: Sequence[Found], problems: list[Problem]
) -> tuple[tuple[str, ...], Tensor | None]:
    classes, labels = number_classes([f.label for f in found])
    if len(classes) < 2:
        return (), None
    numbers = labels.tolist()
    problems += [
        Problem(f.name, "it has no class", used=True)
        for f, number in zip(found, numbers, strict=True)
        if number < 0
    ]
    learnt = {number for f, number in zip(found, numbers, strict=True) if not f.held}
    problems += [
        Problem(name, "a class without images to learn from", used=True)
        for number, name in enumerate(classes)
        if number not in learnt
    ]
    return classes, labels


def _tiny(found: Sequence[Found], headers: Sequence[Header]) -> list[Problem]:
    return [
        Problem(f.name, f"{h.width}×{h.height} pixels: enlarged, it is one flat colour", used=True)
        for f, h in zip(found, headers, strict=True)
        if h.width * h.height == 1
    ]


def _nothing_left(where: str, problems: Sequence[Problem]) -> DataError:
    first = "; ".join(f"{problem.where}: {problem.what}" for problem in problems[:3])
    return DataError(f"None of the {len(problems)} files in {where} can be used. {first}")
